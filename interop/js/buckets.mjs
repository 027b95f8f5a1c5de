// What users do with buckets and consumers, through the JavaScript client.

import assert from "node:assert/strict";
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { Objm } from "@nats-io/obj";

const later = (ms) => new Promise((done) => setTimeout(done, ms));

/** Waits until `is` holds, for a while. */
async function until(is, what) {
  const end = performance.now() + 10_000;
  while (!(await is())) {
    assert.ok(performance.now() < end, what);
    await later(50);
  }
}

export async function keys(nc) {
  const kvm = new Kvm(jetstream(nc));
  const kv = await kvm.create("JSWATCH", { history: 5, markerTTL: 60_000 });
  const live = await kv.watch({ include: "updates" });
  for (let i = 0; i < 3; i++) await kv.put("a.x", `${i}`);
  await kv.put("a.y", "y");
  await kv.delete("a.y");
  await kv.purge("a.x");
  const seen = [];
  for await (const e of live) {
    seen.push(`${e.operation} ${e.key} ${e.string()}`);
    if (seen.length === 6) break;
  }
  assert.deepEqual(seen, ["PUT a.x 0", "PUT a.x 1", "PUT a.x 2", "PUT a.y y", "DEL a.y ", "PURGE a.x "]);
  const history = [];
  for await (const e of await kv.history({ key: "a.y" })) history.push(e.operation);
  assert.deepEqual(history, ["PUT", "DEL"]);
  await assert.rejects(kv.update("a.x", "y", 1));
  await kv.purgeDeletes(0);
  const status = await kv.status();
  assert.equal(status.history, 5);
  const names = [];
  for await (const s of kvm.list()) names.push(s.bucket);
  assert.ok(names.includes("JSWATCH"));
  await kv.destroy();
  const short = await kvm.create("JSTTL", { ttl: 1000 });
  await short.create("k", "1");
  await assert.rejects(short.create("k", "2"));
  await until(async () => (await short.get("k")) === null, "the key never expires");
  await short.create("k", "3");
}

export async function objects(nc) {
  const store = await new Objm(jetstream(nc)).create("JSBIG", { max_bytes: 100_000_000 });
  const watch = await store.watch({ includeHistory: false });
  const big = new Uint8Array(5_000_000).map((_, i) => i % 253);
  const info = await store.putBlob({ name: "big", description: "words", options: { max_chunk_size: 100_000 } }, big);
  assert.equal(info.chunks, 50);
  assert.deepEqual(await store.getBlob("big"), big);
  await store.link("alias", info);
  assert.deepEqual(await store.getBlob("alias"), big);
  await store.update("big", { name: "renamed" });
  await store.delete("renamed");
  assert.equal(await store.getBlob("renamed"), null);
  assert.deepEqual((await store.list()).map((o) => o.name), ["alias"]);
  let told = 0;
  for await (const e of watch) {
    if (e && ++told === 4) break;
  }
  const sealed = await store.seal();
  assert.ok(sealed.sealed);
  await assert.rejects(store.putBlob({ name: "late" }, big));
}

export async function consumers(nc) {
  const jsm = await jetstreamManager(nc);
  const js = jetstream(nc);
  await jsm.streams.add({ name: "JSC", subjects: ["jsc.>"], max_msgs_per_subject: 100, allow_atomic: true });
  await jsm.consumers.add("JSC", { durable_name: "c", ack_policy: AckPolicy.Explicit, ack_wait: 500_000_000, max_deliver: 3 });
  const consumer = await js.consumers.get("JSC", "c");
  assert.equal(await consumer.next({ expires: 1000 }), null);
  const messages = await consumer.consume({ expires: 3000, idle_heartbeat: 500, max_messages: 10 });
  setTimeout(() => js.publish("jsc.a", "1"), 1500);
  const deliveries = [];
  for await (const m of messages) {
    deliveries.push(m.info.deliveryCount);
    if (deliveries.length === 1) m.nak(50);
    else if (deliveries.length === 2) continue;
    else {
      assert.ok(await m.ackAck());
      break;
    }
  }
  assert.deepEqual(deliveries, [1, 2, 3]);

  const batch = await js.startBatch("jsc.batch", "1");
  await batch.add("jsc.batch", "2");
  const end = await batch.commit("jsc.batch", "3");
  assert.deepEqual([end.count, end.seq], [3, 4]);

  const info = await jsm.consumers.pause("JSC", "c", new Date(Date.now() + 3_600_000));
  assert.ok(info.paused);
  assert.equal(await consumer.next({ expires: 1000 }), null);
  assert.equal((await jsm.consumers.resume("JSC", "c")).paused, false);
  assert.equal((await consumer.next({ expires: 5000 })).subject, "jsc.batch");

  const ordered = await js.consumers.get("JSC", { deliver_policy: DeliverPolicy.LastPerSubject, filter_subjects: ["jsc.>"] });
  const subjects = [];
  for await (const m of await ordered.fetch({ max_messages: 2, expires: 5000 })) subjects.push(m.subject);
  assert.deepEqual(subjects, ["jsc.a", "jsc.batch"]);
  const twice = [await js.publish("jsc.d", "", { msgID: "one" }), await js.publish("jsc.d", "", { msgID: "one" })];
  assert.deepEqual(twice.map((ack) => ack.duplicate), [false, true]);
  await assert.rejects(js.publish("jsc.d", "", { expect: { lastSequence: 1 } }));
  assert.equal((await jsm.direct.getMessage("JSC", { seq: 1 }).catch(() => null)), null);
  assert.equal((await jsm.streams.purge("JSC", { filter: "jsc.batch", keep: 1 })).purged, 2);
}
