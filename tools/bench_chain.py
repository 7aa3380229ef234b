#!/usr/bin/env python3
"""Measures the whole chain: from the POST of a booking that breaks a budget to its alert on an open stream.

For each bus it starts the three roles as processes of their own on the parts of `make stack` (one process on
SQLite for the embedded bus), lets people with open streams book at a steady rate, each booking in a week of its
own so that each breaks the budget anew, and takes the time until the alert is there. Then it posts as fast as it
can, and takes how long the consumers need to have handled all of it.

    cargo build --release && tools/bench_chain.py --binary target/release/wealth-companion

Beside each figure stand the hops alone, measured in the same run: an insert with its commit on PostgreSQL, and a
record produced to Kafka and consumed. Machines are noisy: look at medians and ratios. Prints a table; --json for a
program. It needs no network but the loopback.
"""

import argparse
import concurrent.futures
import contextlib
import datetime
import http.client
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROLES = ("api", "projector", "notifier")
PEOPLE = 20
# How long to wait for what must come.
PATIENCE_SECS = 60


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, type=pathlib.Path, help="the server, built for release")
    parser.add_argument("--bus", nargs="+", default=["embedded", "kafka", "dapr"], choices=["embedded", "kafka", "dapr"])
    parser.add_argument("--rate", type=int, default=50, help="bookings a second")
    parser.add_argument("--seconds", type=int, default=20, help="of the steady rate, and of the top rate")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for bus in args.bus:
            rows.append(measure(args.binary.resolve(), pathlib.Path(folder) / bus, bus, args.rate, args.seconds))
    if args.json:
        json.dump(rows, sys.stdout, indent=2)
        return
    print(f"{'bus':<10}{'alerts':>8}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'POST p50':>10}{'top 1/s':>9}{'lag gone after s':>18}")
    for row in rows:
        print(f"{row['bus']:<10}{row['alerts']:>8}{row['p50_ms']:>9.1f}{row['p95_ms']:>9.1f}{row['p99_ms']:>9.1f}"
              f"{row['post_p50_ms']:>10.1f}{row['top_per_second']:>9.0f}{row['lag_gone_secs']:>18.1f}")


def measure(binary, folder, bus, rate, seconds):
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        url = Server(binary, folder, bus, stack).url
        people = [Person(url, rate * seconds // PEOPLE + 1) for _ in range(PEOPLE)]
        for person in people:
            person.follow()
        post_times = steady(people, rate, seconds)
        deadline = time.monotonic() + PATIENCE_SECS
        while any(person.waiting() for person in people):
            if time.monotonic() > deadline:
                raise SystemExit(f"bench: {bus}: alerts are missing")
            time.sleep(0.05)
        times = sorted(took for person in people for took in person.latencies())
        top, lag_gone = top_rate(people, seconds)
        return {
            "bus": bus, "alerts": len(times), "rate": rate,
            "p50_ms": quantile(times, 50), "p95_ms": quantile(times, 95), "p99_ms": quantile(times, 99),
            "post_p50_ms": quantile(sorted(post_times), 50),
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
        self.binary, self.folder, self.stack = binary, folder, stack
        self.tag = f"bench_{uuid.uuid4().hex[:8]}"
        environment = {"WEALTH__LIMITS__REQUESTS_PER_MINUTE": "0", "WEALTH__LIMITS__SIGN_IN_PER_MINUTE": "0",
                       "WEALTH__LOG__LEVEL": "warn", "WEALTH__AUTH__HASH_MEMORY_KIB": "8", "PATH": os.environ["PATH"]}
        if bus == "embedded":
            self.url = self.start(environment, [], [])
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
            arguments, extra = ["--role", role], {}
            if bus == "dapr":
                internal = free_port()
                extra = self.sidecar(role, internal)
                arguments += ["--set", f"http.internal_addr=127.0.0.1:{internal}"]
            url = self.start(dict(self.environment, **extra), arguments, [])
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

    def start(self, environment, arguments, settings):
        environment = dict(environment)
        environment.setdefault("WEALTH__HTTP__INTERNAL_ADDR", "127.0.0.1:0")
        public = free_port()
        log = open(self.folder / f"{len(list(self.folder.iterdir()))}.log", "w")
        process = subprocess.Popen(
            [self.binary, "--data-dir", self.folder, "--set", f"http.public_addr=127.0.0.1:{public}",
             "--set", "log.level=warn,wealth_companion::cli=info", "--set", "log.format=json", *arguments],
            env=environment, stdout=log, stderr=subprocess.STDOUT)
        self.stack.callback(stop, process)
        deadline = time.monotonic() + PATIENCE_SECS
        while '"message":"ready"' not in pathlib.Path(log.name).read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"bench: a role does not start: {pathlib.Path(log.name).read_text()[-2000:]}")
            time.sleep(0.05)
        return f"127.0.0.1:{public}"

    def sidecar(self, role, app_port):
        daprd = self.parts["daprd"]
        ports = [free_port() for _ in range(4)]
        command = [daprd["binary"], "--app-id", f"{self.tag}-{role}", "--app-port", str(app_port),
                   "--app-protocol", "http", "--enable-app-health-check", "--app-health-check-path", "/livez",
                   "--app-health-probe-interval", "1", "--app-health-probe-timeout", "500",
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
        self.stack.callback(stop, process)
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


def describe_stack():
    folder = pathlib.Path(os.environ.get("WEALTH_STACK_DIR", ROOT / ".stack"))
    try:
        return json.loads((folder / "stack.json").read_text())
    except FileNotFoundError:
        raise SystemExit("bench: run `make stack`: this needs its parts") from None


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


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    main()
