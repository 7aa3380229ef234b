"""Which fault when: all of it from the seed, before anything begins."""

import collections
import hashlib
import random

from stack.sidecars import ROLES

# What stands between two parts, each a proxy that fails on request.
LINKS = ("clients-api", "pgbouncer", "redis", "kafka", *(f"{role}-sidecar" for role in ROLES),
         *(f"sidecar-{role}" for role in ROLES))
CONSUMERS = ("projector", "notifier")
# Nothing is broken in the first seconds, and what is broken last has some seconds to show.
EDGE_SECS = 4
# From the end of a fault to the next.
PAUSE_SECS = (0.5, 1.5)

# One thing that is done: so many seconds after the beginning, by which lane, with what.
Fault = collections.namedtuple("Fault", "at lane name with_")


def kill_sidecar(chance):
    return {"role": chance.choice(ROLES)}, 3


def kill_kafka(chance):
    return {"away_secs": chance.uniform(0, 3)}, 10


def restart_kafka(_chance):
    return {}, 8


def restart_postgres(chance):
    return {"away_secs": chance.uniform(0, 3)}, 6


def flush_redis(_chance):
    return {}, 0


def stop_redis(chance):
    secs = chance.uniform(1, 6)
    return {"away_secs": secs}, secs + 2


def cut_link(chance):
    secs = chance.uniform(0.5, 5)
    return {"link": chance.choice(LINKS), "secs": secs}, secs


def hang_link(chance):
    secs = chance.uniform(1, 6)
    return {"link": chance.choice(LINKS), "secs": secs, "direction": chance.choice(("upstream", "downstream"))}, secs


def delay_link(chance):
    secs = chance.uniform(2, 6)
    return {"link": chance.choice(LINKS), "secs": secs, "latency_ms": chance.randint(100, 1_500)}, secs


def lose_answers(chance):
    secs = chance.uniform(0.5, 3)
    return {"link": chance.choice(("clients-api", "pgbouncer", "kafka", "api-sidecar")), "secs": secs}, secs


def jump_clock(chance):
    """Minutes, so that a session may end of it, and hours; less than the day for which idempotency keys are kept."""
    secs = chance.uniform(3, 7)
    jump = chance.choice((1, -1)) * chance.choice((90, 20 * 60, 2 * 3_600, 12 * 3_600))
    return {"role": chance.choice(ROLES), "jump_secs": jump, "secs": secs}, secs


def stop_consumer(chance):
    secs = chance.uniform(2, 8)
    return {"role": chance.choice(CONSUMERS), "secs": secs}, secs


def storm_of_replicas(chance):
    return {"role": chance.choice(CONSUMERS), "times": chance.randint(2, 4), "kill": chance.random() < 0.5}, 12


def replay_events(chance):
    return {"role": chance.choice(CONSUMERS)}, 4


def rewind_offsets(chance):
    return {"role": chance.choice(CONSUMERS)}, 8


# Each gives what it is done with, and how many seconds it takes, about.
FAULTS = {draw.__name__: draw for draw in (
    kill_sidecar, kill_kafka, restart_kafka, restart_postgres, flush_redis, stop_redis, cut_link, hang_link, delay_link,
    lose_answers, jump_clock, stop_consumer, storm_of_replicas, replay_events, rewind_offsets,
)}
KILLS = {f"kill_{role}": role for role in ROLES}
DISK = "fill_disk"
NAMES = (*KILLS, *FAULTS, DISK)


def draw(seed, minutes, kills, only):
    """The plan, in the order of time. Each lane has chance of its own: fewer kills do not change the other faults."""
    end = minutes * 60 - EDGE_SECS
    plan = []
    for name in KILLS:
        chance = random.Random(f"{seed} {name}")
        if not only or name in only:
            plan += [Fault(chance.uniform(EDGE_SECS, end), name, name, {}) for _ in range(kills)]
    plan += draw_parts(random.Random(f"{seed} parts"), end, [name for name in FAULTS if not only or name in only])
    return sorted(plan, key=lambda fault: fault.at)


def draw_parts(chance, end, names):
    """Round after round in which each comes once, one after the other."""
    at = EDGE_SECS
    while names:
        for name in chance.sample(names, len(names)):
            with_, secs = FAULTS[name](chance)
            if at + secs > end:
                return
            yield Fault(at, "parts", name, with_)
            at += secs + chance.uniform(*PAUSE_SECS)


def fingerprint(plan):
    """Tells two plans apart in a line."""
    return hashlib.sha256(repr(plan).encode()).hexdigest()[:12]
