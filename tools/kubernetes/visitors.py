"""People who use the product while something happens to it: a program of its own, since it runs inside the cluster's network.

    python3 visitors.py ADDRESS --bookers 8 --rate 40 --listeners 4

Bookers book on connections that they keep, as fast as `--rate` in all; listeners have an open stream of alerts, break one
new budget after another, and come back with `Last-Event-ID` when their stream ends. At the end of its standard input it
stops, and prints as JSON what was sent, what failed, what was acknowledged, and which alerts were seen.

A request fails when its answer is not 2xx, or none comes. A connection that was kept, and that the server closed before
it had read a request on it, is the one thing after which a request is sent again, as every client does; it is counted.
"""

import argparse
import contextlib
import http.client
import itertools
import json
import sys
import threading
import time
import uuid

PATIENCE_SECS = 20
CLOSED = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class Told:
    """What all of them have seen."""

    def __init__(self):
        self.lock = threading.Lock()
        self.requests = self.again = self.reconnects = 0
        self.failed, self.acknowledged, self.worst = [], [], 0.0


class Client:
    """One connection, which is kept."""

    def __init__(self, address, told):
        self.address, self.told, self.token = address, told, None
        self.connection, self.is_new = None, True

    def send(self, method, path, body=None):
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        begun = time.monotonic()
        for attempt in (1, 2):
            try:
                status, answer = self.once(method, path, body, headers)
                break
            except CLOSED as error:
                status, answer, was_new = 0, repr(error), self.is_new
                self.close()
                if was_new or attempt == 2:
                    break
                with self.told.lock:
                    self.told.again += 1
            except OSError as error:
                status, answer = 0, repr(error)
                self.close()
                break
        took = time.monotonic() - begun
        with self.told.lock:
            self.told.requests += 1
            self.told.worst = max(self.told.worst, took)
            if not 200 <= status < 300:
                self.told.failed.append(f"{time.strftime('%H:%M:%S')} {method} {path}: {status} {str(answer)[:200]}")
        return answer if 200 <= status < 300 else None

    def once(self, method, path, body, headers):
        if not self.connection:
            self.connection = http.client.HTTPConnection(self.address, timeout=PATIENCE_SECS)
            self.is_new = True
        self.connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self.connection.getresponse()
        text = answer.read()
        self.is_new = False
        if answer.will_close:
            self.close()
        return answer.status, json.loads(text) if text else None

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


class Person:
    """Somebody with a wallet."""

    def __init__(self, address, told):
        self.client, self.told = Client(address, told), told
        known_by = {"email": f"visitor-{uuid.uuid4()}@example.com", "password": uuid.uuid4().hex, "currency": "USD"}
        self.client.token = self.client.send("POST", "/v1/auth/register", known_by)["access_token"]
        wallet = {"name": "Purse", "type": "cash", "currency": "USD"}
        self.wallet = self.client.send("POST", "/v1/wallets", wallet)["id"]
        categories = self.client.send("GET", "/v1/categories")["items"]
        self.category = next(item["id"] for item in categories if item["kind"] == "expense")

    def book(self, amount="1.00", category=None):
        booking = {"wallet_id": self.wallet, "category_id": category or self.category, "type": "expense", "amount": amount,
                   "date": time.strftime("%Y-%m-%d", time.gmtime())}
        if answer := self.client.send("POST", "/v1/transactions", booking):
            with self.told.lock:
                self.told.acknowledged.append(answer["id"])
        return answer


class Listener:
    """A person, and an open stream beside."""

    def __init__(self, address, told):
        self.person, self.told, self.address = Person(address, told), told, address
        self.seen, self.last, self.delays = [], None, []
        self.begun = {}

    def listen(self, stopped):
        while not stopped.is_set():
            headers = {"Authorization": f"Bearer {self.person.client.token}"}
            headers.update({"Last-Event-ID": self.last} if self.last else {})
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection(self.address, timeout=PATIENCE_SECS)
                connection.request("GET", "/v1/alerts/stream", headers=headers)
                answer = connection.getresponse()
                if answer.status == 200:
                    self.read(answer)
            with self.told.lock:
                self.told.reconnects += 1
            time.sleep(0.1)

    def read(self, answer):
        while line := answer.readline():
            name, _, value = line.decode().rstrip("\r\n").partition(": ")
            if name == "id":
                self.last = value
            if name == "data":
                alert = json.loads(value)
                self.seen.append(alert["id"])
                if begun := self.begun.get(alert.get("budget_id")):
                    self.delays.append(time.monotonic() - begun)

    def break_a_budget(self):
        client = self.person.client
        category = client.send("POST", "/v1/categories", {"name": f"Whim {uuid.uuid4().hex[:8]}", "kind": "expense"})
        budget = category and client.send("POST", "/v1/budgets", {
            "category_ids": [category["id"]], "amount": "10.00", "currency": "USD", "period": "monthly"})
        if budget:
            self.begun[budget["id"]] = time.monotonic()
            self.person.book("12.00", category["id"])

    def all_alerts(self):
        """As the list has them, page by page."""
        found, cursor = [], None
        while True:
            page = self.person.client.send("GET", "/v1/alerts?limit=100" + (f"&cursor={cursor}" if cursor else ""))
            found += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
            if not cursor:
                return found


def every(seconds, stopped, what):
    """Does it again and again, at a rate."""
    due = time.monotonic()
    while not stopped.wait(max(0.0, due - time.monotonic())):
        due = max(due + seconds, time.monotonic() - seconds)
        what()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="HOST:PORT of the API")
    parser.add_argument("--bookers", type=int, default=8)
    parser.add_argument("--rate", type=float, default=40, help="bookings a second, in all")
    parser.add_argument("--listeners", type=int, default=4)
    args = parser.parse_args()
    told, stopped = Told(), threading.Event()
    bookers = [Person(args.address, told) for _ in range(args.bookers)]
    listeners = [Listener(args.address, told) for _ in range(args.listeners)]
    work = [(every, (args.bookers / args.rate, stopped, it.book)) for it in bookers]
    work += [(every, (1.5, stopped, it.break_a_budget)) for it in listeners]
    streams = threading.Event()
    work += [(it.listen, (streams,)) for it in listeners]
    threads = [threading.Thread(target=what, args=arguments, daemon=True) for what, arguments in work]
    for thread in threads:
        thread.start()
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.read()
    stopped.set()
    for thread in threads[:-len(listeners)]:
        thread.join()
    # What is on its way comes.
    deadline = time.monotonic() + PATIENCE_SECS
    made = sum(len(it.begun) for it in listeners)
    # Each budget that was broken crosses both of its thresholds at once: how many alerts that makes, the list tells.
    while time.monotonic() < deadline and any(set(it.all_alerts()) != set(it.seen) or not it.seen for it in listeners):
        time.sleep(0.5)
    lists = [it.all_alerts() for it in listeners]
    streams.set()
    delays = sorted(itertools.chain.from_iterable(it.delays for it in listeners))
    print(json.dumps({
        "requests": told.requests, "failed": told.failed, "sent_again": told.again, "worst_ms": round(told.worst * 1_000),
        "acknowledged": told.acknowledged, "budgets_broken": made, "alerts": sum(map(len, lists)),
        "alerts_seen": sum(len(set(it.seen)) for it in listeners),
        "alerts_missed": sum(len(set(all_of) - set(it.seen)) for it, all_of in zip(listeners, lists)),
        "alerts_seen_twice": sum(len(it.seen) - len(set(it.seen)) for it in listeners),
        "stream_reconnects": told.reconnects,
        "alert_ms": [round(delays[len(delays) * at // 100] * 1_000) for at in (50, 99)] if delays else None,
    }))


if __name__ == "__main__":
    main()
