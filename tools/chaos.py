#!/usr/bin/env python3
"""Breaks the real thing from a seed while people use it, and counts their books afterwards by other means.

It starts a stack of its own (tools/stack.py) with a proxy in every place where two parts meet, the three roles on it,
each with a clock that can be set, and some people. They open wallets, book, transfer, split, let bookings come again,
amend, delete, make budgets, put aside for goals, run rules over what they have booked and undo it, repeat what was not
answered, look for their own and for others', and remember what they were told. Meanwhile, by a plan that the seed makes:

    kill_api, kill_projector, kill_notifier   kill -9, --kills times each; started again at once
    kill_sidecar                              kill -9 of a daprd
    kill_kafka, restart_kafka                 kill -9; in order
    restart_postgres                          at once, as after a crash
    flush_redis, stop_redis                   FLUSHALL; away for seconds
    cut_link, hang_link, delay_link           between any two parts: connections end, hang, are slow
    lose_answers                              what is asked arrives, what is answered does not
    jump_clock                                of a role: by minutes or hours, forth and back
    stop_consumer                             SIGSTOP of projector or notifier, then SIGCONT
    storm_of_replicas                         replicas of a role come and go
    replay_events                             `wealth-companion events replay --from -10m`
    rewind_offsets                            a consumer group hears the last ten minutes once more
    fill_disk                                 the embedded profile on a small disk that fills (needs root; a part of its own)

Then everything is healed, and when nothing is left to be published and handled, it looks whether each acknowledged write
is there as it was acknowledged, once; balances, sums and budgets are those of the bookings; each version of a booking
has its event, in order; each event was handled; each crossing has one alert, and its stream told of it once; nobody saw
anything of others; reading with `wait_for` showed one's own write; there are no dead letters; and `verify` finds nothing.

    chaos.py --binary target/debug/wealth-companion                        two minutes, seed 1
    chaos.py --binary target/debug/wealth-companion --seed 7 --minutes 45 --kills 300
    chaos.py --binary target/debug/wealth-companion --only kill_projector,rewind_offsets --kills 20
    chaos.py --plan --seed 7                                               only print what would be done, and when
    chaos.py --self-test                                                   does the checker find what is wrong?

The same seed makes the same plan of faults; how the writes of people fall between them is up to the machine.

Exit code: 0 the books are right, 1 they are not, 2 it could not be played.
"""

import argparse
import collections
import os
import pathlib
import shlex
import subprocess
import sys
import threading
import time
import traceback

sys.dont_write_bytecode = True

from chaos import checker, finding, nemeses, plan, report  # noqa: E402
from chaos.embedded import Embedded  # noqa: E402
from chaos.people import Crowd  # noqa: E402
from chaos.world import ChaosWorld  # noqa: E402
from proving.world import Failed  # noqa: E402
from stack.machine import Interrupted, StackError, ended, interrupt_on_signals, say  # noqa: E402

PEOPLE = 6
SAY_SECS = 30


def parse_arguments():
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, help="the product, built")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="makes the plan of faults [default: 1]")
    parser.add_argument("--minutes", type=float, default=2, metavar="M", help="how long things are broken [default: 2]")
    parser.add_argument("--kills", type=int, default=10, metavar="K", help="of each role [default: 10]")
    parser.add_argument("--only", metavar="NEMESIS,NEMESIS", type=lambda text: text.split(","), default=[], help="of those above")
    parser.add_argument("--disk-full", type=int, default=4, metavar="N", help="how often the disk fills [default: 4]")
    parser.add_argument("--pause-ms", type=int, default=100, metavar="MS",
                        help="of each of the six people between two things that they do, on average [default: 100]")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the report there, for machines")
    parser.add_argument("--markdown", type=pathlib.Path, metavar="FILE", help="write the report there, for people")
    parser.add_argument("--logs", type=pathlib.Path, metavar="DIR", help="keep there what the roles say")
    parser.add_argument("--plan", action="store_true", help="print the plan, and do nothing")
    parser.add_argument("--self-test", action="store_true", help="test the checker, with histories in which something is wrong")
    args = parser.parse_args()
    if unknown := set(args.only) - set(plan.NAMES):
        parser.error(f"there is no {', '.join(sorted(unknown))}: take some of {', '.join(plan.NAMES)}")
    if not (args.plan or args.self_test) and (not args.binary or not os.access(args.binary, os.X_OK)):
        parser.error(f"there is no binary {args.binary or ''}: build it first (make build), and name it with --binary")
    return args


def main():
    args = parse_arguments()
    if args.self_test:
        return subprocess.run([sys.executable, "-m", "unittest", "-q", "test_chaos"], cwd=pathlib.Path(__file__).parent,
                              check=False).returncode
    if args.plan:
        return ended("chaos", lambda: show(args))
    interrupt_on_signals()
    try:
        return play(args)
    except (Failed, StackError, OSError, subprocess.SubprocessError) as error:
        print(f"chaos: {error}", file=sys.stderr)
        return 2
    except Interrupted as interrupted:
        return interrupted.exit_code


def show(args):
    for fault in plan.draw(args.seed, args.minutes, args.kills, args.only):
        print(f"{fault.at:8.1f} s  {fault.name:<18} {told(fault)}")


def told(fault):
    return ", ".join(f"{name} {value:.1f}" if isinstance(value, float) else f"{name} {value}"
                     for name, value in fault.with_.items())


def play(args):
    parts = []
    if not args.only or set(args.only) - {plan.DISK}:
        parts.append(on_the_stack(args))
    if not args.only or plan.DISK in args.only:
        if os.geteuid() == 0:
            parts.append(on_a_small_disk(args))
        elif plan.DISK in args.only:
            raise Failed(f"{plan.DISK} takes root: it mounts a small file system")
        else:
            say(f"{plan.DISK}: left out, since it takes root (it mounts a small file system)")
    text = report.as_markdown(parts)
    sys.stdout.write(text)
    for path, content in ((args.markdown, text), (args.json, report.as_json(parts))):
        if path:
            path.write_text(content, encoding="utf-8")
    return 0 if report.is_right(parts) else 1


def on_the_stack(args):
    planned = plan.draw(args.seed, args.minutes, args.kills, args.only)
    if args.logs:
        args.logs.mkdir(parents=True, exist_ok=True)
    with ChaosWorld(args.binary.resolve(), args.logs) as world:
        world.start()
        crowd = Crowd(PEOPLE, args.seed, world.api, args.pause_ms / 1000)
        try:
            campaign = Campaign(world, planned, args.minutes)
            crowd.start()
            campaign.run(crowd)
            crowd.stop()
            say("healing …")
            world.heal()
            database = finding.PostgresBooks(world)
            part = settle_and_judge(crowd, database, world.run, on_topics=True)
        finally:
            crowd.leave()
        ends = {f"{role} ended by itself": one.ends for role, one in world.roles.items() if one.ends}
        part["facts"].update({"plan": plan.fingerprint(planned), **ends})
    return finish(args, "On the real parts", part, campaign.injected, campaign.notes)


def on_a_small_disk(args):
    say("the embedded profile on a disk that fills …")
    with Embedded(args.binary.resolve(), args.logs) as embedded:
        crowd = Crowd(PEOPLE, args.seed, embedded.api, args.pause_ms / 1000)
        try:
            crowd.start()
            embedded.fill_and_free(args.seed, args.disk_full)
            crowd.stop()
            database = finding.SqliteBooks(embedded.data / "wealth.db")
            part = settle_and_judge(crowd, database, embedded.run, on_topics=False)
        finally:
            crowd.leave()
        if embedded.process.ends:
            part["facts"]["the process ended by itself"] = embedded.process.ends
        injected = collections.Counter({plan.DISK: args.disk_full, "kill while it is full": embedded.process.kills})
    return finish(args, "The embedded profile, while its disk fills", part, injected, [])


def settle_and_judge(crowd, database, run, on_topics):
    """After healing: what is left is waited for, people close their books, and these are compared."""
    for person in crowd.people:
        person.close_books()
    finding.wait_until_booked(crowd.people)
    rest, drained = finding.wait_until_drained(database)
    finding.wait_until_told(crowd.people)
    found = finding.find(crowd.people, database, run, on_topics)
    verdict = checker.judge([person.books for person in crowd.people], found)
    counts = sum((person.books.counts for person in crowd.people), collections.Counter())
    facts = {"seconds until nothing was left": f"{drained:.0f}", "events in the log": len(found.log)}
    if any(rest):
        facts["left when the time was up"] = f"{rest[0]} to be published, {rest[1]} to be handled"
    facts.update({f"topics, {name}": value for name, value in checker.told_of_topics(found.topics).items()})
    return {"facts": facts, "counts": counts, "verdict": verdict}


def finish(args, title, part, injected, notes):
    given = ["--seed", str(args.seed), "--minutes", f"{args.minutes:g}", "--kills", str(args.kills),
             "--disk-full", str(args.disk_full), "--pause-ms", str(args.pause_ms), *(["--only", ",".join(args.only)] if args.only else [])]
    command = f"make chaos ARGS={shlex.quote(shlex.join(given))}"
    return report.part(title, command, part["facts"], injected, part["counts"], part["verdict"], notes)


class Campaign:
    """Plays the plan: each lane in a thread, one fault after the other in it."""

    def __init__(self, world, planned, minutes):
        self.world, self.planned, self.end = world, planned, minutes * 60
        self.injected, self.notes = collections.Counter(), []
        self.failure = None
        self.stopped = threading.Event()

    def run(self, crowd):
        lanes = collections.defaultdict(list)
        for fault in self.planned:
            lanes[fault.lane].append(fault)
        begun = time.monotonic()
        threads = [threading.Thread(target=self.play, args=(lane, begun), daemon=True) for lane in lanes.values()]
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                self.stopped.wait(SAY_SECS)
                counts = [count for person in crowd.people for count in list(person.books.counts.items())]
                writes = sum(count for name, count in counts if name.endswith(" sent"))
                wrong = sum(len(person.books.wrong) for person in crowd.people)
                done = sum(self.injected.values())
                say(f"{time.monotonic() - begun:.0f} s: {done} of {len(self.planned)} faults, {writes} writes"
                    + (f", {wrong} things are wrong" if wrong else ""))
                if self.failure:
                    raise Failed(self.failure)
        finally:
            self.stopped.set()
            for thread in threads:
                thread.join()

    def play(self, lane, begun):
        for fault in lane:
            if self.stopped.wait(max(0, begun + fault.at - time.monotonic())):
                return
            if fault.lane == "parts" and time.monotonic() > begun + self.end:
                self.notes.append(f"{fault.name}: left out, since those before it took longer than planned")
                continue
            try:
                note = nemeses.play(self.world, fault)
            except Exception:
                self.failure = f"{fault.name} could not be played: {traceback.format_exc()}"
                self.stopped.set()
                return
            self.injected[fault.name] += 1
            if note:
                self.notes.append(f"{fault.name}: {note}")


if __name__ == "__main__":
    sys.exit(main())
