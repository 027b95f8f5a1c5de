// JetStream, key-value and object store through the JavaScript client.

import assert from "node:assert/strict";
import { AckPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { Objm } from "@nats-io/obj";

const SOAK_MS = 20_000;

export async function streamsAndBuckets(nc) {
  const jsm = await jetstreamManager(nc);
  const js = jetstream(nc);
  await jsm.streams.add({ name: "JS", subjects: ["js.>"] });
  for (let i = 0; i < 20; i++) assert.equal((await js.publish(`js.${i % 3}`, `${i}`)).seq, i + 1);
  await jsm.consumers.add("JS", { durable_name: "durable", ack_policy: AckPolicy.Explicit });
  const consumer = await js.consumers.get("JS", "durable");
  const seen = [];
  for await (const m of await consumer.fetch({ max_messages: 5, expires: 5000 })) {
    seen.push(m.seq);
    assert.ok(await m.ackAck());
  }
  assert.deepEqual(seen, [1, 2, 3, 4, 5]);
  const info = await consumer.info();
  assert.deepEqual([info.ack_floor.stream_seq, info.num_pending], [5, 15]);
  const ordered = await js.consumers.get("JS", { filter_subjects: "js.1" });
  const first = await ordered.next({ expires: 5000 });
  assert.equal(first.string(), "1");

  const kv = await new Kvm(js).create("JSKV", { history: 3 });
  assert.equal(await kv.put("a", "1"), 1);
  assert.equal(await kv.update("a", "2", 1), 2);
  await assert.rejects(kv.create("a", "3"));
  assert.equal((await kv.get("a")).string(), "2");
  const keys = [];
  for await (const key of await kv.keys()) keys.push(key);
  assert.deepEqual(keys, ["a"]);
  await kv.purge("a");
  assert.equal((await kv.get("a")).operation, "PURGE");

  const store = await new Objm(js).create("JSOBJ");
  const data = new Uint8Array(400_000).map((_, i) => i % 251);
  await store.putBlob({ name: "file" }, data);
  assert.deepEqual(await store.getBlob("file"), data);
}

export async function soak(nc) {
  const jsm = await jetstreamManager(nc);
  const js = jetstream(nc);
  await jsm.streams.add({ name: "JSSOAK", subjects: ["jssoak"], max_msgs: 100_000 });
  await jsm.consumers.add("JSSOAK", { durable_name: "soak", ack_policy: AckPolicy.Explicit });
  const consumer = await js.consumers.get("JSSOAK", "soak");
  const end = performance.now() + SOAK_MS;
  let [sent, got] = [0, 0];
  while (performance.now() < end || got < sent) {
    if (performance.now() < end) {
      await Promise.all(Array.from({ length: 100 }, () => js.publish("jssoak", "x")));
      sent += 100;
    }
    for await (const m of await consumer.fetch({ max_messages: 100, expires: 5000 })) {
      assert.equal(m.seq, ++got);
      m.ack();
    }
  }
  assert.equal(got, sent);
  console.log(`js soak: ${got} messages`);
}
