#!/usr/bin/env python3
"""Measures the API under load, beside what the same disk does with the same three writes and nothing else.

For each number of bookings it starts the server on an empty folder, books until one user has that many, and
lets wrk (apt-get install wrk) with 16 connections post bookings, list them, and show the dashboard. The raw
rate is that of row, balance and event written by this program through SQLite itself (WAL, synchronous=FULL),
one commit each, and 16 to a commit. Machines are noisy: look at the ratios.

    cargo build --release && tools/bench.py --binary target/release/wealth-companion

Prints a table; --json for a program. It needs no network but the loopback.
"""

import argparse
import json
import os
import pathlib
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid

CONNECTIONS = 16
POST_LUA = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local n = 0
request = function()
  n = n + 1
  local body = string.format(
    '{"wallet_id":"%s","category_id":"%s","type":"expense","amount":"%d.%02d","date":"20%02d-%02d-%02d"}',
    os.getenv("WALLET"), os.getenv("CATEGORY"), 1 + n % 200, n % 100, 20 + n % 6, 1 + n % 12, 1 + n % 28)
  return wrk.format(nil, nil, nil, body)
end
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, type=pathlib.Path, help="the server, built for release")
    parser.add_argument("--bookings", type=int, nargs="+", default=[1_000, 100_000], help="bookings of the user")
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory(dir=".") as folder:
        folder = pathlib.Path(folder)
        raw_1, raw_16 = raw_writes(folder / "raw1.db", args.seconds, 1), raw_writes(folder / "raw16.db", args.seconds, 16)
        for bookings in args.bookings:
            results += measure(args.binary.resolve(), folder / f"data-{bookings}", bookings, args.seconds, raw_16)
    results.insert(0, {"work": "raw, 16 to a commit", "bookings": 0, "per_second": raw_16})
    results.insert(0, {"work": "raw, one commit each", "bookings": 0, "per_second": raw_1})
    if args.json:
        json.dump(results, sys.stdout, indent=2)
        return
    print(f"{'work':<24}{'bookings':>10}{'1/s':>10}{'/ raw 16':>10}{'p50 ms':>9}{'p99 ms':>9}{'RSS MiB':>9}")
    for row in results:
        ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
        latency = [f"{row[key]:.2f}" if key in row else "" for key in ("p50_ms", "p99_ms", "rss_mib")]
        print(f"{row['work']:<24}{row['bookings']:>10}{row['per_second']:>10.0f}{ratio:>10}" + "".join(f"{v:>9}" for v in latency))


def raw_writes(path, seconds, per_commit):
    """Row, balance, event, as the server writes them: the same keys and indexes, nothing read or checked."""
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript("""
        PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
        CREATE TABLE wallets (id BLOB PRIMARY KEY, balance INTEGER);
        CREATE TABLE transactions (id BLOB PRIMARY KEY, user_id BLOB, wallet_id BLOB, category_id BLOB, amount INTEGER, date TEXT);
        CREATE INDEX t1 ON transactions (user_id, date, id); CREATE INDEX t2 ON transactions (wallet_id, date, id);
        CREATE INDEX t3 ON transactions (category_id, date, id);
        CREATE TABLE event_log (position INTEGER PRIMARY KEY AUTOINCREMENT, event_id BLOB UNIQUE, envelope TEXT);
    """)
    user, wallet, category = (uuid.uuid4().bytes for _ in range(3))
    db.execute("INSERT INTO wallets VALUES (?, 0)", (wallet,))
    envelope, count, begun = "x" * 700, 0, time.monotonic()
    while (took := time.monotonic() - begun) < seconds:
        db.execute("BEGIN IMMEDIATE")
        for _ in range(per_commit):
            count += 1
            day = f"2026-{1 + count % 12:02}-{1 + count % 28:02}"
            row = (uuid.uuid4().bytes, user, wallet, category, count, day)
            db.execute("INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?)", row)
            db.execute("UPDATE wallets SET balance = balance - ? WHERE id = ?", (count, wallet))
            db.execute("INSERT INTO event_log (event_id, envelope) VALUES (?, ?)", (uuid.uuid4().bytes, envelope))
        db.execute("COMMIT")
    return count / took


def measure(binary, folder, bookings, seconds, raw):
    public, internal = free_port(), free_port()
    environment = dict(os.environ, WEALTH__LIMITS__REQUESTS_PER_MINUTE="0", WEALTH__LOG__LEVEL="warn",
                       WEALTH__HTTP__PUBLIC_ADDR=f"127.0.0.1:{public}", WEALTH__HTTP__INTERNAL_ADDR=f"127.0.0.1:{internal}")
    server = subprocess.Popen([binary, "--data-dir", folder], env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_until_ready(internal)
        idle = rss_mib(server.pid)
        api = Api(f"http://127.0.0.1:{public}")
        while api.booked < bookings:
            api.load("POST", "/v1/transactions", 1)
        api.settle()
        rows = []
        for work, method, path in (
            ("list, 50 a page", "GET", "/v1/transactions"),
            ("dashboard", "GET", "/v1/dashboard?month=2025-06"),
            ("POST transaction", "POST", "/v1/transactions"),
        ):
            row = {"work": work, "bookings": api.booked, **api.load(method, path, seconds)}
            api.settle()
            row.update(rss_mib=rss_mib(server.pid))
            if method == "POST":
                row["ratio"] = row["per_second"] / raw
            rows.append(row)
        return [{"work": "idle", "bookings": 0, "per_second": 0, "rss_mib": idle}] + rows
    finally:
        server.send_signal(signal.SIGTERM)
        if server.wait(60) != 0:
            raise SystemExit("bench: the server ended badly")


class Api:
    def __init__(self, url):
        self.url, self.token, self.booked = url, None, 0
        person = {"email": f"bench-{uuid.uuid4()}@example.com", "password": uuid.uuid4().hex}
        self.token = self.send("POST", "/v1/auth/register", person)["access_token"]
        wallet = {"name": "Bench", "type": "bank", "currency": "USD"}
        self.wallet = self.send("POST", "/v1/wallets", wallet)["id"]
        self.category = self.send("GET", "/v1/categories", None)["items"][0]["id"]
        budget = {"category_ids": [self.category], "amount": "1000.00", "currency": "USD", "period": "monthly"}
        self.send("POST", "/v1/budgets", budget)

    def send(self, method, path, body):
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers, method=method), timeout=60) as answer:
            self.position = answer.headers.get("X-Log-Position")
            return json.load(answer)

    def load(self, method, path, seconds):
        script = pathlib.Path(tempfile.gettempdir()) / f"bench-{os.getpid()}.lua"
        script.write_text(POST_LUA if method == "POST" else 'wrk.method = "GET"\n')
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", script,
                   "-H", f"Authorization: Bearer {self.token}", self.url + path]
        environment = dict(os.environ, WALLET=self.wallet, CATEGORY=self.category)
        text = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        script.unlink()
        if "Non-2xx" in text:
            raise SystemExit(f"bench: {method} {path} was refused:\n{text}")
        requests = int(re.search(r"(\d+) requests in", text)[1])
        if method == "POST":
            self.booked += requests
        return {"per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
                "p50_ms": milliseconds(text, "50%"), "p99_ms": milliseconds(text, "99%")}

    def settle(self):
        """Until the read models have reached the newest booking: the measurements do not disturb each other."""
        body = {"wallet_id": self.wallet, "type": "expense", "amount": "1.00", "category_id": self.category}
        self.send("POST", "/v1/transactions", body)
        wanted = int(self.position)
        while True:
            self.send("GET", f"/v1/dashboard?wait_for={wanted}", None)
            if int(self.position) >= wanted:
                return


def milliseconds(text, percentile):
    number, unit = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def rss_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_ready(port):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.02)
    raise SystemExit("bench: the server did not start")


if __name__ == "__main__":
    main()
