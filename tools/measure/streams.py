"""Many people with open streams of alerts: what they cost at rest, and how soon an alert is with its reader."""

import asyncio
import concurrent.futures
import datetime
import json
import time

from .server import Person, Somebody

# Those of them who have a budget, and break it.
SPENDERS = 50
PER_SECOND = 20
# How long to wait for what must come.
PATIENCE_SECS = 60


def streams(server, count, seconds):
    """Rows: the streams at rest, and alerts to some of them."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        spenders = list(pool.map(lambda _: Person(server.address), range(min(SPENDERS, count))))
        others = list(pool.map(lambda _: Somebody(server.address), range(count - len(spenders))))
    return asyncio.run(follow(server, spenders, others, seconds))


async def follow(server, spenders, others, seconds):
    came, writers, readers = {}, [], []
    for person in spenders + others:
        reader, writer = await asyncio.open_connection(*server.address.split(":"))
        writer.write((f"GET /v1/alerts/stream HTTP/1.1\r\nHost: {server.address}\r\n"
                      f"Authorization: Bearer {person.token}\r\n\r\n").encode())
        await reader.readuntil(b": connected\n\n")
        writers.append(writer)
        readers.append(asyncio.create_task(read(reader, person, came)))
    cpu, begun = server.cpu_secs(), time.monotonic()
    await asyncio.sleep(seconds)
    took = (server.cpu_secs() - cpu) / (time.monotonic() - begun)
    rest = {"work": f"{len(writers)} streams, at rest", "memory_mib": server.memory_mib(), "cpu_secs": 1_000 * took}
    waits = sorted(await alerts(spenders, came, seconds))
    for task, writer in zip(readers, writers):
        task.cancel()
        writer.close()
    at = {f"p{percent}_ms": 1_000 * waits[len(waits) * percent // 100] for percent in (50, 95, 99)}
    return [rest, {"work": f"alert, {len(writers)} streams", **at, "memory_mib": server.memory_mib(), "created": len(waits)}]


async def alerts(spenders, came, seconds):
    """From the booking that breaks a budget to its alert on the stream: people in turn, each time a month further."""
    sent, month = {}, datetime.date.today()
    for number in range(PER_SECOND * seconds):
        if number % len(spenders) == 0:
            month = (month.replace(day=28) + datetime.timedelta(7)).replace(day=1)
        person, begun = spenders[number % len(spenders)], time.monotonic()
        sent[person, str(month)] = begun
        await asyncio.to_thread(person.break_budget, str(month))
        await asyncio.sleep(max(0.0, begun + 1 / PER_SECOND - time.monotonic()))
    deadline = time.monotonic() + PATIENCE_SECS
    while len(came) < len(sent):
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: {len(sent) - len(came)} of {len(sent)} alerts did not come")
        await asyncio.sleep(0.05)
    return [came[key] - begun for key, begun in sent.items()]


async def read(reader, person, came):
    while line := await reader.readline():
        if line.startswith(b"data: "):
            came.setdefault((person, json.loads(line[6:])["details"]["period_start"]), time.monotonic())
