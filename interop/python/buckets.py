"""What users do with buckets and consumers, through the Python client."""

import asyncio
import io
import time

from nats.errors import TimeoutError as NatsTimeout
from nats.js import api
from nats.js.errors import APIError, KeyDeletedError, KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.errors import ObjectNotFoundError


async def rejects(awaitable, *errors):
    try:
        await awaitable
    except errors:
        return
    raise AssertionError(f"no error of {errors}")


async def keys(js):
    kv = await js.create_key_value(bucket="PYWATCH", history=5)
    for i in range(3):
        await kv.put("a.x", b"%d" % i)
    await kv.put("a.y", b"y")
    watcher = await kv.watch("a.*", include_history=True)
    seen = [await watcher.updates(timeout=5) for _ in range(5)]
    assert [e and e.value for e in seen] == [b"0", b"1", b"2", b"y", None], seen
    await kv.delete("a.y")
    await kv.purge("a.x")
    told = [(await watcher.updates(timeout=5)).operation for _ in range(2)]
    assert told == ["DEL", "PURGE"], told
    await watcher.stop()
    assert [e.operation for e in await kv.history("a.y")] == [None, "DEL"]
    await rejects(kv.get("a.x"), KeyDeletedError, KeyNotFoundError)
    last = await kv.create("a.x", b"again")
    await rejects(kv.update("a.x", b"late", last=last - 1), KeyWrongLastSequenceError)
    assert await kv.keys() == ["a.x"]
    await kv.purge_deletes(olderthan=-1)
    assert await js.delete_key_value("PYWATCH")

    short = await js.create_key_value(config=api.KeyValueConfig(bucket="PYTTL", ttl=1))
    await short.put("k", b"1")
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            await short.get("k")
        except KeyNotFoundError:
            break
    else:
        raise AssertionError("the key never expires")


async def objects(js):
    store = await js.create_object_store("PYBIG", config=api.ObjectStoreConfig(description="words"))
    watcher = await store.watch(include_history=False)
    big = bytes(range(256)) * 20_000
    meta = api.ObjectMeta(description="big", options=api.ObjectMetaOptions(max_chunk_size=100_000))
    info = await store.put("big", io.BytesIO(big), meta=meta)
    assert (info.size, info.chunks) == (len(big), 52), info
    assert (await store.get("big")).data == big
    await store.put("other", b"small")
    await store.put("other", b"smaller")
    assert (await store.get("other")).data == b"smaller"
    await store.update_meta("other", api.ObjectMeta(name="other", description="new"))
    assert sorted(o.name for o in await store.list()) == ["big", "other"]
    await store.delete("other")
    await rejects(store.get("other"), ObjectNotFoundError)
    names = []
    while len(names) < 5:
        told = await asyncio.wait_for(watcher.updates(), 5)
        if told is not None:
            names.append(told.name)
    await store.seal()
    await rejects(store.put("late", b""), APIError)


async def consumers(js):
    await js.add_stream(name="PYC", subjects=["pyc.>"], duplicate_window=1)
    config = api.ConsumerConfig(durable_name="c", ack_wait=0.5, max_deliver=3)
    pull = await js.pull_subscribe("pyc.>", "c", config=config)
    began = time.monotonic()
    await rejects(pull.fetch(1, timeout=0.5), NatsTimeout)
    assert time.monotonic() - began > 0.3
    for i in range(3):
        await js.publish(f"pyc.{i}", b"x")
    first, second, third = await pull.fetch(3, timeout=5)
    await first.nak(delay=0.1)
    await second.term()
    await third.in_progress()
    await third.ack_sync()
    (again,) = await pull.fetch(1, timeout=5)
    assert (again.metadata.sequence.stream, again.metadata.num_delivered) == (1, 2)
    # Not acknowledged: it comes once more, and then no more.
    (again,) = await pull.fetch(1, timeout=5)
    assert again.metadata.num_delivered == 3
    await rejects(pull.fetch(1, timeout=1.5, heartbeat=0.4), NatsTimeout)

    heard = asyncio.Queue()

    async def hear(message):
        await heard.put(message)

    group = await js.subscribe("pyc.>", queue="workers", cb=hear, manual_ack=True)
    for _ in range(3):
        await (await asyncio.wait_for(heard.get(), 5)).ack()
    await group.unsubscribe()
    ordered = await js.subscribe("pyc.>", ordered_consumer=True, idle_heartbeat=0.5)
    assert [(await ordered.next_msg(5)).subject for _ in range(3)] == ["pyc.0", "pyc.1", "pyc.2"]
    headers = {"Nats-Msg-Id": "one"}
    assert (await js.publish("pyc.d", b"", headers=headers)).seq == 4
    assert (await js.publish("pyc.d", b"", headers=headers)).duplicate
    expected = {"Nats-Expected-Last-Sequence": "1"}
    await rejects(js.publish("pyc.d", b"", headers=expected), APIError)
    assert (await js.get_last_msg("PYC", "pyc.d")).seq == 4
    assert (await js.get_msg("PYC", seq=1, next=True, subject="pyc.1")).seq == 2
    assert await js.delete_msg("PYC", 2)
    await js.purge_stream("PYC", subject="pyc.0")
    assert (await js.stream_info("PYC")).state.messages == 2
    assert await js.delete_consumer("PYC", "c")
    assert await js.delete_stream("PYC")
