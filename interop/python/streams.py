"""JetStream, key-value and object store through the Python client."""

import asyncio
import time

from nats.errors import TimeoutError as NatsTimeout
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError

SOAK = 20.0


async def streams(js):
    await js.add_stream(name="PY", subjects=["py.>"])
    for i in range(20):
        assert (await js.publish(f"py.{i % 3}", b"%d" % i)).seq == i + 1
    pull = await js.pull_subscribe("py.>", "durable")
    seen = []
    for message in await pull.fetch(5, timeout=5):
        seen.append(message.metadata.sequence.stream)
        await message.ack_sync()
    assert seen == [1, 2, 3, 4, 5], seen
    info = await pull.consumer_info()
    assert (info.ack_floor.stream_seq, info.num_pending) == (5, 15), info
    assert len(await pull.fetch(15, timeout=5)) == 15
    try:
        await pull.fetch(1, timeout=0.2)
        raise AssertionError("nothing is left")
    except NatsTimeout:
        pass
    ordered = await js.subscribe("py.1", ordered_consumer=True)
    got = [(await ordered.next_msg(5)).data for _ in range(3)]
    assert got == [b"1", b"4", b"7"], got
    first = await js.publish("py.x", b"", headers={"Nats-Msg-Id": "one"})
    again = await js.publish("py.x", b"", headers={"Nats-Msg-Id": "one"})
    assert again.duplicate and again.seq == first.seq
    await js.purge_stream("PY", keep=1)
    assert (await js.stream_info("PY")).state.messages == 1


async def key_value(js):
    kv = await js.create_key_value(bucket="PYKV", history=3)
    assert await kv.put("a", b"1") == 1
    assert await kv.put("a", b"2") == 2
    try:
        await kv.create("a", b"3")
        raise AssertionError("the key is there")
    except KeyWrongLastSequenceError:
        pass
    assert await kv.update("a", b"4", last=2) == 3
    assert (await kv.get("a")).value == b"4"
    watcher = await kv.watchall()
    assert (await watcher.updates(timeout=5)).value == b"4"
    await kv.delete("a")
    try:
        await kv.get("a")
        raise AssertionError("the key is gone")
    except KeyNotFoundError:
        pass


async def objects(js):
    store = await js.create_object_store("PYOBJ")
    data = bytes(range(256)) * 2000
    info = await store.put("file", data)
    assert info.chunks > 2
    assert (await store.get("file")).data == data


async def soak(js):
    """Publishers and a consumer for a while: everything arrives once, in order."""
    await js.add_stream(name="PYSOAK", subjects=["pysoak"], max_msgs=100_000)
    pull = await js.pull_subscribe("pysoak", "soak")
    end, sent, got = time.monotonic() + SOAK, 0, 0
    while time.monotonic() < end or got < sent:
        if time.monotonic() < end:
            acks = [js.publish("pysoak", b"%d" % (sent + i)) for i in range(100)]
            seqs = [ack.seq for ack in await asyncio.gather(*acks)]
            assert sorted(seqs) == list(range(sent + 1, sent + 101))
            sent += 100
        for message in await pull.fetch(100, timeout=10):
            got += 1
            assert message.metadata.sequence.stream == got
            await message.ack()
    assert got == sent
    print(f"python soak: {got} messages", flush=True)
