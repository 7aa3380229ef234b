"""The server that is measured, and the people who use it."""

import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.request
import uuid

from .machine import free_port

PATIENCE_SECS = 120


class Server:
    """The binary on a database, with no limits of rate. Passwords are hashed with next to no memory, or as usual."""

    def __init__(self, database, arguments=None, passwords_as_usual=False, settings=None):
        self.database = database
        public, internal = free_port(), free_port()
        self.address, self.internal = f"127.0.0.1:{public}", f"127.0.0.1:{internal}"
        environment = {
            **os.environ, "WEALTH__LIMITS__REQUESTS_PER_MINUTE": "0", "WEALTH__LIMITS__SIGN_IN_PER_MINUTE": "0",
            "WEALTH__LOG__LEVEL": "warn", "WEALTH__TRACES__EXPORTER": "none", "WEALTH__HTTP__PUBLIC_ADDR": self.address,
            "WEALTH__HTTP__INTERNAL_ADDR": self.internal, **database.environment, **(settings or {}),
        }
        if not passwords_as_usual:
            environment["WEALTH__AUTH__HASH_MEMORY_KIB"] = "8"
        arguments = database.roles if arguments is None else arguments
        begun = time.monotonic()
        self.process = subprocess.Popen([database.binary, "--data-dir", database.folder, *arguments], env=environment,
                                        stdout=subprocess.DEVNULL)
        self.wait_until_ready()
        self.ready_ms = 1_000 * (time.monotonic() - begun)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(60) != 0:
            raise SystemExit("bench: the server ended badly")

    def wait_until_ready(self):
        deadline = time.monotonic() + PATIENCE_SECS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://{self.internal}/readyz", timeout=5):
                    return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.002)
        raise SystemExit("bench: the server did not start")

    def memory_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024

    def cpu_secs(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") + self.database.cpu_secs()

    def metric(self, name):
        with urllib.request.urlopen(f"http://{self.internal}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def flushes(self):
        """How often the database has waited for its disk: each commit of an embedded one."""
        counted = self.database.flushes()
        return self.metric("wealth_db_commit_duration_seconds_count") if counted is None else counted


class Somebody:
    """Who has registered, and has nothing yet."""

    def __init__(self, address):
        self.address, self.token, self.position = address, None, None
        self.known_by = {"email": f"bench-{uuid.uuid4()}@example.com", "password": uuid.uuid4().hex}
        person = {**self.known_by, "currency": "USD"}
        self.token = self.send("POST", "/v1/auth/register", person)["access_token"]

    def send(self, method, path, body=None, **more):
        """`more` are further headers."""
        headers = {"Content-Type": "application/json", **more}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.address}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE_SECS) as answer:
            self.position = answer.headers.get("X-Log-Position")
            return json.load(answer)

    def request(self, method, path, body=None):
        """As the load takes it."""
        return {"method": method, "path": path, "token": self.token, "body": None if body is None else json.dumps(body)}

    def sign_in(self):
        return {**self.request("POST", "/v1/auth/login", self.known_by), "token": None}


class Person(Somebody):
    """Somebody with a wallet, a budget and the usual categories."""

    def __init__(self, address):
        super().__init__(address)
        self.id = uuid.UUID(self.send("GET", "/v1/me")["id"])
        self.wallet = self.send("POST", "/v1/wallets", {"name": "Bench", "type": "bank", "currency": "USD"})["id"]
        items = self.send("GET", "/v1/categories")["items"]
        self.categories = [item["id"] for item in items if item["kind"] == "expense"]
        budget = {"category_ids": self.categories[:1], "amount": "1000.00", "currency": "USD", "period": "monthly"}
        self.send("POST", "/v1/budgets", budget)

    def booking(self, number):
        day = f"{2020 + number % 6}-{1 + number % 12:02}-{1 + number % 28:02}"
        amount = f"{1 + number % 200}.{number % 100:02}"
        body = {"wallet_id": self.wallet, "category_id": self.categories[number % len(self.categories)],
                "type": "expense", "amount": amount, "date": day}
        return self.request("POST", "/v1/transactions", body)

    def break_budget(self, day):
        body = {"wallet_id": self.wallet, "category_id": self.categories[0], "type": "expense", "amount": "2000.00", "date": day}
        self.send("POST", "/v1/transactions", body)

    def deep_page(self, behind):
        """The address of a page with so many bookings before it."""
        path, cursor, total = "/v1/transactions?limit=200", None, 0
        while total < behind:
            page = self.send("GET", path if cursor is None else f"{path}&cursor={cursor}")
            total += len(page["items"])
            cursor = page["next_cursor"]
        return "/v1/transactions?limit=50" + (f"&cursor={cursor}" if cursor else "")
