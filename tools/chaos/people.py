"""People who write all the time, and remember what they were told.

A write has one of three ends: it was acknowledged; it was refused (4xx: nothing has happened); or nobody knows, since the
connection broke, the time was up, or the server said 5xx, which may also be about what comes after a commit.
"""

import contextlib
import datetime
import http.client
import json
import random
import socket
import threading
import time
import uuid

from .books import GONE, Booking, Books, Budget, Contribution, Row, Wallet, months_around
from .checker import as_booking, as_contribution, minor
from .matters import GOALS_MAX, RULES_MAX, Matters, as_splits, decimal

ANSWER_SECS_MAX = 6
TRIES_MAX = 6
TRY_AGAIN_SECS = 0.3
# Of a hundred writes without an answer, how many are sent again: the others stay in doubt.
AGAIN_PERCENT = 70
THRESHOLDS = [50, 80, 100, 150]
BUDGETS_MAX = 40
WALLETS_MAX = 6
RUN_SECS_MAX = 90
# Where one thing is read.
PATHS = {Booking: "transactions", Budget: "budgets", Contribution: "contributions"}


class Answer:
    """What came back; `status` is None when nothing did."""

    def __init__(self, status=None, headers=None, body=None, why=""):
        self.status, self.headers, self.body, self.why = status, headers or {}, body, why

    @property
    def is_done(self):
        return self.status is not None and self.status < 300

    @property
    def is_refused(self):
        """Nothing has happened. 409 is about a request with the same key that is still running: it says nothing yet."""
        return self.status is not None and 400 <= self.status < 500 and self.status != 409

    @property
    def is_decided(self):
        """Whether there is no use in asking again."""
        return self.is_done or (self.is_refused and self.status != 401)


def ask(address, method, path, body=None, **headers):
    """One request on a connection of its own."""
    host, port = address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=ANSWER_SECS_MAX)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": "application/json", "Connection": "close", **headers})
        answer = connection.getresponse()
        text = answer.read()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, headers, json.loads(text) if text else None)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Answer(why=repr(error))
    finally:
        connection.close()


def place(text):
    """A place in the log, to be compared."""
    xid, _, position = text.rpartition("-")
    return int(xid or 0), int(position)


class Writer(Matters):
    """One person, who does one thing after the other."""

    def __init__(self, number, seed, address, pause_secs, strangers):
        self.chance = random.Random(f"{seed} person {number}")
        self.address, self.pause_secs, self.strangers = address, pause_secs, strangers
        self.books = Books(f"person {number}")
        self.account = {"email": f"chaos-{uuid.uuid4()}@example.com", "password": uuid.uuid4().hex}
        self.count, self.far, self.token, self.stream = 0, 0, None, None
        # The run of a rule that is not through: until it is, nothing else is written.
        self.run = None
        self.busy = threading.Lock()
        self.stopped = threading.Event()

    # ---- Before anything breaks ----

    def arrive(self):
        answer = ask(self.address, "POST", "/v1/auth/register", {**self.account, "currency": "USD"})
        if not answer.is_done:
            raise OSError(f"registering was answered with {answer.status} {answer.body or answer.why}")
        self.token = answer.body["access_token"]
        self.books.user_id = answer.body["user"]["id"]
        items = self.read("/v1/categories")["items"]
        self.spending = [item["id"] for item in items if item["kind"] == "expense"][:4]
        self.earning = next(item["id"] for item in items if item["kind"] == "income")
        self.months = months_around(datetime.datetime.now(datetime.timezone.utc).date())
        self.stream = Stream(self)
        for currency in ("USD", "USD", "EUR"):
            self.open_wallet(currency)
        for category in self.spending:
            self.make_budget([category])
        self.make_budget(self.spending[:2])
        self.make_goal()
        self.make_rule()

    # ---- Asking ----

    def send(self, method, path, body=None, **headers):
        """As somebody who is signed in, again if need be."""
        for _ in range(2):
            answer = ask(self.address, method, path, body, Authorization=f"Bearer {self.token}", **headers)
            if answer.status != 401:
                break
            again = ask(self.address, "POST", "/v1/auth/login", self.account)
            if again.is_done:
                self.token = again.body["access_token"]
                self.books.counts["signed in again"] += 1
        if answer.status is None or answer.status >= 500:
            self.books.counts[f"answered with {answer.status or 'nothing'}"] += 1
        if answer.status == 500:
            self.wrong("no defects", f"{method} {path} was answered with 500: {answer.body}")
        return answer

    def read(self, path, seconds=30):
        """What is there, asked until there is an answer."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self.send("GET", path)
            if answer.is_done:
                return answer.body
            if answer.is_refused and answer.status != 401 or time.monotonic() > deadline:
                raise OSError(f"GET {path} was answered with {answer.status} {answer.body or answer.why}")
            time.sleep(TRY_AGAIN_SECS)

    def read_all(self, path):
        """All pages of a list."""
        items, cursor = [], None
        while True:
            page = self.read(f"{path}?limit=200" + (f"&cursor={cursor}" if cursor else ""))
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return items

    def wrong(self, check, text):
        self.books.wrong.append((check, text))

    def insist(self, kind, method, path, body=None, **headers):
        """Sends a write, and again if its answer was lost and the dice say so. Gives the last answer, and whether one
        before it was lost."""
        lost = False
        for number in range(TRIES_MAX):
            answer = self.send(method, path, body, **headers)
            self.books.counts[f"{kind} sent again" if number else f"{kind} sent"] += 1
            if answer.is_decided:
                break
            lost = lost or not answer.is_refused
            if self.stopped.is_set() or self.chance.randrange(100) >= AGAIN_PERCENT:
                break
            time.sleep(TRY_AGAIN_SECS * (1 + number))
        outcome = "acknowledged" if answer.is_done else "refused" if answer.is_refused else "unknown"
        self.books.counts[f"{kind} {outcome}"] += 1
        if answer.headers.get("idempotent-replayed"):
            self.books.counts[f"{kind} answered from memory"] += 1
        return answer, lost

    def tag(self, kind=""):
        self.count += 1
        return f"{kind}{self.books.name.replace(' ', '-')}-{self.count}-{self.account['email'][6:14]}"

    # ---- Writing ----

    def create(self, kind, path, rows, tag, body, state, told=None):
        """Something new, once, however often it is asked for. `told`: what the answer adds to its state."""
        row = Row(tag, request=(path, body, str(uuid.UUID(int=self.chance.getrandbits(128)))))
        row.doubt(state)
        rows.append(row)
        answer, lost = self.insist(kind, "POST", path, body, **{"Idempotency-Key": row.request[2]})
        if answer.is_done:
            row.id, row.position = answer.body["id"], answer.headers.get("x-log-position")
            row.learn(told(answer.body) if told else state)
        elif answer.is_refused and not lost:
            row.may, row.ever = [], []
            if answer.status != 401:
                self.wrong("nothing refused without reason", f"POST {path} {body} was answered with {answer.status} {answer.body}")
        return row

    def open_wallet(self, currency):
        tag = self.tag()
        opening = self.chance.randrange(0, 100_000)
        body = {"name": tag, "type": "bank", "currency": currency, "opening_balance": decimal(opening)}
        return self.create("wallet", "/v1/wallets", self.books.wallets, tag, body, Wallet(tag, currency, opening, 1))

    def make_budget(self, categories):
        tag = self.tag()
        limit = self.chance.randrange(5_000, 400_000)
        body = {"name": tag, "category_ids": categories, "amount": decimal(limit), "currency": "USD", "period": "monthly",
                "alert_at": THRESHOLDS}
        state = Budget(tag, tuple(categories), limit, tuple(THRESHOLDS), 1)
        return self.create("budget", "/v1/budgets", self.books.budgets, tag, body, state)

    def book(self, category=None, month=None, amount=None, kind=None, steady=False):
        tag, chance = self.tag("steady-" if steady else ""), self.chance
        kind = kind or ("expense" if category or chance.random() < 0.8 else "income")
        wallets = [row.id for row in self.books.wallets if row.id]
        wallet = wallets[0] if category or steady else chance.choice(wallets)
        category = category or (chance.choice(self.spending) if kind == "expense" else self.earning)
        day = self.a_day(month)
        amount = amount or chance.randrange(1, 20_000)
        body = {"wallet_id": wallet, "type": kind, "amount": decimal(amount), "date": day, "category_id": category,
                "description": tag}
        return self.create("booking", "/v1/transactions", self.books.steady if steady else self.books.bookings, tag, body,
                           Booking(wallet, kind, amount, day, category, 1))

    # ---- Changing ----

    def some(self, rows):
        """One of them that is there, as far as is known; preferably a late one."""
        rows = [row for row in rows if row.id and row.known]
        return self.chance.choice(rows[-40:] if self.chance.random() < 0.8 else rows) if rows else None

    def amend(self):
        row = self.some(self.books.bookings)
        if row is None or not self.is_settled(row):
            return
        amount, day = self.chance.randrange(1, 20_000), self.a_day()
        state, body = row.known._replace(minor=amount, day=day, version=row.known.version + 1), {"date": day}
        if state.splits:
            splits = self.some_splits()
            state = state._replace(splits=splits, minor=sum(minor for _, minor in splits))
            body["splits"] = as_splits(splits)
        elif state.kind == "transfer":
            currencies = {one.id: one.known.currency for one in self.books.wallets if one.known}
            state = state._replace(arrives=amount)
            if currencies[state.wallet] != currencies[state.to]:
                state = state._replace(arrives=self.chance.randrange(1, 20_000))
                body["to_amount"] = decimal(state.arrives)
        body["amount"] = decimal(state.minor)
        self.change("amendment", row, "PATCH", f"/v1/transactions/{row.id}", body, state)

    def delete(self):
        row = self.some(self.books.bookings)
        if row is not None and self.is_settled(row):
            self.change("deletion", row, "DELETE", f"/v1/transactions/{row.id}", None, GONE)

    def change_budget(self):
        row = self.some(self.books.budgets)
        if row is None or not self.is_settled(row):
            return
        limit = self.chance.randrange(5_000, 400_000)
        state = row.known._replace(limit=limit, version=row.known.version + 1)
        self.change("budget's change", row, "PATCH", f"/v1/budgets/{row.id}", {"amount": decimal(limit)}, state)

    def change(self, kind, row, method, path, body, state):
        """From the version that is known to another, or from there to nothing."""
        row.ever.append(state)
        answer, lost = self.insist(kind, method, path, body, **{"If-Match": f'"{row.known.version}"'})
        if answer.is_done:
            row.learn(state)
            row.position = answer.headers.get("x-log-position", row.position)
        elif answer.is_refused:
            if lost:
                row.doubt(state)
            # The version is another one, or the row is gone: something that was in doubt has happened.
            if answer.status in (404, 412) and row.in_doubt:
                self.is_settled(row)
            elif answer.status != 401:
                self.wrong("nothing refused without reason",
                           f"{method} {path} for version {row.known.version} was answered with {answer.status} {answer.body}")
        else:
            row.doubt(state)

    def is_settled(self, row):
        """Reads a row that is in doubt: what is there and was only possible, is known now. Gives whether it is there."""
        if not row.in_doubt:
            return row.known is not GONE
        answer = self.send("GET", f"/v1/{PATHS[type(row.known)]}/{row.id}")
        if answer.status == 404 and GONE in row.may:
            row.learn(GONE)
            return False
        if not answer.is_done:
            return False
        self.compare(row, answer.body)
        return row.known is not GONE

    def compare(self, row, item):
        """With what may be there."""
        if isinstance(row.known, Budget):
            seen = row.known._replace(limit=minor(item["amount"]), version=item["version"])
        elif isinstance(row.known, Contribution):
            seen = as_contribution(item)
        else:
            seen = as_booking(item)
        if seen not in row.possible():
            self.wrong("nothing lost", f"{row.tag} ({row.id}) may be {row.possible()}, and is read as {seen}")
        elif seen != row.known:
            row.learn(seen)

    # ---- Looking ----

    def look(self):
        """At something of one's own: what was acknowledged is there."""
        row = self.some(self.books.bookings)
        if row is None:
            return
        answer = self.send("GET", f"/v1/transactions/{row.id}")
        if answer.is_done:
            self.compare(row, answer.body)
            self.books.counts["own rows read"] += 1
        elif answer.status == 404 and GONE in row.may:
            row.learn(GONE)
        elif answer.is_refused and answer.status != 401:
            self.wrong("nothing lost", f"{row.tag} ({row.id}) is {row.known}, and reading it gives {answer.status}")

    def look_at_strangers(self):
        """At something of somebody else: it is not there, to read, to change or to delete."""
        other = self.chance.choice([one for one in self.strangers if one is not self] or [self])
        kind, rows = self.chance.choice((("transactions", other.books.bookings), ("wallets", other.books.wallets),
                                         ("budgets", other.books.budgets), ("recurring", other.books.recurring),
                                         ("goals", other.books.goals), ("rules", other.books.rules)))
        ids = [row.id for row in rows[-100:] if row.id]
        if other is self or not ids:
            return
        method, body = self.chance.choice((("GET", None), ("PATCH", {"amount": "1.00"}), ("DELETE", None)))
        if kind in ("wallets", "goals", "rules") and body:
            body = {"name": self.tag()}
        headers = {} if method == "GET" else {"If-Match": "*"}
        path = f"/v1/{kind}/{self.chance.choice(ids)}"
        answer = self.send(method, path, body, **headers)
        if answer.status == 404:
            self.books.counts["doors of others tried"] += 1
        elif answer.status is not None and answer.status < 500 and answer.status != 401:
            self.wrong("no rows of others",
                       f"{method} {path} of {other.books.name} was answered with {answer.status} {answer.body}")

    def read_own_write(self):
        """Books into a month where nothing else is, and asks for that month as it is after that; often after one more
        write, whose event may be handled first."""
        self.far += 1
        month = datetime.date(2100 + self.far // 12, 1 + self.far % 12, 1)
        row = self.book(None, month, kind="income", steady=True)
        if row.known is GONE or not row.position:
            return
        is_last = self.chance.random() < 0.5
        if not is_last:
            self.amend()
        near = str(self.chance.choice(self.months))[:7]
        least, most = self.books.spending(near)
        shown, at = self.month_after(str(month)[:7], row.position)
        if shown is None:
            return
        if place(at) < place(row.position):
            self.books.counts["own writes not yet shown, and said so"] += 1
            return
        self.books.counts["own writes read"] += 1
        if minor(shown["income"]) != row.known.minor:
            self.wrong("read your writes", f"{row.tag} is at {row.position}, and {month} at {at} is shown without it: {shown}")
        if is_last:
            self.look_at_earlier_writes(near, least, most, row.position)

    def look_at_earlier_writes(self, month, least, most, position):
        """Counted, and not judged: what is shown holds the write that is waited for, and usually those before it."""
        shown, at = self.month_after(month, position)
        if shown is not None and place(at) >= place(position):
            known = least <= minor(shown["spending"]) <= most
            self.books.counts["own earlier writes read" if known else "own earlier writes not yet shown, with a later place"] += 1

    def month_after(self, month, position):
        answer = self.send("GET", f"/v1/dashboard?month={month}&currency=USD&wait_for={position}")
        return (answer.body, answer.headers["x-log-position"]) if answer.is_done else (None, None)

    # ---- Living ----

    def live(self):
        actions = ((self.book, 34), (self.transfer, 8), (self.split, 8), (self.amend, 20), (self.delete, 8),
                   (self.read_own_write, 8), (self.look, 8), (self.look_at_strangers, 8), (self.contribute, 5), (self.take_back, 1),
                   (self.change_budget, 2), (self.widen, 2), (self.let_come_again, 1), (self.begin_run, 1))
        while not self.stopped.is_set():
            action = self.chance.choices([action for action, _ in actions], [weight for _, weight in actions])[0]
            with self.busy:
                self.go_on_with_run() if self.run else action()
            self.stopped.wait(self.chance.uniform(0, 2 * self.pause_secs))

    def widen(self):
        """A wallet, a budget, a goal or a rule more."""
        for rows, most, make in ((self.books.goals, GOALS_MAX, self.make_goal), (self.books.rules, RULES_MAX, self.make_rule)):
            if len(rows) < most and self.chance.random() < 0.3:
                make()
        if self.chance.random() < 0.3 and len(self.books.wallets) < WALLETS_MAX:
            self.open_wallet(self.chance.choice(("USD", "EUR")))
        elif len(self.books.budgets) < BUDGETS_MAX:
            self.make_budget(self.chance.sample(self.spending, self.chance.randint(1, 3)))

    def close_books(self):
        """After everything is well again: something small in each category and month, which every budget sees; and what
        was created is asked for once more, with the same key."""
        self.stopped.clear()
        deadline = time.monotonic() + RUN_SECS_MAX
        while self.run and time.monotonic() < deadline:
            self.go_on_with_run()
            time.sleep(TRY_AGAIN_SECS)
        if self.run:
            self.wrong("runs of rules", f"{self.run} was not through {RUN_SECS_MAX} s after healing")
        for month in self.months:
            for category in self.spending:
                row = self.book(category, month, 1)
                if row.known is GONE:
                    self.wrong("well again", f"after healing a booking was not taken: {row.tag}")
        rows = [row for row in self.books.bookings if row.id]
        for row in self.chance.sample(rows, min(len(rows), 30)):
            path, body, key = row.request
            answer = self.send("POST", path, body, **{"Idempotency-Key": key})
            self.books.counts["keys used again"] += 1
            if answer.status != 201 or answer.body["id"] != row.id or answer.headers.get("idempotent-replayed") != "true":
                self.wrong("nothing doubled", f"the key of {row.tag} ({row.id}) used again gave {answer.status} {answer.body}")
        self.stopped.set()


class Stream:
    """Alerts as they come, followed like a browser does: again and again from the last that was seen."""

    def __init__(self, person):
        self.person, self.last = person, "0"
        self.stopped = threading.Event()
        self.connection = None
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def follow(self):
        while not self.stopped.is_set():
            with contextlib.suppress(OSError, ValueError):
                self.read()
            self.person.books.counts["streams opened"] += 1
            self.stopped.wait(TRY_AGAIN_SECS)

    def read(self):
        with socket.create_connection(self.person.address.split(":"), timeout=20) as self.connection:
            self.connection.sendall((f"GET /v1/alerts/stream HTTP/1.1\r\nHost: {self.person.address}\r\n"
                                     f"Authorization: Bearer {self.person.token}\r\nLast-Event-ID: {self.last}\r\n\r\n").encode())
            place_now = None
            for line in self.connection.makefile("rb"):
                if self.stopped.is_set():
                    return
                if line.startswith(b"id: "):
                    place_now = line[4:].strip().decode()
                elif line.startswith(b"data: ") and place_now:
                    self.person.books.streamed.append((int(place_now), json.loads(line[6:])["id"]))
                    self.last = place_now

    def close(self):
        self.stopped.set()
        with contextlib.suppress(OSError, AttributeError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)


class Crowd:
    """All of them, each in a thread."""

    def __init__(self, count, seed, address, pause_secs):
        self.people = []
        for number in range(count):
            self.people.append(Writer(number + 1, seed, address, pause_secs, self.people))
        for person in self.people:
            person.arrive()
        self.threads = []

    def start(self):
        for person in self.people:
            person.stopped.clear()
        self.threads = [threading.Thread(target=self.guarded, args=(person,), daemon=True) for person in self.people]
        for thread in self.threads:
            thread.start()

    def guarded(self, person):
        try:
            person.live()
        except Exception as error:  # A person who stops would make the campaign easier, and nobody would see it.
            person.wrong("the campaign itself", f"{person.books.name} has stopped: {error!r}")
            raise

    def stop(self):
        for person in self.people:
            person.stopped.set()
        for thread in self.threads:
            thread.join()

    def leave(self):
        for person in self.people:
            person.stopped.set()
            if person.stream:
                person.stream.close()
