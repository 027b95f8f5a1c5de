// The JavaScript client (@nats-io/transport-node) against the server in NATS_SERVER_BIN.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { consumers, keys, objects } from "./buckets.mjs";
import { soak, streamsAndBuckets } from "./streams.mjs";
import { connect, errors, headers, nkeyAuthenticator, nuid, tokenAuthenticator, usernamePasswordAuthenticator } from "@nats-io/transport-node";

const SEED = new TextEncoder().encode("SUAHETHJ52HRC7GIPLO3A2HNYMTOPAG4B3XDWKBYVBPNB42PG5IEDKQW74");
const env = process.env;

async function freePort() {
  const listener = net.createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  await once(listener, "close");
  return port;
}

class Server {
  static async of(config) {
    const server = new Server();
    server.config = `${env.INTEROP_CONFIGS}/${config}.conf`;
    server.port = await freePort();
    await server.start();
    return server;
  }

  async start() {
    let log = "";
    this.process = spawn(env.NATS_SERVER_BIN, ["-c", this.config, "-a", "127.0.0.1", "-p", `${this.port}`]);
    await new Promise((resolve, reject) => {
      this.process.stderr.on("data", (chunk) => {
        log += chunk;
        if (log.includes("Server is ready")) resolve();
      });
      this.process.on("exit", () => reject(new Error(`server did not start: ${log}`)));
    });
    this.process.removeAllListeners("exit");
  }

  async stop() {
    const gone = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await gone;
  }

  connect(options = {}) {
    return connect({ servers: `127.0.0.1:${this.port}`, reconnect: false, timeout: 5000, ...options });
  }
}

async function using(config, body) {
  const server = await Server.of(config);
  try {
    await body(server);
  } finally {
    await server.stop();
  }
}

async function echoWorks(nc, subject = "ok.echo") {
  const sub = nc.subscribe(subject, { max: 1 });
  nc.publish(subject, "hello");
  for await (const m of sub) assert.equal(m.string(), "hello");
  await nc.close();
}

async function refused(server, options) {
  await assert.rejects(async () => {
    const nc = await server.connect(options);
    await nc.flush();
    await nc.close();
  });
}

const user = (name, pass) => ({ authenticator: usernamePasswordAuthenticator(name, pass) });

async function authentication() {
  await using("plain", async (s) => echoWorks(await s.connect()));
  await using("users", async (s) => {
    await echoWorks(await s.connect(user("plain", "secret")));
    await echoWorks(await s.connect(user("hashed", "foo")));
    await echoWorks(await s.connect());
    await echoWorks(await s.connect({ authenticator: nkeyAuthenticator(SEED) }));
    await refused(s, user("plain", "wrong"));
    await refused(s, user("nobody", "secret"));
  });
  await using("token", async (s) => {
    await echoWorks(await s.connect({ authenticator: tokenAuthenticator("s3cr3t-t0k3n") }));
    await refused(s, { authenticator: tokenAuthenticator("other") });
    await refused(s, {});
  });
}

async function permissions() {
  await using("users", async (s) => {
    const nc = await s.connect(user("narrow", "secret"));
    const status = (async () => {
      for await (const event of nc.status()) if (event.type === "error") return event.error;
    })();
    nc.publish("no.thanks", "x");
    const error = await status;
    assert(error instanceof errors.PermissionViolationError, `${error}`);
    assert.equal(error.subject, "no.thanks");
    await nc.close();
  });
}

async function publishSubscribe() {
  await using("plain", async (s) => {
    const nc = await s.connect();
    const got = [];
    const sub = nc.subscribe("a.*.c", { max: 2, callback: (_, m) => got.push(m) });
    const h = headers();
    h.set("Key", "value");
    nc.publish("a.b.c", "one", { headers: h });
    nc.publish("a.b.d", "not this");
    nc.publish("a.x.c", "two", { reply: "back" });
    await sub.closed;
    assert.deepEqual(got.map((m) => m.string()), ["one", "two"]);
    assert.equal(got[0].headers.get("Key"), "value");
    assert.equal(got[1].reply, "back");
    await nc.close();
  });
}

async function requests() {
  await using("plain", async (s) => {
    const [nc, service] = [await s.connect(), await s.connect()];
    service.subscribe("service", { callback: (_, m) => m.respond(`re: ${m.string()}`) });
    service.subscribe("silent");
    await service.flush();
    const asked = Array.from({ length: 200 }, (_, i) => nc.request("service", `${i}`, { timeout: 5000 }));
    const replies = await Promise.all(asked);
    replies.forEach((m, i) => assert.equal(m.string(), `re: ${i}`));
    await assert.rejects(nc.request("nobody"), (e) => e.isNoResponders?.() || e.cause?.isNoResponders?.() || e instanceof errors.NoRespondersError);
    await assert.rejects(nc.request("silent", "", { timeout: 200 }), errors.TimeoutError);
    await nc.close();
    await service.close();
  });
}

async function queueGroups() {
  await using("plain", async (s) => {
    const counts = [0, 0, 0];
    const members = [];
    for (const i of counts.keys()) {
      const nc = await s.connect();
      nc.subscribe("work", { queue: "workers", callback: () => counts[i]++ });
      await nc.flush();
      members.push(nc);
    }
    const publisher = await s.connect();
    for (let i = 0; i < 300; i++) publisher.publish("work", "x");
    await publisher.flush();
    for (const nc of members) await nc.drain();
    assert.equal(counts.reduce((a, b) => a + b), 300);
    assert(Math.min(...counts) > 50, `${counts}`);
    await publisher.close();
  });
}

async function drain() {
  await using("plain", async (s) => {
    const [nc, publisher] = [await s.connect(), await s.connect()];
    let got = 0;
    const sub = nc.subscribe("d");
    const reading = (async () => {
      for await (const _ of sub) {
        got++;
        if (got % 100 === 0) await pause(5);
      }
    })();
    await nc.flush();
    for (let i = 0; i < 500; i++) publisher.publish("d", `${i}`);
    await publisher.flush();
    await nc.drain();
    await reading;
    assert.equal(got, 500);
    assert(nc.isClosed());
    await publisher.close();
  });
}

async function reconnect() {
  await using("plain", async (s) => {
    const nc = await s.connect({ reconnect: true, reconnectTimeWait: 50, maxReconnectAttempts: 200 });
    const back = (async () => {
      for await (const event of nc.status()) if (event.type === "reconnect") return;
    })();
    const sub = nc.subscribe("again", { max: 1 });
    await nc.flush();
    await s.stop();
    await s.start();
    await back;
    nc.publish("again", "still here");
    for await (const m of sub) assert.equal(m.string(), "still here");
    await nc.close();
  });
}

async function tls() {
  const ca = readFileSync(env.IRONATS_CA, "utf8");
  await using("tls", async (s) => {
    await echoWorks(await s.connect({ tls: { ca } }));
    await refused(s, { tls: {} });
  });
  await using("tls_first", async (s) => echoWorks(await s.connect({ tls: { ca, handshakeFirst: true } })));
  await using("tls_map", async (s) => {
    const cert = readFileSync(env.IRONATS_CLIENT_CERT, "utf8");
    const key = readFileSync(env.IRONATS_CLIENT_KEY, "utf8");
    await echoWorks(await s.connect({ tls: { ca, cert, key } }));
    await refused(s, { tls: { ca } });
  });
}

async function largePayloads() {
  await using("plain", async (s) => {
    const nc = await s.connect();
    assert.equal(nc.info.max_payload, 1024 * 1024);
    for (const size of [0, 1, 100_000, 1024 * 1024]) {
      const body = new Uint8Array(size).map((_, i) => i * 31);
      const sub = nc.subscribe(nuid.next(), { max: 1 });
      nc.publish(sub.getSubject(), body);
      for await (const m of sub) assert.deepEqual(Buffer.from(m.data), Buffer.from(body));
    }
    assert.throws(() => nc.publish("large", new Uint8Array(1024 * 1024 + 1)));
    await nc.close();
  });
}

async function manySubscriptions() {
  await using("plain", async (s) => {
    const [nc, publisher, count] = [await s.connect(), await s.connect(), 10_000];
    const got = new Set();
    const all = new Promise((resolve) => {
      for (let i = 0; i < count; i++) {
        nc.subscribe(`many.${i}`, {
          callback: (_, m) => {
            got.add(m.subject);
            if (got.size === count) resolve();
          },
        });
      }
    });
    await nc.flush();
    for (let i = 0; i < count; i++) publisher.publish(`many.${i}`);
    await publisher.flush();
    await all;
    await nc.close();
    await publisher.close();
  });
}

async function buckets() {
  await using("jetstream", async (server) => {
    const nc = await server.connect();
    await keys(nc);
    await objects(nc);
    await consumers(nc);
    await nc.close();
  });
}

async function streams() {
  await using("jetstream", async (server) => {
    const nc = await server.connect();
    await streamsAndBuckets(nc);
    await soak(nc);
    await nc.close();
  });
}

const tests = [authentication, permissions, publishSubscribe, requests, queueGroups, drain, reconnect, tls, largePayloads, manySubscriptions, buckets, streams];
for (const test of tests) {
  const start = performance.now();
  const late = pause(90_000, "late", { ref: false });
  assert.notEqual(await Promise.race([test(), late]), "late", `${test.name} took too long`);
  console.log(`js     ${test.name.padEnd(20)} ok ${((performance.now() - start) / 1000).toFixed(2)} s`);
}
process.exit(0);
