#!/usr/bin/env python3
"""Measures the API under load, beside what the same database does on the same machine with the same three writes
(row, balance, event) and nothing else.

For each database and each length of history it starts the server on an empty database, fills one user's history,
and measures: reads at a fixed rate, with the latency of each counted from the moment when it was due; bookings by
64 people on 64 connections as fast as they go; and bookings at 70 % of that. Afterwards all that was acknowledged
must be there, and `verify` must find nothing.

    make bench                                        # SQLite and PostgreSQL, 1,000 to 1,000,000 bookings
    make bench ARGS="--database postgres --bookings 1000 --seconds 5 --json"
    make bench ARGS="--database postgres --bookings 10000 1000000 --others 9000000"   # ten million in all: 10 GB of disk
    make bench ARGS="--database postgres --bookings 10000 1000000 --others 9000000 --reads"   # what reads cost there, alone
    make bench-quick

docs/performance.md explains the table. Machines are noisy: look at the ratios. It needs no network but the loopback.
"""

import argparse
import contextlib
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

from measure.databases import TAG, Postgres, Sqlite
from measure.machine import describe_stack
from measure.server import Person, Server
from measure.streams import streams
from measure.watchers import Watchers

PEOPLE = 64
CONNECTIONS = 64
SIGN_INS_AT_ONCE = 8
READS_PER_SECOND, READERS = 200, 16
# Reads of one kind are measured in turns with the others, of which the middle one is told.
READ_TURNS = 10
RAW_READS = "baseline, first page"
BOOK_STEADY, RAW_STEADY = "book, 70 % of it", "baseline, 70 % of it"
LIST_ALONE, LIST_BESIDE = "wallets", "wallets, beside sign-ins"
UNWATCHED, UNWATCHED_AGAIN, WATCHED, WATCHED_AND_LOGS, WATCHED_BADLY = (
    "book, unwatched", "book, unwatched again", "book, watched", "book, watched, logs pushed", "book, bad watchers")
# What those who watch are.
WATCHERS = {UNWATCHED: None, UNWATCHED_AGAIN: None, WATCHED: {}, WATCHED_AND_LOGS: {"takes_logs": True},
            WATCHED_BADLY: {"is_bad": True}}
WATCHED_TURNS = 20
PROJECTED_A_SECOND_AT_LEAST = 1_000
# Of the top rate: what a service may be asked to bear for long.
STEADY = 0.7


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, type=pathlib.Path, help="the server, built for release")
    parser.add_argument("--load", required=True, type=pathlib.Path, help="the generator of load (benches/load.rs), built")
    parser.add_argument("--database", nargs="+", default=["sqlite", "postgres"], choices=["sqlite", "postgres"])
    parser.add_argument("--bookings", type=int, nargs="+", default=[1_000, 100_000, 1_000_000], help="lengths of the history")
    parser.add_argument("--others", type=int, default=0, metavar="BOOKINGS",
                        help="of other people, beside the longest history, on PostgreSQL")
    parser.add_argument("--reads", action="store_true", help="measure reads alone: nobody books, signs in or listens")
    parser.add_argument("--streams", type=int, nargs="+", default=[1_000, 10_000], help="people with an open stream")
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement")
    parser.add_argument("--soak", type=int, default=0, metavar="MINUTES", help="book at the top rate for so long, with the memory after each")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--check", type=pathlib.Path, metavar="FILE", help="fail when a ratio of this file fell by a third")
    args = parser.parse_args()
    args.binary, args.load = args.binary.resolve(), args.load.resolve()
    rows = []
    for name in args.database:
        for bookings in args.bookings:
            say(args, f"{name}, {bookings} bookings")
            rows += measure(args, name, bookings)
    if args.json:
        json.dump(rows, sys.stdout, indent=2)
    else:
        show(rows)
    return check(json.loads(args.check.read_text()), ratios(rows)) if args.check else 0


def ratios(rows):
    """What does not depend on the machine: bookings beside the baseline, and what a long history costs a read."""
    found = {}
    for database in sorted({row["database"] for row in rows}):
        ours = [row for row in rows if row["database"] == database]
        shortest, longest = (pick(row["bookings"] for row in ours) for pick in (min, max))
        if booked := [row["ratio"] for row in ours if "ratio" in row]:
            found[f"{database}: bookings beside the baseline"] = min(booked)
        for work in sorted({row["work"] for row in ours if row["work"].endswith("/s")}):
            p50 = {row["bookings"]: row["p50_ms"] for row in ours if row["work"] == work}
            found[f"{database}: {work}, the shortest history beside the longest"] = p50[shortest] / p50[longest]
        for row in ours:
            if "watched_ratio" in row and row["work"] != UNWATCHED:
                found[f"{database}: {row['work']}, beside unwatched"] = row["watched_ratio"]
        p99 = {row["work"]: row["p99_ms"] for row in ours if row["work"] in (LIST_ALONE, LIST_BESIDE)}
        if p99:
            found[f"{database}: p99 of a list alone, beside itself while people sign in"] = p99[LIST_ALONE] / p99[LIST_BESIDE]
    return found


def check(expected, found):
    databases = {name.split(":")[0] for name in found}
    fallen = [f"{name}: {found.get(name, 0.0):.2f}, expected {value:.2f}" for name, value in expected.items()
              if name.split(":")[0] in databases and found.get(name, 0.0) < value * 2 / 3]
    for line in fallen:
        print(f"bench: fell by more than a third: {line}", file=sys.stderr)
    return 1 if fallen else 0


def say(args, text):
    if sys.stderr.isatty() and not args.json:
        print(text, file=sys.stderr)


def show(rows):
    columns = (("database", "database", "", 10), ("bookings", "bookings", "d", 10), ("work", "work", "", 30),
               ("per_second", "1/s", ".0f", 8), ("baseline", "baseline", ".0f", 10), ("ratio", "ratio", ".2f", 7),
               ("p50_ms", "p50 ms", ".1f", 8), ("p95_ms", "p95 ms", ".1f", 8), ("p99_ms", "p99 ms", ".1f", 8),
               ("quiet_p99_ms", "quietest", ".1f", 10),
               ("memory_mib", "MiB", ".0f", 6), ("cpu_secs", "CPU s/1000", ".2f", 12), ("flushes", "flushes", ".2f", 9))
    print("".join(f"{title:>{width}}" for _, title, _, width in columns))
    for row in rows:
        cells = ("" if row.get(key) is None else format(row[key], how) for key, _, how, _ in columns)
        print("".join(f"{cell:>{width}}" for cell, (_, _, _, width) in zip(cells, columns)))
    if baselines := {f"{row['database']}: {row['baseline_is']}" for row in rows if "baseline_is" in row}:
        print("baseline:", "; ".join(sorted(baselines)))
    for name, ratio in ratios(rows).items():
        print(f"{name}: {ratio:.2f}")
    print("CPU s/1000: of the server and its database, a thousand requests, or a thousand seconds at rest; "
          "flushes: waits for the disk, a booking")


def measure(args, name, bookings):
    with tempfile.TemporaryDirectory(dir=args.binary.parent) as folder:
        folder = pathlib.Path(folder)
        with contextlib.closing(open_database(args, name, folder / "data")) as database:
            rows = on_database(args, database, bookings)
        if bookings == min(args.bookings) and not args.reads:
            rows += watched(args, name, folder)
    return [{"database": name, "bookings": bookings, **row} for row in rows]


def open_database(args, name, folder):
    if name == "postgres":
        # The server of the stack runs as somebody else, and reads nothing here.
        return Postgres(args.binary, folder, describe_stack()["postgres"]["url"])
    return Sqlite(args.binary, folder)


def on_database(args, database, bookings):
    baseline = None if args.reads else database.raw(args.seconds, STEADY)
    with Server(database) as server:
        at_rest = server.memory_mib()
        people = [Person(server.address) for _ in range(PEOPLE)]
        ready_ms = server.ready_ms
    person = people[0]
    database.fill(bookings, person.id, uuid.UUID(person.wallet), [uuid.UUID(it) for it in person.categories])
    others = args.others if bookings == max(args.bookings) and database.name == "postgres" else 0
    if others:
        database.fill_others(others)
    run(database, "events", "replay", "--role", "projector", "--rebuild")
    database.vacuum()
    rows = [{"work": "start, to ready", "p50_ms": ready_ms, "memory_mib": at_rest}]
    with Server(database) as server:
        for somebody in people:
            somebody.address = server.address
        rows += reads(args, server, person, bookings)
        if args.reads:
            return without_counts(rows)
        rows += books(args, server, people, baseline)
    if bookings == min(args.bookings):
        rows += idle(database)
        rows += beside_sign_ins(args, database)
        settle(database)
        for count in args.streams:
            # All roles: an alert is made by the others.
            with Server(database, []) as server:
                rows += streams(server, count, args.seconds)
    acknowledged = bookings + others + sum(row.get("created", 0) for row in rows)
    if (found := database.count()) != acknowledged:
        raise SystemExit(f"bench: {acknowledged} bookings were acknowledged, and {found} are there")
    settle(database, acknowledged)
    return without_counts(rows)


def without_counts(rows):
    return [{key: value for key, value in row.items() if key != "created"} for row in rows]


def reads(args, server, person, bookings):
    """Each kind after all connections have been used for it: the database plans a statement anew the first times. On
    PostgreSQL beside what pgbench takes for the rows of the first page alone, at the same rate."""
    works = {}
    for work, path, is_right in (
        ("list, first page", "/v1/transactions?limit=50", lambda page: len(page["items"]) == 50),
        ("list, deep page", person.deep_page(0.9 * bookings), lambda page: len(page["items"]) == 50),
        ("list by a tag", f"/v1/transactions?limit=50&tag={TAG}", lambda page: len(page["items"]) == 50),
        ("search", "/v1/transactions?limit=50&q=booking", lambda page: len(page["items"]) == 50),
        ("dashboard", "/v1/dashboard?month=2025-06", lambda month: float(month["spending"]) > 0),
        ("budgets", "/v1/budgets", lambda page: len(page["items"]) == 1),
    ):
        if not is_right(answer := person.send("GET", path)):
            raise SystemExit(f"bench: {path} answers {str(answer)[:500]}")
        request = person.request("GET", path)
        load(args, server, [request], READERS, seconds=1)
        works[f"{work}, {READS_PER_SECOND}/s"] = request
    seen = {work: [] for work in works}
    raw, turn = [], args.seconds / READ_TURNS
    for _ in range(READ_TURNS):
        for work, request in works.items():
            seen[work].append(load(args, server, [request], READERS, READS_PER_SECOND, turn))
        if row := server.database.raw_reads(person.id, turn, READS_PER_SECOND, READERS):
            raw.append(row)
    if raw:
        seen[f"{RAW_READS}, {READS_PER_SECOND}/s"] = raw
    return [{"work": work, **middle(turns), "quiet_p99_ms": min(row["p99_ms"] for row in turns)} for work, turns in seen.items()]


def books(args, server, people, baseline):
    """All of them book: the one with the long history among them."""
    requests = [people[number % PEOPLE].booking(number) for number in range(6_400)]
    top = load(args, server, requests, CONNECTIONS)
    ratio = {"baseline": baseline["per_second"], "baseline_is": baseline["baseline"],
             "ratio": top["per_second"] / baseline["per_second"]}
    rows = [{"work": "book, top rate", **top, **ratio}]
    rate = STEADY * top["per_second"]
    rows.append({"work": BOOK_STEADY, **load(args, server, requests, CONNECTIONS, rate)})
    if steady := baseline.get("steady"):
        rows.append({"work": RAW_STEADY, **steady})
    # What is kept from one minute to the next would be seen.
    return rows + [{"work": f"book, minute {minute}", **load(args, server, requests, CONNECTIONS, seconds=60)}
                   for minute in range(1, args.soak + 1)]


def idle(database):
    """What a role takes that has nothing to do; the API is told of at its start."""
    rows = []
    for role in database.other_roles:
        with Server(database, ["--role", role]) as server:
            rows.append({"work": f"start of {role}, to ready", "p50_ms": server.ready_ms, "memory_mib": server.memory_mib()})
    return rows


def beside_sign_ins(args, database):
    """A list by itself, and while others sign in as fast as they are let, with passwords hashed as in production."""
    with Server(database, passwords_as_usual=True) as server:
        person = Person(server.address)
        listed = [person.request("GET", "/v1/wallets")]
        alone = load(args, server, listed, 16, READS_PER_SECOND)
        others = started(args, server, [person.sign_in()], SIGN_INS_AT_ONCE, args.seconds + 1)
        beside = load(args, server, listed, 16, READS_PER_SECOND)
        signed_in = told_by(others)
    if not signed_in["statuses"].get("200"):
        raise SystemExit(f"bench: nobody could sign in: {signed_in['statuses']}")
    return [{"work": LIST_ALONE, **alone}, {"work": LIST_BESIDE, **beside}]


def watched(args, name, folder):
    """Bookings at the top rate while nobody watches, and while somebody is told everything. All are up at once, each with
    a database of its own, and have their turns of a second in random order: what the machine does beside hits all alike.
    Two that nobody watches tell what of a difference is chance; the others stand beside the middle of them."""
    with contextlib.ExitStack() as stack:
        watched_by = {work: None if kind is None else stack.enter_context(contextlib.closing(Watchers(**kind)))
                      for work, kind in WATCHERS.items()}
        databases = {work: stack.enter_context(contextlib.closing(open_database(args, name, folder / str(number))))
                     for number, work in enumerate(WATCHERS)}
        servers = {work: stack.enter_context(Server(databases[work], settings=watchers and watchers.settings))
                   for work, watchers in watched_by.items()}
        requests = {}
        for work, server in servers.items():
            people = [Person(server.address) for _ in range(PEOPLE)]
            requests[work] = [people[number % PEOPLE].booking(number) for number in range(6_400)]
        seen = {work: [] for work in WATCHERS}
        for turn in range(WATCHED_TURNS + 1):
            for work in random.sample(list(WATCHERS), len(WATCHERS)):
                watchers = watched_by[work]
                with watchers.reading(servers[work]) if watchers else contextlib.nullcontext():
                    row = load(args, servers[work], requests[work], CONNECTIONS, seconds=1)
                # The first is for what comes once: connections, plans, caches.
                if turn:
                    seen[work].append(row)
    first, again = total(seen[UNWATCHED]), total(seen[UNWATCHED_AGAIN])
    beside = {UNWATCHED: first, UNWATCHED_AGAIN: first}
    return [{"work": work, **middle(rows), "watched_ratio": total(rows) / beside.get(work, (first + again) / 2)} for work, rows in seen.items()]


def middle(rows):
    keys = ("per_second", "p50_ms", "p95_ms", "p99_ms", "memory_mib", "cpu_secs")
    return {key: statistics.median(row[key] for row in rows) for key in keys if key in rows[0]}


def total(rows):
    return sum(row["per_second"] for row in rows)


def load(args, server, requests, connections, rate=None, seconds=None):
    """Runs the generator; gives what it saw, and what that took of the machine."""
    cpu, flushes = server.cpu_secs(), server.flushes()
    told = told_by(started(args, server, requests, connections, seconds or args.seconds, rate))
    if set(told["statuses"]) - {"200", "201"}:
        raise SystemExit(f"bench: something was refused: {told['statuses']}")
    answers, created = told["answers"], told["statuses"].get("201", 0)
    return {
        "per_second": answers / told["seconds"], **{f"p{at}_ms": told[f"p{at}_us"] / 1_000 for at in (50, 95, 99)},
        "memory_mib": server.memory_mib(), "cpu_secs": 1_000 * (server.cpu_secs() - cpu) / answers,
        "flushes": (server.flushes() - flushes) / created if created else None, "created": created,
    }


def started(args, server, requests, connections, seconds, rate=None):
    """The generator, which reads all requests before it sends the first."""
    command = [args.load, server.address, "/dev/stdin", str(connections), str(seconds)]
    command += [] if rate is None else [str(rate)]
    generator = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with generator.stdin as lines:
        lines.writelines(json.dumps(request) + "\n" for request in requests)
    return generator


def told_by(generator):
    """What it has seen, at its end."""
    told = generator.stdout.read()
    if generator.wait():
        raise SystemExit("bench: the generator of load ended badly")
    return json.loads(told)


def settle(database, bookings=0):
    """All roles, until everything is in the sums; then the books are recounted."""
    with Server(database, []):
        deadline = time.monotonic() + 300 + bookings / PROJECTED_A_SECOND_AT_LEAST
        while run(database, "verify", check=False) == 2:
            if time.monotonic() > deadline:
                raise SystemExit("bench: the sums do not catch up")
            time.sleep(0.5)
    run(database, "verify")


def run(database, *arguments, check=True):
    command = [database.binary, "--data-dir", database.folder, *arguments]
    environment = dict(os.environ, **database.environment)
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if check and done.returncode:
        raise SystemExit(f"bench: {' '.join(arguments)}: {done.stdout}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
