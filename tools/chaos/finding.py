"""Looks at what is there after everything is well again, and waits until there is nothing left to come."""

import datetime
import json
import sqlite3
import time

from proving.world import Failed

from .checker import HEARD, Event, Found, Mine

DRAIN_SECS_MAX = 180
# It is looked for what is due every half a minute.
DUE_SECS_MAX = 90
TOPICS_SECS_MAX = 300


class PostgresBooks:
    """The database of the roles on the stack, asked by psql."""

    def __init__(self, world):
        self.world = world

    def rows(self, question):
        answer = self.world.stack.part("postgres").psql(f"SELECT json_agg(found) FROM ({question}) AS found", database="wealth")
        if answer is None:
            raise Failed(f"PostgreSQL does not answer: {question}")
        return [list(row.values()) for row in json.loads(answer or "null") or []]

    def unpublished(self):
        return self.rows("SELECT COUNT(*) FROM outbox")[0][0]


class SqliteBooks:
    """The file of the embedded one, read beside it."""

    def __init__(self, file):
        self.file = file

    def rows(self, question):
        connection = sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=30)
        try:
            return [[value.hex() if isinstance(value, bytes) else value for value in row] for row in connection.execute(question)]
        finally:
            connection.close()

    def unpublished(self):
        """What the relay has not passed."""
        return self.rows("SELECT COUNT(*) FROM event_log WHERE position > "
                         "COALESCE((SELECT position FROM log_cursors WHERE name = 'relay'), 0)")[0][0]


def dashed(id):
    """SQLite keeps ids as bytes."""
    plain = id.replace("-", "")
    return "-".join((plain[:8], plain[8:12], plain[12:16], plain[16:20], plain[20:]))


def left(database):
    """How many events are still to be published, and how many to be handled."""
    heard = " OR ".join(f"(inbox.consumer = '{consumer}' AND log.type IN ({', '.join(map(repr, types))}))"
                        for consumer, types in HEARD.items())
    types = ", ".join(repr(type_) for types in HEARD.values() for type_ in types)
    unhandled = database.rows(f"SELECT COUNT(*) FROM event_log log WHERE log.type IN ({types}) AND NOT EXISTS "
                              f"(SELECT 1 FROM inbox WHERE inbox.event_id = log.event_id AND ({heard}))")
    return database.unpublished(), unhandled[0][0]


def today():
    return str(datetime.datetime.now(datetime.timezone.utc).date())


def wait_until_booked(people):
    """Until nothing is due of what comes again; gives whether that is so."""
    deadline = time.monotonic() + DUE_SECS_MAX
    while time.monotonic() < deadline:
        due = [item for person in people for item in person.read_all("/v1/recurring")
               if item["next_on"] is not None and item["next_on"] <= today()]
        if not due:
            return True
        time.sleep(0.5)
    return False


def wait_until_drained(database):
    """What is still to be done is done; gives what is left after the time for that is up, and how long it took."""
    begun = time.monotonic()
    while any(rest := left(database)) and time.monotonic() - begun < DRAIN_SECS_MAX:
        time.sleep(0.5)
    return rest, time.monotonic() - begun


def wait_until_told(people):
    """Until nothing has come over the streams for some seconds; every alert was made before that."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        missing = 0
        for person in people:
            alerts = {alert["id"] for alert in person.read_all("/v1/alerts") if not alert["historic"]}
            missing += len(alerts - {id for _, id in person.books.streamed})
        if not missing:
            return
        time.sleep(0.5)


def mine(person):
    """What one person is shown."""
    budgets = person.read_all("/v1/budgets")
    months = {}
    for month in person.months:
        shown = person.read(f"/v1/dashboard?month={str(month)[:7]}&currency=USD")
        months[str(month)[:7]] = shown["income"], shown["spending"]
    goals = person.read_all("/v1/goals")
    contributions = [item for goal in goals for item in person.read_all(f"/v1/goals/{goal['id']}/contributions")]
    return Mine(
        recurring=person.read_all("/v1/recurring"), goals=goals, contributions=contributions, today=today(),
        wallets=person.read_all("/v1/wallets"), bookings=person.read_all("/v1/transactions"), budgets=budgets,
        periods={item["id"]: person.read_all(f"/v1/budgets/{item['id']}/periods") for item in budgets},
        alerts=person.read_all("/v1/alerts"), months=months,
    )


def find(people, database, run, on_topics):
    """All of it. `run` runs a command of the product."""
    log = [Event(dashed(id), type_, dashed(user), position, json.loads(envelope)) for id, type_, user, position, envelope in
           database.rows("SELECT event_id, type, user_id, position, envelope FROM event_log ORDER BY position")]
    code, letters = run("dlq", "list", "--json", "--limit", "100")
    if code != 0:
        raise Failed(f"`dlq list` ended with {code}: {letters}")
    code, said = run("verify")
    crossings = database.rows("SELECT budget_id, period_start, threshold FROM budget_crossings UNION ALL "
                              "SELECT budget_id, period_start, threshold FROM budget_crossings_past")
    return Found(
        people={person.books.name: mine(person) for person in people}, log=log, topics=topics(run) if on_topics else None,
        inbox=[(consumer, dashed(id)) for consumer, id in database.rows("SELECT consumer, event_id FROM inbox")],
        unpublished=database.unpublished(),
        crossings=[(dashed(budget), period, threshold) for budget, period, threshold in crossings],
        dead_letters=json.loads(letters)["letters"], verify=(code, said.strip()[-1_000:]),
    )


def topics(run):
    code, said = run("events", "tail", "--from", "beginning", "--no-follow", "--json", seconds=TOPICS_SECS_MAX)
    if code != 0:
        raise Failed(f"`events tail` ended with {code}: {said}")
    passed = [json.loads(line) for line in said.splitlines()]
    return [Event(record["value"]["id"], record["topic"], record["value"]["data"]["userId"],
                  (record["topic"], record["partition"], record["offset"]), record["value"]) for record in passed]
