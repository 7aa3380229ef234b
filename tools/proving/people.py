"""People who use the system: they register, book, look, follow their alerts; some ask for what is not there."""

import contextlib
import datetime
import itertools
import json
import pathlib
import socket
import threading
import time
import urllib.request

from measure.server import Person

from .world import wait_for

PAUSE_SECS = 0.05


class Mailboxes:
    """What the mail server of the stack has taken, since it started."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def letters(self, address):
        """Those for an address, in the order in which they came."""
        folder = self.folder / address
        files = sorted(folder.glob("*.json"), key=lambda file: int(file.stem))
        return [json.loads(file.read_text(encoding="utf-8")) for file in files]

    def alerts(self, address):
        """Those that tell of something."""
        return [letter for letter in self.letters(address) if not question_in(letter)]

    def question(self, address):
        """The link of the one that asks whether the address is its user's."""
        return next(filter(None, map(question_in, self.letters(address))), None)


def question_in(letter):
    return next((line for line in letter["text"].splitlines() if "/v1/confirm-email?" in line), None)


class Spender(Person):
    """Somebody who breaks a budget whenever asked to: each time in a month of its own."""

    def __init__(self, address):
        super().__init__(address)
        self.email = self.known_by["email"]
        self.months = itertools.count(1)

    def want_mail(self, mailboxes):
        """Of budgets that are exceeded, and says that the address is theirs."""
        self.send("PATCH", "/v1/me/notifications", {"kinds": {"budget_exceeded": {"email": True}}}, **{"If-Match": "*"})
        link = wait_for("nobody was asked whose address it is", lambda: mailboxes.question(self.email), 60)
        urllib.request.urlopen(urllib.request.Request(link, b"", method="POST"), timeout=10).close()

    def want_words(self):
        """Insights in the words of whoever is asked for them."""
        self.send("PATCH", "/v1/me", {"ai": True}, **{"If-Match": "*"})

    def break_one(self, traceparent=None):
        day = datetime.date(2027 + (number := next(self.months)) // 12, 1 + number % 12, 1)
        body = {"wallet_id": self.wallet, "category_id": self.categories[0], "type": "expense", "amount": "2000.00", "date": str(day)}
        return self.send("POST", "/v1/transactions", body, **({"traceparent": traceparent} if traceparent else {}))


class Stream:
    """An open stream of alerts, which counts what comes."""

    def __init__(self, person):
        self.came = 0
        self.connection = socket.create_connection(person.address.split(":"), timeout=600)
        self.connection.sendall((f"GET /v1/alerts/stream HTTP/1.1\r\nHost: {person.address}\r\n"
                                 f"Authorization: Bearer {person.token}\r\n\r\n").encode())
        self.lines = self.connection.makefile("rb")
        for line in self.lines:
            if line.startswith(b": connected"):
                break
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        with contextlib.suppress(OSError, ValueError):
            for line in self.lines:
                self.came += line.startswith(b"data: ")

    def close(self):
        self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()


class Crowd:
    """People who come and go all the time, whether they are served or not."""

    THREADS = 4

    def __init__(self, address, mailboxes):
        self.address, self.mailboxes = address, mailboxes
        self.people = [Spender(address) for _ in range(self.THREADS)]
        for person in self.people:
            person.want_words()
            person.want_mail(mailboxes)
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.live, args=(person,), daemon=True) for person in self.people]
        for thread in self.threads:
            thread.start()

    def live(self, person):
        for number in itertools.count():
            for action in (self.book, self.pay_twice, self.look, self.err):
                # What fails is the matter of those who watch.
                with contextlib.suppress(OSError, ValueError):
                    action(person, number)
                if self.stopped.wait(PAUSE_SECS):
                    return

    def book(self, person, number):
        booking = person.booking(number)
        person.send(booking["method"], booking["path"], json.loads(booking["body"]))

    def pay_twice(self, person, number):
        """Which is worth an insight, each time another."""
        if number % 20:
            return
        for _ in range(2):
            person.send("POST", "/v1/transactions", {"wallet_id": person.wallet, "type": "expense",
                                                     "amount": f"{300 + number}.00", "payee": "Furniture"})

    def look(self, person, number):
        path = ("/v1/dashboard", "/v1/budgets", "/v1/transactions", "/v1/alerts", "/v1/wallets")[number % 5]
        person.send("GET", path)

    def err(self, person, number):
        if number % 10 == 0:
            person.send("GET", "/v1/wallets/nothing")

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


class Noise:
    """Requests of somebody, whose connection is kept, as many as there is time for: each is a line in the log."""

    AT_ONCE = 100

    def __init__(self, address):
        self.address, self.token = address, Person(address).token
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.make, daemon=True)
        self.thread.start()

    def make(self):
        request = f"GET /v1/me HTTP/1.1\r\nHost: {self.address}\r\nAuthorization: Bearer {self.token}\r\n\r\n"
        requests = request.encode() * self.AT_ONCE
        with contextlib.suppress(OSError), socket.create_connection(self.address.split(":"), timeout=30) as connection:
            answers = connection.makefile("rb")
            while not self.stopped.is_set():
                connection.sendall(requests)
                for _ in range(self.AT_ONCE):
                    read_answer(answers)

    def stop(self):
        self.stopped.set()
        self.thread.join()


def read_answer(answers):
    length = 0
    for line in iter(answers.readline, b"\r\n"):
        if not line:
            raise OSError("the connection has ended")
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    answers.read(length)


def wait_for_alerts(stream, count, seconds):
    deadline = time.monotonic() + seconds
    while stream.came < count and time.monotonic() < deadline:
        time.sleep(0.1)
    return stream.came >= count
