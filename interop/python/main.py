"""The Python client (nats-py) against the server in NATS_SERVER_BIN."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time

import nats
import buckets
import streams
from nats.errors import Error, NoRespondersError, TimeoutError as NatsTimeout

SEED = b"SUAHETHJ52HRC7GIPLO3A2HNYMTOPAG4B3XDWKBYVBPNB42PG5IEDKQW74"


class Server:
    """A server process on a free port of loopback."""

    def __init__(self, config):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.config = os.path.join(os.environ["INTEROP_CONFIGS"], config + ".conf")
        self.process = None
        self.start()

    def start(self):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [os.environ["NATS_SERVER_BIN"], "-c", self.config, "-a", "127.0.0.1", "-p", str(self.port)],
            stdout=self.log, stderr=self.log)
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    self.log.seek(0)
                    raise RuntimeError("server did not start: " + self.log.read().decode())
                time.sleep(0.01)

    def stop(self):
        self.process.kill()
        self.process.wait()

    def url(self, auth=""):
        return f"nats://{auth}127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


async def connect(server, auth="", **options):
    options.setdefault("allow_reconnect", False)
    options.setdefault("connect_timeout", 5)
    return await nats.connect(server.url(auth), **options)


async def settled(nc):
    """Returns when the server has handled all that was sent on this connection.

    A flush does not say that: its PING may overtake what is still in the client's buffer."""
    inbox = nc.new_inbox()
    sub = await nc.subscribe(inbox)
    await nc.publish(inbox, b"")
    await sub.next_msg(30)
    await sub.unsubscribe()


async def echo_works(nc, subject="ok.echo"):
    got = asyncio.get_running_loop().create_future()

    async def handler(msg):
        got.set_result(msg.data)

    await nc.subscribe(subject, cb=handler)
    await settled(nc)
    await nc.publish(subject, b"hello")
    assert await asyncio.wait_for(got, 5) == b"hello"
    await nc.close()


async def refused(server, auth="", **options):
    async def ignore(_):
        pass

    try:
        nc = await connect(server, auth, max_reconnect_attempts=1, error_cb=ignore, **options)
    except Exception:
        return
    await nc.close()
    raise AssertionError(f"not refused: {auth} {options}")


def trusting(certificate=False):
    context = ssl.create_default_context(cafile=os.environ["IRONATS_CA"])
    if certificate:
        context.load_cert_chain(os.environ["IRONATS_CLIENT_CERT"], os.environ["IRONATS_CLIENT_KEY"])
    return context


async def authentication():
    with Server("plain") as s:
        await echo_works(await connect(s))
    with Server("users") as s:
        await echo_works(await connect(s, "plain:secret@"))
        await echo_works(await connect(s, "hashed:foo@"))
        await echo_works(await connect(s))
        await echo_works(await connect(s, nkeys_seed_str=SEED.decode()))
        await refused(s, "plain:wrong@")
        await refused(s, "nobody:secret@")
    with Server("token") as s:
        await echo_works(await connect(s, token="s3cr3t-t0k3n"))
        await refused(s, token="other")
        await refused(s)


async def permissions():
    with Server("users") as s:
        errors = asyncio.Queue()

        async def on_error(e):
            await errors.put(str(e))

        nc = await connect(s, "narrow:secret@", error_cb=on_error)
        await nc.publish("no.thanks", b"x")
        text = (await asyncio.wait_for(errors.get(), 5)).lower()
        assert "permissions violation" in text and "no.thanks" in text, text
        await nc.close()


async def publish_subscribe():
    with Server("plain") as s:
        nc = await connect(s)
        sub = await nc.subscribe("a.*.c")
        await nc.publish("a.b.c", b"one", headers={"Key": "value"})
        await nc.publish("a.b.d", b"not this")
        await nc.publish("a.x.c", b"two", reply="back")
        first, second = await sub.next_msg(5), await sub.next_msg(5)
        assert (first.data, first.headers["Key"]) == (b"one", "value")
        assert (second.data, second.reply, second.subject) == (b"two", "back", "a.x.c")
        limited = await nc.subscribe("n")
        await limited.unsubscribe(limit=2)
        for i in range(3):
            await nc.publish("n", b"%d" % i)
        await settled(nc)
        assert (await limited.next_msg(5)).data == b"0"
        assert (await limited.next_msg(5)).data == b"1"
        await nc.close()


async def requests():
    with Server("plain") as s:
        nc, service = await connect(s), await connect(s)

        async def answer(msg):
            await msg.respond(b"re: " + msg.data)

        await service.subscribe("service", cb=answer)
        await settled(service)
        replies = await asyncio.gather(*(nc.request("service", b"%d" % i, timeout=5) for i in range(200)))
        assert [r.data for r in replies] == [b"re: %d" % i for i in range(200)]
        try:
            await nc.request("nobody", b"", timeout=5)
            raise AssertionError("an answer from nobody")
        except NoRespondersError:
            pass
        silent = await service.subscribe("silent")
        await settled(service)
        try:
            await nc.request("silent", b"", timeout=0.2)
            raise AssertionError("an answer from the silent")
        except NatsTimeout:
            await silent.unsubscribe()
        await nc.close()
        await service.close()


async def queue_groups():
    with Server("plain") as s:
        members, counts = [], [0, 0, 0]
        for i in range(3):
            nc = await connect(s)

            async def handler(_, i=i):
                counts[i] += 1

            await nc.subscribe("work", queue="workers", cb=handler)
            await settled(nc)
            members.append(nc)
        publisher = await connect(s)
        for _ in range(300):
            await publisher.publish("work", b"x")
        await settled(publisher)
        for nc in members:
            await settled(nc)
            await nc.drain()
        assert sum(counts) == 300 and min(counts) > 50, counts
        await publisher.close()


async def drain():
    with Server("plain") as s:
        nc, publisher = await connect(s), await connect(s)
        got = []

        async def slowly(msg):
            await asyncio.sleep(0.0005)
            got.append(msg.data)

        await nc.subscribe("d", cb=slowly)
        await settled(nc)
        for i in range(500):
            await publisher.publish("d", b"%d" % i)
        await settled(publisher)
        await settled(nc)
        await nc.drain()
        assert len(got) == 500, len(got)
        assert nc.is_closed
        await publisher.close()


async def reconnect():
    with Server("plain") as s:
        back = asyncio.Event()

        async def on_reconnect():
            back.set()

        async def ignore(_):
            pass

        nc = await connect(s, allow_reconnect=True, reconnect_time_wait=0.05, max_reconnect_attempts=200,
                           reconnected_cb=on_reconnect, error_cb=ignore)
        sub = await nc.subscribe("again")
        await settled(nc)
        s.stop()
        s.start()
        await asyncio.wait_for(back.wait(), 15)
        await nc.publish("again", b"still here")
        assert (await sub.next_msg(5)).data == b"still here"
        await nc.close()


async def tls():
    with Server("tls") as s:
        await echo_works(await connect(s, tls=trusting(), tls_hostname="localhost"))
        await refused(s, tls=ssl.create_default_context(), tls_hostname="localhost")
    with Server("tls_first") as s:
        await echo_works(await connect(s, tls=trusting(), tls_hostname="localhost", tls_handshake_first=True))
    with Server("tls_map") as s:
        await echo_works(await connect(s, tls=trusting(True), tls_hostname="localhost"))
        await refused(s, tls=trusting(), tls_hostname="localhost")


async def large_payloads():
    with Server("plain") as s:
        nc = await connect(s)
        assert nc.max_payload == 1024 * 1024
        sub = await nc.subscribe("large")
        for size in (0, 1, 100_000, 1024 * 1024):
            body = os.urandom(size)
            await nc.publish("large", body)
            assert (await sub.next_msg(10)).data == body
        try:
            await nc.publish("large", b"x" * (1024 * 1024 + 1))
            raise AssertionError("too large, yet published")
        except Error:
            pass
        await nc.close()


async def many_subscriptions():
    with Server("plain") as s:
        nc, publisher, count = await connect(s), await connect(s), 10_000
        got = set()

        async def handler(msg):
            got.add(msg.subject)

        for i in range(count):
            await nc.subscribe(f"many.{i}", cb=handler)
        await settled(nc)
        for i in range(count):
            await publisher.publish(f"many.{i}", b"")
        await settled(publisher)
        await settled(nc)
        end = time.monotonic() + 20
        while len(got) < count and time.monotonic() < end:
            await asyncio.sleep(0.02)
        assert len(got) == count, len(got)
        await nc.close()
        await publisher.close()


async def jetstream():
    with Server("jetstream") as s:
        nc = await connect(s)
        for test in (streams.streams, streams.key_value, streams.objects, streams.soak):
            await test(nc.jetstream())
        await nc.close()


async def jetstream_in_use():
    with Server("jetstream") as s:
        nc = await connect(s)
        for test in (buckets.keys, buckets.objects, buckets.consumers):
            await test(nc.jetstream())
        await nc.close()


async def main():
    tests = [authentication, permissions, publish_subscribe, requests, queue_groups, drain, reconnect,
             tls, large_payloads, many_subscriptions, jetstream_in_use, jetstream]
    for test in tests:
        start = time.monotonic()
        await asyncio.wait_for(test(), 90)
        print(f"python {test.__name__:20} ok {time.monotonic() - start:.2f} s", flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
