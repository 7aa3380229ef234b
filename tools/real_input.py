#!/usr/bin/env python3
"""Books a bank's export through a real server and compares every sum with the file.

It registers a user, makes the wallets, categories and budgets that the file calls for, and books each row by
8 clients at once. Then it adds the file up by itself and compares, to the cent: the dashboard of every month
with its trend, the balances, what each budget has spent in each period, and the alerts (one for each budget,
period and threshold that the file crosses; none missing, none twice). Then it sends every booking again with
the same idempotency key: all answers must be the first ones again, and nothing may have moved.

The file is CSV with the columns Date (m/d/yyyy), Description, Amount, Transaction Type (debit or credit),
Category, Account Name. All amounts are taken as US dollars.

Either let it start a server, on free ports and in a temporary directory, which is stopped and verified at the end:

    real_input.py --csv bookings.csv --start target/debug/wealth-companion

or point it at one that runs (a new user is registered, nothing else is touched):

    real_input.py --csv bookings.csv --url http://127.0.0.1:8080 --verify-cmd "wealth-companion verify"

Exit code: 0 all is equal, 1 something differs (each difference is printed), 2 it could not be tried.
"""

import argparse
import calendar
import concurrent.futures
import contextlib
import csv
import datetime
import decimal
import http.client
import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import uuid
from collections import Counter, defaultdict
from decimal import Decimal

CURRENCY = "USD"
TIME_ZONE = "America/New_York"
THRESHOLDS = (80, 100)
CATEGORY_BUDGETS = 5
TREND_MONTHS = 12
PAGE = 200
KEYS = uuid.UUID("5f0f2c1e-6d3c-4c59-9a3b-3f5a5d0c8a11")

REQUEST_SECS_MAX = 30
START_SECS_MAX = 60
STOP_SECS_MAX = 60
CATCH_UP_SECS_MAX = 120
VERIFY_SECS_MAX = 120
# How long no further alert must come before it counts that there is none too many.
QUIET_SECS = 2
# Of each group.
DIFFERENCES_SHOWN_MAX = 10
LOG_LINES_SHOWN = 30

# Sums are exact, or an error: nothing here may round.
decimal.getcontext().traps[decimal.Inexact] = True
decimal.getcontext().traps[decimal.FloatOperation] = True


class CannotTry(Exception):
    """The check could not be made: the server or the file is not what it takes."""


def say(text):
    print(text, flush=True)


# ---- What the file says -------------------------------------------------------------------------


class Booking:
    """A row of the file."""

    def __init__(self, number, row):
        try:
            self.number = number
            self.date = datetime.datetime.strptime(row["Date"].strip(), "%m/%d/%Y").date()
            self.description = row["Description"].strip()
            self.amount_text = row["Amount"].strip()
            self.amount = Decimal(self.amount_text)
            self.type = {"debit": "expense", "credit": "income"}[row["Transaction Type"].strip()]
            self.category = (row["Category"].strip(), self.type)
            self.wallet = row["Account Name"].strip()
        except (AttributeError, KeyError, ValueError, decimal.InvalidOperation) as error:
            raise CannotTry(f"row {number} cannot be read: {error!r}") from error

    @property
    def month(self):
        return self.date.replace(day=1)

    @property
    def key(self):
        """Of the row, not of what it says: the file has genuine twins."""
        return str(uuid.uuid5(KEYS, str(self.number)))


def read_bookings(path):
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            bookings = [Booking(number, row) for number, row in enumerate(csv.DictReader(file), 1)]
    except (OSError, UnicodeError, csv.Error) as error:
        raise CannotTry(f"{path}: {error}") from error
    if not bookings:
        raise CannotTry(f"{path}: no bookings")
    return bookings


def money(amount):
    """As the API writes it."""
    return f"{amount:.2f}"


def total(bookings):
    return sum((booking.amount for booking in bookings), Decimal(0))


def flow(bookings):
    bookings = list(bookings)
    income = total(booking for booking in bookings if booking.type == "income")
    spending = total(booking for booking in bookings if booking.type == "expense")
    return {"income": money(income), "spending": money(spending), "net": money(income - spending)}


def grouped(bookings, key):
    groups = defaultdict(list)
    for booking in bookings:
        groups[key(booking)].append(booking)
    return dict(groups)


def add_months(first_day, count):
    index = first_day.year * 12 + first_day.month - 1 + count
    return datetime.date(index // 12, index % 12 + 1, 1)


class Budget:
    """A budget and what the file spends of it."""

    def __init__(self, name, period, categories, bookings, limit=None):
        self.name = name
        self.period = period
        # None: all spending.
        self.categories = categories
        self.id = None
        counted = [
            booking
            for booking in bookings
            if booking.type == "expense" and (categories is None or booking.category in categories)
        ]
        groups = grouped(counted, lambda booking: self.start_of(booking.date))
        self.spent = {start: total(group) for start, group in groups.items()}
        self.limit = limit or telling_limit(self.spent.values())

    def start_of(self, date):
        if self.period == "weekly":
            return date - datetime.timedelta(days=date.weekday())
        return date.replace(day=1)

    def end_of(self, start):
        if self.period == "weekly":
            return start + datetime.timedelta(days=6)
        return start.replace(day=calendar.monthrange(start.year, start.month)[1])

    def crossings(self):
        """(first day of the period, threshold) of each threshold reached."""
        return {
            (start, threshold)
            for start, spent in self.spent.items()
            for threshold in THRESHOLDS
            if reached(spent, self.limit, threshold)
        }

    def standing(self, start):
        """A period as the API shows it."""
        spent = self.spent.get(start, Decimal(0))
        return {
            "period_start": start.isoformat(),
            "period_end": self.end_of(start).isoformat(),
            "amount": money(self.limit),
            "carried": money(Decimal(0)),
            "spent": money(spent),
            "remaining": money(self.limit - spent),
            "percent": int(spent * 100) * 100 // int(self.limit * 100),
        }


def reached(spent, limit, threshold):
    return spent > 0 and spent * 100 >= limit * threshold


def telling_limit(sums):
    """A limit which some periods keep, some come near and some exceed, as evenly as it goes; one sum hits
    a threshold exactly."""
    sums = sorted(set(sums))

    def spread(limit):
        exceeded = sum(reached(spent, limit, 100) for spent in sums)
        near = sum(reached(spent, limit, 80) for spent in sums) - exceeded
        return (min(exceeded, near, len(sums) - exceeded - near), near, limit)

    hit_at_80 = [spent * 5 / 4 for spent in sums if int(spent * 100) % 4 == 0]
    return max([*sums, *hit_at_80], key=spread)


def plan_budgets(bookings):
    expenses = [booking for booking in bookings if booking.type == "expense"]
    groups = grouped(expenses, lambda booking: booking.category)
    biggest = sorted(groups, key=lambda category: (-total(groups[category]), category))
    most_often = sorted(groups, key=lambda category: (-len(groups[category]), category))
    return [
        *(
            Budget(f"{category[0]} a month", "monthly", {category}, bookings)
            for category in biggest[:CATEGORY_BUDGETS]
        ),
        Budget("All spending a month", "monthly", None, bookings),
        Budget(" and ".join(name for name, _ in most_often[:2]) + " a week", "weekly", set(most_often[:2]), bookings),
    ]


# ---- The server ---------------------------------------------------------------------------------


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        # Numbers stay as they are written.
        return json.loads(self.body, parse_float=Decimal)

    def __str__(self):
        return f"{self.status} {self.body.decode('utf-8', 'replace')[:500]}"


class Client:
    """One kept-alive connection."""

    def __init__(self, url, token=None):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CannotTry(f"{url}: not a URL such as http://127.0.0.1:8080")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.connection = kind(parts.hostname, parts.port, timeout=REQUEST_SECS_MAX)
        self.base = parts.path.rstrip("/")
        self.token = token

    def send(self, method, path, body=None, headers=None):
        """Asks once; again when the server says later, or when a kept-alive connection had been closed."""
        headers = {"Accept": "application/json", **(headers or {})}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            body = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        attempts = 0
        while True:
            is_fresh = self.connection.sock is None
            try:
                self.connection.request(method, self.base + path, body, headers)
                response = self.connection.getresponse()
                answer = Answer(response.status, response.headers, response.read())
            except (http.client.HTTPException, OSError) as error:
                self.connection.close()
                if is_fresh:
                    raise CannotTry(f"{method} {path}: {error!r}") from error
                continue
            attempts += 1
            if answer.status in (429, 503) and answer.headers.get("Retry-After") and attempts < 10:
                time.sleep(min(int(answer.headers["Retry-After"]), 60))
                continue
            return answer

    def get(self, path, **query):
        query = f"?{urllib.parse.urlencode(query)}" if query else ""
        answer = self.send("GET", path + query)
        if answer.status != 200:
            raise CannotTry(f"GET {path}{query}: {answer}")
        return answer

    def create(self, path, body):
        answer = self.send("POST", path, body, {"Idempotency-Key": str(uuid.uuid4())})
        if answer.status != 201:
            raise CannotTry(f"POST {path}: {answer}")
        return answer.json

    def items(self, path):
        """All items of a list, page by page."""
        query, seen = {"limit": PAGE}, set()
        while True:
            page = self.get(path, **query).json
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return
            if cursor in seen:
                raise CannotTry(f"GET {path}: the cursor {cursor} comes again")
            seen.add(cursor)
            query["cursor"] = cursor


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


class Server:
    """A server of ours, on free ports and in a temporary directory."""

    def __init__(self, binary, directory):
        self.binary = binary
        self.data_dir = os.path.join(directory, "data")
        self.log_path = os.path.join(directory, "server.log")
        public, internal = free_ports(2)
        self.url = f"http://127.0.0.1:{public}"
        self.internal_url = f"http://127.0.0.1:{internal}"
        # Settings of the caller, a database for example, are none of this server's.
        foreign = ("DATABASE_URL", "REDIS_URL", "JWT_SECRET_KEY", "GEMINI_API_KEY", "SMTP_URL")
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("WEALTH__") and name not in foreign
        }
        settings = {
            "WEALTH__HTTP__PUBLIC_ADDR": f"127.0.0.1:{public}",
            "WEALTH__HTTP__INTERNAL_ADDR": f"127.0.0.1:{internal}",
            "WEALTH__LIMITS__REQUESTS_PER_MINUTE": "0",
            "WEALTH__LOG__FORMAT": "json",
        }
        try:
            with open(self.log_path, "wb") as log:
                self.process = subprocess.Popen(
                    [binary, "--data-dir", self.data_dir],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**self.environment, **settings},
                )
        except OSError as error:
            raise CannotTry(f"{binary}: {error}") from error

    def wait_until_ready(self):
        client, last = Client(self.internal_url), "no answer"
        deadline = time.monotonic() + START_SECS_MAX
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise CannotTry(f"the server ended with {self.process.returncode} at its start{self.log_tail()}")
            try:
                answer = client.send("GET", "/readyz")
                if answer.status == 200:
                    return
                last = str(answer)
            except CannotTry as error:
                last = str(error)
            time.sleep(0.1)
        raise CannotTry(f"the server was not ready after {START_SECS_MAX} s: {last}{self.log_tail()}")

    def stop(self):
        """Asks it to end; gives its exit code, or None if it would not end."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECS_MAX)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def errors(self):
        """Lines of its log which tell of an error."""
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return [line.strip() for line in log if '"level":"ERROR"' in line.replace(" ", "")]

    def log_tail(self):
        with contextlib.suppress(OSError):
            with open(self.log_path, encoding="utf-8", errors="replace") as log:
                lines = log.readlines()[-LOG_LINES_SHOWN:]
            if lines:
                return "\nits last lines:\n" + "".join(f"  {line}" for line in lines).rstrip()
        return ""


# ---- The comparison -----------------------------------------------------------------------------


class Report:
    """What was compared, and what differs, by groups."""

    def __init__(self):
        self.compared = Counter()
        self.differences = defaultdict(list)

    def different(self):
        return sum(map(len, self.differences.values()))

    def equal(self, group, what, found, expected):
        self.compared[group] += 1
        if found == expected:
            return
        if isinstance(found, dict) and isinstance(expected, dict):
            for key in sorted({*found, *expected}, key=str):
                there, wanted = found.get(key, "nothing"), expected.get(key, "nothing")
                if there != wanted:
                    self.differences[group].append(f"{what}, {key}: the server has {there}, expected {wanted}")
        else:
            self.differences[group].append(f"{what}: the server has {found}, expected {expected}")

    def holds(self, group, what, condition):
        self.compared[group] += 1
        if not condition:
            self.differences[group].append(what)


class Check:
    def __init__(self, url, bookings, threads):
        self.url = url
        self.bookings = bookings
        self.threads = threads
        self.report = Report()
        self.client = Client(url)
        self.local = threading.local()
        self.position = 0
        self.wallet_ids = {}
        self.category_ids = {}
        self.budgets = plan_budgets(bookings)

    # -- Putting it in

    def register(self):
        body = {
            "email": f"real-input-{uuid.uuid4().hex}@example.com",
            "password": secrets.token_urlsafe(24),
            "currency": CURRENCY,
            "time_zone": TIME_ZONE,
        }
        answer = self.client.send("POST", "/v1/auth/register", body)
        if answer.status != 201:
            raise CannotTry(f"POST /v1/auth/register: {answer}")
        self.client.token = answer.json["access_token"]

    def make_wallets(self):
        for name in sorted({booking.wallet for booking in self.bookings}):
            kind = "credit_card" if "card" in name.lower() else "bank"
            wallet = {"name": name, "type": kind, "currency": CURRENCY, "opening_balance": "0.00"}
            self.wallet_ids[name] = self.client.create("/v1/wallets", wallet)["id"]

    def make_categories(self):
        """A usual set is there from the start."""
        there = {(item["name"], item["kind"]): item["id"] for item in self.client.items("/v1/categories")}
        for name, kind in sorted({booking.category for booking in self.bookings}):
            self.category_ids[name, kind] = there.get((name, kind)) or self.create_category(name, kind)

    def create_category(self, name, kind):
        return self.client.create("/v1/categories", {"name": name, "kind": kind})["id"]

    def make_budgets(self):
        for budget in self.budgets:
            categories = [self.category_ids[category] for category in sorted(budget.categories or ())]
            made = self.client.create(
                "/v1/budgets",
                {
                    "name": budget.name,
                    "category_ids": categories,
                    "amount": money(budget.limit),
                    "currency": CURRENCY,
                    "period": budget.period,
                    "alert_at": list(THRESHOLDS),
                },
            )
            budget.id = made["id"]

    def book_all(self):
        """Sends every booking; gives the answers in the file's order."""
        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            answers = list(pool.map(self.book, self.bookings))
        positions = [int(answer.headers.get("X-Log-Position", 0)) for answer in answers]
        self.position = max(self.position, *positions)
        return answers

    def body_of(self, booking):
        return {
            "wallet_id": self.wallet_ids[booking.wallet],
            "type": booking.type,
            "amount": booking.amount_text,
            "date": booking.date.isoformat(),
            "category_id": self.category_ids[booking.category],
            "description": booking.description,
        }

    def book(self, booking):
        if not hasattr(self.local, "client"):
            self.local.client = Client(self.url, self.client.token)
        headers = {"Idempotency-Key": booking.key}
        return self.local.client.send("POST", "/v1/transactions", self.body_of(booking), headers)

    # -- Looking at it

    def compare_booked(self, answers):
        for booking, answer in zip(self.bookings, answers):
            row = f"row {booking.number}"
            self.report.holds("bookings", f"{row}: {answer}", answer.status == 201)
            if answer.status != 201:
                continue
            made = answer.json
            expected = {**self.body_of(booking), "amount": money(booking.amount), "currency": CURRENCY}
            self.report.equal("bookings", row, {key: made.get(key) for key in expected}, expected)
            location = answer.headers.get("Location")
            self.report.equal("bookings", f"{row}, Location", location, f"/v1/transactions/{made['id']}")

    def compare_replayed(self, first, again):
        for booking, before, now in zip(self.bookings, first, again):
            row = f"row {booking.number} sent again"
            self.report.equal("replays", f"{row}, status", now.status, before.status)
            replayed = now.headers.get("Idempotent-Replayed")
            self.report.equal("replays", f"{row}, Idempotent-Replayed", replayed, "true")
            self.report.equal("replays", f"{row}, body", now.body, before.body)
            for name in ("Location", "ETag", "X-Log-Position"):
                found, expected = now.headers.get(name), before.headers.get(name)
                self.report.equal("replays", f"{row}, {name}", found, expected)

    def compare_list(self, answers):
        made = Counter(answer.json["id"] for answer in answers if answer.status == 201)
        listed = Counter(item["id"] for item in self.client.items("/v1/transactions"))
        self.report.equal("list of bookings", "times that an id is listed", dict(listed), dict(made))

    def catch_up(self):
        """Waits until the read models show all that was booked."""
        deadline = time.monotonic() + CATCH_UP_SECS_MAX
        while True:
            answer = self.client.get("/v1/dashboard", wait_for=self.position)
            shown = int(answer.headers["X-Log-Position"])
            if shown >= self.position:
                return
            if time.monotonic() > deadline:
                raise CannotTry(
                    f"the dashboard shows position {shown}, not {self.position}, after {CATCH_UP_SECS_MAX} s"
                )

    def compare_dashboards(self):
        by_month = grouped(self.bookings, lambda booking: booking.month)
        # A quiet month on either side, too.
        months = [add_months(min(by_month), -1), *sorted(by_month), add_months(max(by_month), 1)]
        for month in months:
            self.compare_dashboard(month, by_month)
        return len(months)

    def compare_dashboard(self, month, by_month):
        name = f"{month:%Y-%m}"
        query = {"month": name, "currency": CURRENCY, "wait_for": self.position}
        shown = self.client.get("/v1/dashboard", **query).json
        bookings = by_month.get(month, [])
        expected = {"month": name, "currency": CURRENCY, **flow(bookings)}
        self.report.equal("dashboards", name, {key: shown[key] for key in expected}, expected)

        categories = {
            (self.category_ids[category], category[0], category[1]): (money(total(group)), len(group))
            for category, group in grouped(bookings, lambda booking: booking.category).items()
        }
        found = {
            (item["category_id"], item["name"], item["type"]): (item["amount"], item["bookings"])
            for item in shown["by_category"]
        }
        self.report.equal("dashboards", f"{name} by category", found, categories)
        self.report.equal("dashboards", f"{name}, categories", len(shown["by_category"]), len(categories))

        wallets = {
            (self.wallet_ids[wallet], wallet): flow(group)
            for wallet, group in grouped(bookings, lambda booking: booking.wallet).items()
        }
        found = {
            (item["wallet_id"], item["name"]): {key: item[key] for key in ("income", "spending", "net")}
            for item in shown["by_wallet"]
        }
        self.report.equal("dashboards", f"{name} by wallet", found, wallets)
        self.report.equal("dashboards", f"{name}, wallets", len(shown["by_wallet"]), len(wallets))

        trend = [add_months(month, index + 1 - TREND_MONTHS) for index in range(TREND_MONTHS)]
        expected = [{"month": f"{past:%Y-%m}", **flow(by_month.get(past, []))} for past in trend]
        self.report.equal("trends", f"{name}, months", len(shown["trend"]), len(expected))
        for found, wanted in zip(shown["trend"], expected):
            self.report.equal("trends", f"{name}, its {wanted['month']}", found, wanted)

    def compare_balances(self):
        found = {item["name"]: item["balance"] for item in self.client.items("/v1/wallets")}
        expected = {}
        for wallet, group in grouped(self.bookings, lambda booking: booking.wallet).items():
            expected[wallet] = flow(group)["net"]
        self.report.equal("balances", "wallets", found, expected)
        return len(expected)

    def compare_budgets(self):
        for budget in self.budgets:
            shown = {
                datetime.date.fromisoformat(item["period_start"]): item
                for item in self.client.items(f"/v1/budgets/{budget.id}/periods")
            }
            for start in sorted({*shown, *budget.spent}):
                found = shown.get(start, {})
                self.report.equal("budget periods", f"{budget.name}, {start}", found, budget.standing(start))
            starts = sorted(shown)
            for start, following in zip(starts, starts[1:]):
                next_day = budget.end_of(start) + datetime.timedelta(days=1)
                self.report.equal("budget periods", f"{budget.name}, what follows {start}", following, next_day)
            current = self.client.get(f"/v1/budgets/{budget.id}", wait_for=self.position).json["current"]
            start = datetime.date.fromisoformat(current["period_start"])
            self.report.equal("budget periods", f"{budget.name}, current", current, budget.standing(start))

    def expected_alerts(self):
        return Counter(
            (budget.id, start.isoformat(), threshold)
            for budget in self.budgets
            for start, threshold in budget.crossings()
        )

    def settled_alerts(self):
        """The alerts, when all that are due are there and no more come."""
        due = sum(self.expected_alerts().values())
        deadline = time.monotonic() + CATCH_UP_SECS_MAX
        seen, since = -1, time.monotonic()
        while True:
            alerts = list(self.client.items("/v1/alerts"))
            now = time.monotonic()
            if len(alerts) != seen:
                seen, since = len(alerts), now
            if (seen >= due and now - since >= QUIET_SECS) or now > deadline:
                return alerts
            time.sleep(0.25)

    def compare_alerts(self, alerts):
        names = {budget.id: budget for budget in self.budgets}

        def readable(keys):
            return {
                f"{names[key[0]].name if key[0] in names else key[0]}, {key[1]}, {key[2]} %": f"{count} alert(s)"
                for key, count in keys.items()
            }

        found = Counter(
            (alert["details"]["budget_id"], alert["details"]["period_start"], alert["details"]["threshold"])
            for alert in alerts
        )
        self.report.equal("alerts", "what was crossed", readable(found), readable(self.expected_alerts()))
        # A day's doubt about what "today" is in the user's time zone.
        yesterday = datetime.datetime.now(datetime.timezone.utc).date() - datetime.timedelta(days=1)
        for alert in alerts:
            details, budget = alert["details"], names.get(alert["details"]["budget_id"])
            if budget is None:
                continue
            start = datetime.date.fromisoformat(details["period_start"])
            end = budget.end_of(start)
            what = f"{budget.name}, {start}, {details['threshold']} %"
            kind = "budget_exceeded" if details["threshold"] >= 100 else "budget_warning"
            self.report.equal("alerts", f"{what}, kind", alert["kind"], kind)
            self.report.equal("alerts", f"{what}, budget_id", alert["budget_id"], budget.id)
            self.report.equal("alerts", f"{what}, period_end", details["period_end"], end.isoformat())
            if end < yesterday:
                self.report.equal("alerts", f"{what}, historic", alert["historic"], True)
                self.report.holds("alerts", f"{what}: not read, but its period is over", alert["read_at"] is not None)

    def compare_all(self):
        self.catch_up()
        months = self.compare_dashboards()
        wallets = self.compare_balances()
        self.compare_budgets()
        alerts = self.settled_alerts()
        self.compare_alerts(alerts)
        say(
            f"compared {months} months with their trends, {wallets} balances, {len(self.budgets)} budgets, "
            f"{len(alerts)} alerts: {self.report.different()} differences so far"
        )
        return alerts

    def run(self):
        self.register()
        self.make_wallets()
        self.make_categories()
        self.make_budgets()
        crossed = [len(budget.crossings()) for budget in self.budgets]
        say(
            f"made {len(self.wallet_ids)} wallets, {len(self.budgets)} budgets, and use {len(self.category_ids)} "
            f"categories; {sum(crossed)} alerts are due ({', '.join(map(str, crossed))})"
        )
        first = timed("booked", self.bookings, self.book_all)
        self.compare_booked(first)
        alerts = self.compare_all()

        again = timed("sent again", self.bookings, self.book_all)
        self.compare_replayed(first, again)
        self.compare_list(first)
        alerts_again = self.compare_all()
        self.report.equal("alerts", "after sending all again", alerts_again, alerts)


def timed(what, bookings, work):
    begin = time.monotonic()
    result = work()
    took = time.monotonic() - begin
    say(f"{what} {len(bookings)} in {took:.1f} s, {len(bookings) / took:.0f} a second")
    return result


def verify(report, command):
    """The program's own check of its books."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=VERIFY_SECS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotTry(f"{shlex.join(command)}: {error}") from error
    output = done.stdout.decode("utf-8", "replace").strip()
    for line in output.splitlines():
        say(f"  {line}")
    report.holds("verify", f"{shlex.join(command)} exits with {done.returncode}", done.returncode == 0)


def check_own_server(binary, bookings, threads):
    binary = os.path.abspath(binary)
    with tempfile.TemporaryDirectory(prefix="real-input-") as directory:
        server = Server(binary, directory)
        try:
            server.wait_until_ready()
            say(f"the server is ready at {server.url}")
            check = Check(server.url, bookings, threads)
            try:
                check.run()
            except CannotTry as error:
                raise CannotTry(f"{error}{server.log_tail()}") from error
            begin, code = time.monotonic(), server.stop()
            say(f"the server stopped with {code} in {time.monotonic() - begin:.1f} s")
            check.report.equal("server", "its exit code", code, 0)
            for line in server.errors():
                check.report.holds("server", f"it logged: {line}", False)
        finally:
            server.kill()
        verify(check.report, [binary, "--data-dir", server.data_dir, "verify"])
    return check.report


def check_running_server(url, verify_command, bookings, threads):
    check = Check(url, bookings, threads)
    check.run()
    if verify_command:
        verify(check.report, shlex.split(verify_command))
    return check.report


def finish(report):
    counts = ", ".join(f"{group} {count}" for group, count in report.compared.items())
    say(f"comparisons: {counts}")
    for group, differences in report.differences.items():
        for difference in differences[:DIFFERENCES_SHOWN_MAX]:
            say(f"DIFFERENT {group}: {difference}")
        if len(differences) > DIFFERENCES_SHOWN_MAX:
            say(f"DIFFERENT {group}: and {len(differences) - DIFFERENCES_SHOWN_MAX} more")
    if report.different():
        say(f"FAILED: {report.different()} differences")
        return 1
    say("OK: everything is equal")
    return 0


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", required=True, metavar="FILE", help="the bookings")
    server = parser.add_mutually_exclusive_group(required=True)
    server.add_argument("--start", metavar="BINARY", help="start this, then stop and verify it")
    server.add_argument("--url", metavar="URL", help="of a server that runs; its rate limits are honoured")
    parser.add_argument("--verify-cmd", metavar="COMMAND", help="with --url: run this at the end, it must exit with 0")
    parser.add_argument("--threads", type=int, default=8, metavar="N", help="clients at once (8)")
    arguments = parser.parse_args()
    if arguments.verify_cmd and not arguments.url:
        parser.error("--verify-cmd goes with --url: a server started here is verified anyway")
    if arguments.threads < 1:
        parser.error("--threads is at least 1")
    return arguments


def main():
    # So that a server of ours never outlives us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments = parse_arguments()
    try:
        bookings = read_bookings(arguments.csv)
        first, last = min(booking.date for booking in bookings), max(booking.date for booking in bookings)
        say(f"{len(bookings)} bookings from {first} to {last}")
        if arguments.start:
            report = check_own_server(arguments.start, bookings, arguments.threads)
        else:
            report = check_running_server(arguments.url, arguments.verify_cmd, bookings, arguments.threads)
    except CannotTry as error:
        say(f"FAILED: {error}")
        return 2
    except KeyboardInterrupt:
        return 130
    return finish(report)


if __name__ == "__main__":
    sys.exit(main())
