"""What is done to the world: one function for each fault of the plan. Each puts right what it did.

What it gives is told in the report: a text, for what went otherwise than meant, or nothing.
"""

import contextlib
import signal
import subprocess
import time

from proving.world import Failed, answers, wait_for
from stack.machine import StackError

REPLICA_READY_SECS_MAX = 20
GROUP_EMPTY_SECS_MAX = 60
# How far back events are handed over again.
BACK_MINUTES = 10


def kill_role(world, role):
    world.roles[role].kill()


def kill_sidecar(world, role):
    world.kill_part(f"sidecar-{role}")
    world.bring_back(f"sidecar-{role}")


def kill_kafka(world, away_secs):
    world.kill_part("kafka")
    time.sleep(away_secs)
    world.bring_back("kafka")


def restart_kafka(world):
    world.take_away("kafka")
    world.bring_back("kafka")


def restart_postgres(world, away_secs):
    """As after a crash: nobody is waited for, and nothing is written that was not."""
    world.kill_part("postgres", signal.SIGQUIT)
    time.sleep(away_secs)
    world.bring_back("postgres")


def flush_redis(world):
    return None if world.redis("FLUSHALL") else "Redis did not answer"


def stop_redis(world, away_secs):
    world.take_away("redis")
    time.sleep(away_secs)
    world.bring_back("redis")


def cut_link(world, link, secs):
    world.links.cut(link)
    time.sleep(secs)
    world.links.mend(link)


def hang_link(world, link, secs, direction):
    """Nothing comes through in this direction, and nobody is told."""
    with poisoned(world, link, "timeout", direction, timeout=0):
        time.sleep(secs)


def delay_link(world, link, secs, latency_ms):
    with poisoned(world, link, "latency", "downstream", latency=latency_ms, jitter=latency_ms // 2):
        time.sleep(secs)


def lose_answers(world, link, secs):
    """What is asked arrives; the connection ends before the answer does."""
    with poisoned(world, link, "limit_data", "downstream", bytes=0):
        time.sleep(secs)


@contextlib.contextmanager
def poisoned(world, link, kind, direction, **attributes):
    world.links.poison(link, kind, direction, **attributes)
    try:
        yield
    finally:
        world.links.cure(link, kind, direction)


def jump_clock(world, role, jump_secs, secs):
    world.set_clock(role, jump_secs)
    time.sleep(secs)
    world.set_clock(role, 0)


def stop_consumer(world, role, secs):
    world.roles[role].signal(signal.SIGSTOP)
    time.sleep(secs)
    world.roles[role].signal(signal.SIGCONT)


def storm_of_replicas(world, role, times, kill):
    """Two replicas come and go, again and again: each time the partitions are given out anew."""
    late = 0
    for number in range(times):
        pairs = [world.add_replica(role, f"{number}-{twin}") for twin in range(2)]
        for _, _, ready in pairs:
            try:
                wait_for("a replica is not ready", lambda ready=ready: answers(ready), REPLICA_READY_SECS_MAX)
            except Failed:
                late += 1
        for daprd, replica, _ in pairs:
            for process in (replica, daprd):
                process.kill() if kill else process.end()
                world.replicas.remove(process)
    return f"{late} replicas were not ready in time" if late else None


def replay_events(world, role):
    code, said = world.run("events", "replay", "--role", role, "--from", f"-{BACK_MINUTES}m")
    return None if code == 0 else f"`events replay` ended with {code}: {said.strip()[-200:]}"


def rewind_offsets(world, role):
    """The group hears once more what was said in the last minutes."""
    world.take_away(f"sidecar-{role}")
    kafka = world.stack.part("kafka")
    tool = [*kafka.java(96), "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--bootstrap-server",
            world.state["kafka"]["brokers"], "--group", f"wealth-companion-{role}", "--reset-offsets",
            "--by-duration", f"PT{BACK_MINUTES}M", "--all-topics", "--execute"]
    said = ""

    def is_rewound():
        nonlocal said
        done = subprocess.run(tool, cwd=kafka.folder, capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).strip()
        return done.returncode == 0 and "Error" not in said

    try:
        wait_for("the offsets are not reset", is_rewound, GROUP_EMPTY_SECS_MAX)
    except Failed:
        return f"the offsets could not be reset: {said[-300:]}"
    finally:
        world.bring_back(f"sidecar-{role}")


def play(world, fault):
    """Does it; gives what is to be told of it."""
    if fault.name.startswith("kill_") and fault.lane != "parts":
        return kill_role(world, fault.name.removeprefix("kill_"))
    try:
        return globals()[fault.name](world, **fault.with_)
    except (Failed, StackError) as error:
        return str(error)
