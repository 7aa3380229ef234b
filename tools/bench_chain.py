#!/usr/bin/env python3
"""Measures the whole chain: from the POST of a booking that breaks a budget to its alert on an open stream.

For each bus it starts the three roles as processes of their own on the parts of `make stack` (one process on
SQLite for the embedded bus), lets people with open streams book at a steady rate, each booking in a week of its
own so that each breaks the budget anew, and takes the time until the alert is there. Then it posts as fast as it
can, and takes how long the consumers need to have handled all of it.

    make bench-chain

Beside each figure stands the sum of its hops alone, measured in the same run (benches/hops.rs): three commits, and
twice the way over the bus. Machines are noisy: look at medians and ratios. Prints a table; --json for a program. It
needs no network but the loopback.
"""

import argparse
import concurrent.futures
import contextlib
import datetime
import http.client
import json
import os
import pathlib
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid

from measure.machine import describe_stack, free_port

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROLES = ("api", "projector", "notifier")
PEOPLE = 20
# How long to wait for what must come.
PATIENCE_SECS = 60


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, type=pathlib.Path, help="the server, built for release")
    parser.add_argument("--hops", type=shlex.split, default="cargo bench --locked --quiet --bench hops --",
                        help="the command that measures hops (%(default)s)")
    parser.add_argument("--bus", nargs="+", default=["embedded", "kafka", "dapr"], choices=["embedded", "kafka", "dapr"])
    parser.add_argument("--rate", type=int, default=50, help="bookings a second")
    parser.add_argument("--seconds", type=int, default=20, help="of the steady rate, and of the top rate")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for bus in args.bus:
            rows.append(measure(args, pathlib.Path(folder) / bus, bus))
    if args.json:
        json.dump(rows, sys.stdout, indent=2)
    else:
        show(rows)


def show(rows):
    columns = (("bus", "bus", ""), ("alerts", "alerts", ""), ("p50_ms", "p50 ms", ".1f"), ("p95_ms", "p95 ms", ".1f"),
               ("p99_ms", "p99 ms", ".1f"), ("hops_ms", "hops alone", ".1f"), ("ratio", "ratio", ".1f"),
               ("post_p50_ms", "POST p50", ".1f"), ("projector_ms", "projector", ".1f"), ("notifier_ms", "notifier", ".1f"),
               ("top_per_second", "top 1/s", ".0f"), ("lag_gone_secs", "lag gone s", ".1f"))
    print("".join(f"{title:>12}" for _, title, _ in columns))
    for row in rows:
        print("".join(f"{format(row[key], how):>12}" for key, _, how in columns))
    print("hops alone: the sum of the medians of", "; ".join(f"{row['bus']}: {row['hops']}" for row in rows))
    print("projector, notifier: how long they took for a batch, on the average, at the steady rate")


def measure(args, folder, bus):
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        server = Server(args.binary.resolve(), folder, bus, stack)
        hops = server.hops(args.hops)
        people = [Person(server.url, args.rate * args.seconds // PEOPLE + 1) for _ in range(PEOPLE)]
        for person in people:
            person.follow()
        post_times = steady(people, args.rate, args.seconds)
        deadline = time.monotonic() + PATIENCE_SECS
        while any(person.waiting() for person in people):
            if time.monotonic() > deadline:
                raise SystemExit(f"bench: {bus}: alerts are missing")
            time.sleep(0.05)
        times = sorted(took for person in people for took in person.latencies())
        batches = {f"{consumer}_ms": server.batch_ms(consumer) for consumer in ("projector", "notifier")}
        top, lag_gone = top_rate(people, args.seconds)
        alone, p50 = sum(hop["p50_ms"] * hop["times"] for hop in hops), quantile(times, 50)
        return {
            "bus": bus, "alerts": len(times), "rate": args.rate,
            "p50_ms": p50, "p95_ms": quantile(times, 95), "p99_ms": quantile(times, 99),
            "hops_ms": alone, "ratio": p50 / alone,
            "hops": ", ".join(f"{hop['times']} x {hop['hop']} {hop['p50_ms']:.1f} ms" for hop in hops),
            "post_p50_ms": quantile(sorted(post_times), 50), **batches,
            "top_per_second": top, "lag_gone_secs": lag_gone,
        }


def quantile(times, percent):
    return 1_000 * times[min(len(times) - 1, len(times) * percent // 100)]


def steady(people, rate, seconds):
    """Books on time, whatever the server takes: one booking each 1/rate seconds, people in turn."""
    begun, times = time.monotonic(), []
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        booked = []
        for number in range(rate * seconds):
            due = begun + number / rate
            time.sleep(max(0.0, due - time.monotonic()))
            booked.append(pool.submit(people[number % PEOPLE].break_budget, number // PEOPLE))
        times = [future.result() for future in booked]
    return times


def top_rate(people, seconds):
    """Posts from several connections for some seconds; gives bookings a second, and how long afterwards the last
    booking of each was still not in the sums."""
    end, counts = time.monotonic() + seconds, []

    def post(person):
        count = 0
        while time.monotonic() < end:
            person.earn()
            count += 1
        return count

    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(post, people[:8]))
    took, stopped = time.monotonic() - begun, time.monotonic()
    for person in people[:8]:
        while not person.sees_all():
            if time.monotonic() > stopped + PATIENCE_SECS:
                raise SystemExit("bench: the sums do not catch up")
            time.sleep(0.02)
    return sum(counts) / took, time.monotonic() - stopped


class Server:
    """The roles on one bus, with what they need; stopped with the stack of contexts."""

    def __init__(self, binary, folder, bus, stack):
        self.binary, self.folder, self.bus, self.stack = binary, folder, bus, stack
        self.internals = []
        self.tag = f"bench_{uuid.uuid4().hex[:8]}"
        environment = {"WEALTH__LIMITS__REQUESTS_PER_MINUTE": "0", "WEALTH__LIMITS__SIGN_IN_PER_MINUTE": "0",
                       "WEALTH__LOG__LEVEL": "warn", "WEALTH__AUTH__HASH_MEMORY_KIB": "8", "PATH": os.environ["PATH"]}
        if bus == "embedded":
            self.url = self.start(environment, [], free_port())
            return
        parts = describe_stack()
        self.parts, self.environment = parts, dict(environment, **{
            "DATABASE_URL": self.database(parts),
            "JWT_SECRET_KEY": uuid.uuid4().hex * 2,
            "REDIS_URL": parts["redis"]["url"],
            "WEALTH__BUS__KIND": bus, "WEALTH__BUS__TOPIC_PREFIX": f"{self.tag}.",
            "WEALTH__STATE__KIND": "redis" if bus == "kafka" else "dapr",
            "WEALTH__KAFKA__BROKERS": parts["kafka"]["brokers"], "WEALTH__KAFKA__GROUP_PREFIX": self.tag,
            "WEALTH__KAFKA__REPLICATION": "1", "WEALTH__KAFKA__MIN_INSYNC": "1", "WEALTH__KAFKA__PARTITIONS": "3",
        })
        self.run("migrate", "up")
        self.run("events", "topics", "apply", "--yes")
        for role in ROLES:
            internal = free_port()
            extra = self.sidecar(role, internal, stack) if bus == "dapr" else {}
            url = self.start(dict(self.environment, **extra), ["--role", role], internal)
            if role == "api":
                self.url = url
        if bus == "dapr":
            # The sidecars look at their apps every second, and join their groups then.
            time.sleep(5)

    def database(self, parts):
        admin, name = parts["postgres"]["url"], self.tag
        psql = ["psql", "-qX", admin, "-c"]
        subprocess.run([*psql, f"CREATE DATABASE {name}"], check=True)
        drop = [*psql, f"DROP DATABASE {name} WITH (FORCE)"]
        self.stack.callback(lambda: subprocess.run(drop, check=True))
        return f"{admin.rsplit('/', 1)[0]}/{name}?sslmode=disable"

    def run(self, *arguments):
        subprocess.run([self.binary, "--data-dir", self.folder, *arguments], env=self.environment, check=True,
                       stdout=subprocess.DEVNULL)

    def hops(self, command):
        """What the chain is made of, each alone, and how often it is gone through."""
        def run(*arguments, environment=None):
            environment = dict(os.environ, **(environment or {}))
            done = subprocess.run([*command, *arguments], cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
            hops = [json.loads(line) for line in done.stdout.splitlines()]
            return [{"hop": hop["hop"], "p50_ms": hop["p50_us"] / 1_000} for hop in hops]

        if self.bus == "embedded":
            return [dict(sqlite_commit(self.folder), times=3)]
        [commit] = run("postgres", self.environment["DATABASE_URL"])
        brokers = self.parts["kafka"]["brokers"]
        if self.bus == "kafka":
            [bus] = run("kafka", brokers)
            return [dict(commit, times=3), dict(bus, times=2)]
        with contextlib.ExitStack() as stack:
            internal = free_port()
            sidecar = self.sidecar("hops", internal, stack)
            buses = run("dapr", brokers, sidecar["DAPR_HTTP_PORT"], str(internal), environment=sidecar)
        return [dict(commit, times=3), *(dict(bus, times=1) for bus in buses)]

    def batch_ms(self, consumer):
        """How long a consumer took for a batch, on the average."""
        totals = {"sum": 0.0, "count": 0.0}
        for internal in self.internals:
            with urllib.request.urlopen(f"http://127.0.0.1:{internal}/metrics") as answer:
                text = answer.read().decode()
            for total in totals:
                for labels, value in re.findall(rf"^wealth_consumer_batch_duration_seconds_{total}(\S*) (\S+)$", text, re.M):
                    totals[total] += float(value) if f'"{consumer}"' in labels else 0
        return 1_000 * totals["sum"] / max(1.0, totals["count"])

    def start(self, environment, arguments, internal):
        public = free_port()
        self.internals.append(internal)
        log = open(self.folder / f"{len(list(self.folder.iterdir()))}.log", "w")
        process = subprocess.Popen(
            [self.binary, "--data-dir", self.folder, "--set", f"http.public_addr=127.0.0.1:{public}",
             "--set", f"http.internal_addr=127.0.0.1:{internal}",
             "--set", "log.level=warn,wealth_companion::cli=info", "--set", "log.format=json", *arguments],
            env=environment, stdout=log, stderr=subprocess.STDOUT)
        self.stack.callback(stop, process)
        deadline = time.monotonic() + PATIENCE_SECS
        while '"message":"ready"' not in pathlib.Path(log.name).read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"bench: a role does not start: {pathlib.Path(log.name).read_text()[-2000:]}")
            time.sleep(0.05)
        return f"127.0.0.1:{public}"

    def sidecar(self, role, app_port, stack):
        daprd = self.parts["daprd"]
        ports = [free_port() for _ in range(4)]
        command = [daprd["binary"], "--app-id", f"{self.tag}-{role}", "--app-port", str(app_port),
                   "--app-protocol", "http",
                   "--dapr-listen-addresses", "127.0.0.1", "--metrics-listen-address", "127.0.0.1",
                   "--dapr-internal-grpc-listen-address", "127.0.0.1", "--log-level", "warn",
                   "--resources-path", self.parts["resources"], "--config", daprd["config"]]
        names = ("--dapr-http-port", "--dapr-grpc-port", "--dapr-internal-grpc-port", "--metrics-port")
        for name, port in zip(names, ports):
            command += [name, str(port)]
        log = open(self.folder / f"daprd-{role}.log", "w")
        # Its components look at nobody's app id: scopes are for those of the stack.
        process = subprocess.Popen(command, cwd=daprd["working_dir"], stdout=log, stderr=subprocess.STDOUT,
                                   env=dict(daprd["environment"], PATH=os.environ["PATH"]))
        stack.callback(stop, process)
        wait_for(f"http://127.0.0.1:{ports[0]}/v1.0/healthz/outbound")
        tokens = self.parts["sidecars"]["tokens"]
        return {"DAPR_HTTP_PORT": str(ports[0]), "DAPR_API_TOKEN": tokens["dapr_api_token"],
                "APP_API_TOKEN": tokens["app_api_token"]}


class Person:
    """Somebody with a budget of a dollar a week, and a stream of alerts."""

    def __init__(self, address, weeks):
        self.address, self.local = address, threading.local()
        self.sent, self.came, self.last, self.earned = {}, {}, None, 0
        today = datetime.date.today()
        monday = today + datetime.timedelta(7 - today.weekday())
        self.mondays = [str(monday + datetime.timedelta(7 * week)) for week in range(weeks)]
        self.token = None
        person = {"email": f"{uuid.uuid4().hex}@example.com", "password": uuid.uuid4().hex, "currency": "USD"}
        self.token = self.send("POST", "/v1/auth/register", person)["access_token"]
        self.wallet = self.send("POST", "/v1/wallets", {"name": "Bench", "type": "bank", "currency": "USD"})["id"]
        self.category = self.send("GET", "/v1/categories", None)["items"][0]["id"]
        budget = {"category_ids": [self.category], "amount": "1.00", "currency": "USD", "period": "weekly"}
        self.send("POST", "/v1/budgets", budget)

    def connection(self):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPConnection(self.address, timeout=PATIENCE_SECS)
            self.local.connection.connect()
            self.local.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.local.connection

    def send(self, method, path, body):
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        connection = self.connection()
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read()
        if response.status >= 300:
            raise SystemExit(f"bench: {method} {path}: {response.status} {text[:500]}")
        self.last = response.headers.get("X-Log-Position", self.last)
        return json.loads(text) if text else None

    def book(self, kind, amount, date):
        body = {"wallet_id": self.wallet, "category_id": self.category, "type": kind, "amount": amount, "date": date}
        self.send("POST", "/v1/transactions", body)

    def break_budget(self, week):
        day, begun = self.mondays[week], time.monotonic()
        self.sent[day] = begun
        self.book("expense", "2.00", day)
        return time.monotonic() - begun

    def earn(self):
        self.book("income", "0.01", self.mondays[0])
        self.earned += 1

    def sees_all(self):
        month = self.send("GET", f"/v1/dashboard?month={self.mondays[0][:7]}", None)
        return month["income"] == f"{self.earned // 100}.{self.earned % 100:02}"

    def follow(self):
        """Reads the stream in a thread: the first alert of each week counts."""
        connected = threading.Event()

        def read():
            request = urllib.request.Request(f"http://{self.address}/v1/alerts/stream",
                                             headers={"Authorization": f"Bearer {self.token}"})
            with urllib.request.urlopen(request) as stream:
                connected.set()
                for line in stream:
                    if line.startswith(b"data: "):
                        now = time.monotonic()
                        week = json.loads(line[6:])["details"]["period_start"]
                        self.came.setdefault(week, now)

        threading.Thread(target=read, daemon=True).start()
        if not connected.wait(PATIENCE_SECS):
            raise SystemExit("bench: no stream")

    def waiting(self):
        return len(self.came) < len(self.sent)

    def latencies(self):
        return [self.came[week] - sent for week, sent in self.sent.items()]


def sqlite_commit(folder):
    """An insert with its commit, as durable as the product's."""
    with contextlib.closing(sqlite3.connect(folder / "hops.sqlite", isolation_level=None)) as db:
        db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE hops (event TEXT)")
        times = []
        for _ in range(300):
            time.sleep(0.02)
            begun = time.monotonic()
            db.execute("INSERT INTO hops VALUES (?)", ("x" * 900,))
            times.append(time.monotonic() - begun)
    return {"hop": "SQLite commit", "p50_ms": quantile(sorted(times), 50)}


def wait_for(url):
    deadline = time.monotonic() + PATIENCE_SECS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise SystemExit(f"bench: {url} does not answer") from None
            time.sleep(0.1)


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()


if __name__ == "__main__":
    main()
