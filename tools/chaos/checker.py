"""Compares what is found in the end with what people remember: pure, so that it can be tested.

It knows nothing of how the product counts. Where a write's answer was lost, what is there decides; all sums are then made
of the bookings as they must be.
"""

import collections
import dataclasses
import datetime
import json
import typing

from .books import GONE, Booking, Contribution, parts_of

# Somebody is to be asked by mail whether an address is theirs: no alert comes of it.
ASKED = "user.confirmation.requested"
HEARD = {
    "projector": ("finance.transaction.created", "finance.transaction.updated", "finance.transaction.deleted"),
    "notifier": ("ai.insight.generated", "finance.budget.exceeded", "finance.goal.achieved", ASKED),
}
ALERT_SENT = "notification.alert.sent"
EVENTS_OF_ROWS = HEARD["projector"]
EXAMPLES_MAX = 20


@dataclasses.dataclass
class Mine:
    """What one person's questions were answered with."""

    wallets: list
    bookings: list
    budgets: list
    # Of each budget's id: its periods.
    periods: dict
    alerts: list
    # Of each month: income and spending in USD.
    months: dict
    recurring: list = dataclasses.field(default_factory=list)
    goals: list = dataclasses.field(default_factory=list)
    # To all goals.
    contributions: list = dataclasses.field(default_factory=list)
    # When that was, in UTC.
    today: str = ""


@dataclasses.dataclass
class Event:
    id: str
    type: str
    user_id: str
    # Where it stands in the log, or on its partition.
    place: typing.Any
    envelope: dict


@dataclasses.dataclass
class Found:
    """What was found after healing and draining."""

    # Of each person's name.
    people: dict
    log: list
    # As they passed on the topics; None where the bus is inside of the database.
    topics: typing.Optional[list]
    # (consumer, event id)
    inbox: list
    unpublished: int
    # (budget, period, threshold)
    crossings: list
    dead_letters: list
    verify: tuple


class Verdict:
    """How much was looked at by each check, and what is wrong."""

    def __init__(self):
        self.looked = collections.Counter()
        self.wrong = []

    def hold(self, check, holds, text):
        """`text` tells the evidence; it is made when it is needed."""
        self.looked[check] += 1
        if not holds:
            self.wrong.append((check, text() if callable(text) else text))
        return holds


def minor(text):
    """Amounts here have two decimals."""
    whole, _, part = text.lstrip("-").partition(".")
    value = int(whole) * 100 + int(part.ljust(2, "0") or 0)
    return -value if text.startswith("-") else value


def judge(people, found):
    """All checks."""
    verdict = Verdict()
    of_rows = events_of_rows(found.log)
    for books in people:
        for check, text in books.wrong:
            verdict.wrong.append((check, f"{books.name}: {text}"))
        mine = found.people[books.name]
        nobody_elses(verdict, books, mine)
        settled = settle(verdict, books, mine)
        balances(verdict, books, mine, settled)
        months(verdict, books, mine, settled)
        goals(verdict, books, mine)
        budgets(verdict, books, mine, settled)
        alerts(verdict, books, mine, settled, found)
        streams(verdict, books, mine)
        versions(verdict, books, of_rows, settled)
    log(verdict, found)
    return verdict


# ---- Rows ----


def as_booking(item):
    return Booking(item["wallet_id"], item["type"], minor(item["amount"]), item["date"], item["category_id"], item["version"],
                   item["to_wallet_id"], item["to_amount"] and minor(item["to_amount"]),
                   tuple((split["category_id"], minor(split["amount"])) for split in item["splits"]), tuple(item["tags"]))


def as_contribution(item):
    return Contribution(item["goal_id"], minor(item["amount"]), item["version"])


def nobody_elses(verdict, books, mine):
    """Every row in a list is one that this person has written."""
    for kind, rows, items, text in (("wallet", books.wallets, mine.wallets, "name"),
                                    ("budget", books.budgets, mine.budgets, "name"),
                                    ("booking", books.bookings + books.steady + books.recurring, mine.bookings, "description"),
                                    ("recurring booking", books.recurring, mine.recurring, "description"),
                                    ("goal", books.goals, mine.goals, "name"),
                                    ("contribution", books.contributions, mine.contributions, "note")):
        tags = {row.tag for row in rows}
        for item in items:
            verdict.hold("no rows of others", item[text] in tags, lambda: f"{books.name} sees a {kind} of somebody else: {item}")
    own = {item["id"] for item in mine.budgets + mine.goals}
    for alert in mine.alerts:
        about = alert["budget_id"] or alert["details"].get("goal_id")
        verdict.hold("no rows of others", about is None or about in own,
                     lambda: f"{books.name} sees an alert of somebody else: {alert}")


def settle(verdict, books, mine):
    """Each booking as it must be, by the row; for what is in doubt the list decides."""
    by_tag = collections.defaultdict(list)
    for item in mine.bookings:
        by_tag[item["description"]].append(item)
    settled = []
    for row in books.bookings + books.steady:
        items = by_tag.get(row.tag, [])
        verdict.hold("nothing doubled", len(items) <= 1,
                     lambda: f"{books.name}: {row.tag} was booked {len(items)} times: {[item['id'] for item in items]}")
        state = as_booking(items[0]) if items else GONE
        if row.id and items:
            verdict.hold("nothing lost", items[0]["id"] == row.id,
                         lambda: f"{books.name}: {row.tag} was acknowledged as {row.id}, and is {items[0]['id']}")
        is_right = verdict.hold("nothing lost", state in row.possible(),
                                lambda: f"{books.name}: {row.tag} ({row.id}) may be {row.possible()}, and is {state}")
        decided = state if is_right or row.in_doubt else row.known
        settled.append((row, items[0]["id"] if items else row.id, decided))
    for row in books.recurring:
        settled += come_again(verdict, books, mine, row, by_tag.get(row.tag, []))
    for kind, rows, items in (("wallet", books.wallets, mine.wallets), ("budget", books.budgets, mine.budgets),
                              ("goal", books.goals, mine.goals)):
        names = collections.Counter(item["name"] for item in items)
        for row in rows:
            least = 0 if GONE in row.possible() else 1
            verdict.hold("nothing lost", names[row.tag] >= least, lambda: f"{books.name}: the {kind} {row.tag} is gone")
            verdict.hold("nothing doubled", names[row.tag] <= 1, lambda: f"{books.name}: the {kind} {row.tag} is there twice")
    return settled


def come_again(verdict, books, mine, row, items):
    """What the server has booked of what comes daily: each day from its first up to its next, once, and as it was asked for."""
    check = "what comes again"
    rules = [item for item in mine.recurring if item["description"] == row.tag]
    verdict.hold("nothing doubled", len(rules) <= 1, lambda: f"{books.name}: {row.tag} comes again {len(rules)} times a day")
    verdict.hold("nothing lost", rules or GONE in row.possible(), lambda: f"{books.name}: {row.tag} does not come again")
    settled = []
    for item in items:
        state = as_booking(item)
        asked = [may.booking._replace(day=item["occurs_on"]) for may in row.possible() if may]
        verdict.hold(check, state in asked, lambda: f"{books.name}: {row.tag} may be {asked}, and was booked as {state}")
        settled.append((row, item["id"], state))
    days = sorted(item["occurs_on"] for item in items)
    if not rules:
        verdict.hold(check, not days, lambda: f"{books.name}: {row.tag} was booked on {days}, and does not come again")
        return settled
    coming = rules[0]["next_on"]
    is_due = verdict.hold(check, coming is not None and coming > mine.today, lambda: (
        f"{books.name}: {row.tag} comes next on {coming}, and today is {mine.today}: {rules[0]}"))
    if is_due:
        # Whoever was not told which day is the first does not know whether it was today or tomorrow.
        first = row.known.first if row.known else min(days, default=coming)
        expected = days_between(first, coming)
        verdict.hold(check, days == expected, lambda: f"{books.name}: {row.tag} was booked on {days}, and not on {expected}")
    return settled


def days_between(first, end):
    """As texts, without the last."""
    first, end = map(datetime.date.fromisoformat, (first, end))
    return [str(first + datetime.timedelta(days=number)) for number in range((end - first).days)]


# ---- Sums ----


def balances(verdict, books, mine, settled):
    sums = collections.Counter()
    for _, _, state in settled:
        if state:
            sums[state.wallet] += state.minor if state.kind == "income" else -state.minor
            if state.kind == "transfer":
                sums[state.to] += state.arrives
    opening = {row.tag: state.opening for row in books.wallets for state in row.possible() if state}
    for item in mine.wallets:
        expected = opening.get(item["name"], 0) + sums[item["id"]]
        verdict.hold("balances", minor(item["balance"]) == expected,
                     lambda: f"{books.name}: {item['name']} has {item['balance']}, its bookings make {expected} minor units")


def in_usd(mine):
    usd = {item["id"] for item in mine.wallets if item["currency"] == "USD"}
    return lambda state: state is not GONE and state.wallet in usd


def months(verdict, books, mine, settled):
    counts = in_usd(mine)
    for month, (income, spending) in mine.months.items():
        for kind, shown in (("income", income), ("expense", spending)):
            expected = sum(state.minor for _, _, state in settled
                           if counts(state) and state.day[:7] == month and state.kind == kind)
            verdict.hold("sums of months", minor(shown) == expected,
                         lambda: f"{books.name}: {kind} of {month} is shown as {shown}, the bookings make {expected} minor units")


def goals(verdict, books, mine):
    """What was put aside, and that it was told once that it is enough."""
    by_tag = collections.defaultdict(list)
    for item in mine.contributions:
        by_tag[item["note"]].append(item)
    saved, most = collections.Counter(), collections.Counter()
    for row in books.contributions:
        items = by_tag.get(row.tag, [])
        verdict.hold("nothing doubled", len(items) <= 1, lambda: f"{books.name}: {row.tag} was put aside {len(items)} times")
        state = as_contribution(items[0]) if items else GONE
        verdict.hold("nothing lost", state in row.possible(),
                     lambda: f"{books.name}: {row.tag} ({row.id}) may be {row.possible()}, and is {state}")
        for state in {as_contribution(item) for item in items}:
            saved[state.goal] += state.minor
        for state in {state for state in row.ever if state}:
            most[state.goal] += state.minor
    told = collections.Counter(alert["details"]["goal_id"] for alert in mine.alerts if alert["kind"] == "goal_achieved")
    for item in mine.goals:
        id, target = item["id"], minor(item["target_amount"])
        verdict.hold("goals", minor(item["saved"]) == saved[id], lambda: (
            f"{books.name}: {item['name']} has {item['saved']}, its contributions make {saved[id]} minor units"))
        least, times = int(saved[id] >= target), int(most[id] >= target)
        verdict.hold("each goal an alert", least <= told[id] <= times, lambda: (
            f"{books.name}: {item['name']} is told of {told[id]} times, at {saved[id]} of {target} minor units"))


def budgets(verdict, books, mine, settled):
    counts = in_usd(mine)
    known = {row.tag: row for row in books.budgets}
    for item in mine.budgets:
        row = known.get(item["name"])
        if row is None:
            continue
        limits = {state.limit for state in row.possible() if state}
        verdict.hold("nothing lost", minor(item["amount"]) in limits,
                     lambda: f"{books.name}: the limit of {row.tag} may be one of {limits}, and is {item['amount']}")
        spent = collections.Counter()
        for _, _, state in settled:
            if counts(state) and state.kind == "expense":
                spent[state.day[:7]] += sum(minor for category, minor in parts_of(state) if category in item["category_ids"])
        limits_ever = {state.limit for state in row.ever if state}
        for period in [item["current"], *mine.periods[item["id"]]]:
            verdict.hold("nothing lost", minor(period["amount"]) in limits_ever, lambda: (
                f"{books.name}: the limit of {row.tag} was one of {limits_ever}, and from {period['period_start']} on it is "
                f"{period['amount']}"))
            expected = spent[period["period_start"][:7]]
            verdict.hold("budgets", minor(period["spent"]) == expected, lambda: (
                f"{books.name}: {row.tag} has {period['spent']} spent from {period['period_start']} on, the bookings make "
                f"{expected} minor units"))


# ---- Alerts ----


def bounds_of_crossings(books, mine, settled):
    """For each (budget, month, threshold): whether it must have been crossed, and whether it may have been.

    Events come in any order, so what is seen in between may be any sum of some of them: it may have been crossed if all
    that was ever added reaches it. It must have been if the end does: the last that people book is seen by every budget.
    A month that was over when a limit was changed keeps the one it had.
    """
    usd = {item["id"] for item in mine.wallets if item["currency"] == "USD"}
    most = collections.Counter()
    spent = collections.Counter()

    def add(sums, state):
        if state and state.kind == "expense" and state.wallet in usd:
            for category, minor in parts_of(state):
                sums[category, state.day[:7]] += minor

    for row in books.bookings:
        for state in set(row.ever):
            add(most, state)
    for row, _, state in settled:
        add(spent, state)
        if row in books.recurring:
            add(most, state)
    months_seen = {month for _, month in most}
    limits_ever = {row.tag: [state.limit for state in row.ever if state] for row in books.budgets}
    for item in mine.budgets:
        limits = {period["period_start"][:7]: minor(period["amount"]) for period in [item["current"], *mine.periods[item["id"]]]}
        for month in months_seen:
            ever, end = (sum(sums[category, month] for category in item["category_ids"]) for sums in (most, spent))
            limit_of_month = limits.get(month, max(limits_ever.get(item["name"], [minor(item["amount"])])))
            for threshold in item["alert_at"]:
                must = end * 100 >= limit_of_month * threshold
                may = any(ever * 100 >= limit * threshold for limit in limits_ever.get(item["name"], [0]))
                yield (item["id"], month, threshold), must, may


def alerts(verdict, books, mine, settled, found):
    told = collections.Counter((alert["budget_id"], alert["details"]["period_start"][:7], alert["details"]["threshold"])
                               for alert in mine.alerts if alert["budget_id"])
    own = {item["id"] for item in mine.budgets}
    # What went under a threshold and came over it again was crossed twice.
    crossed = collections.Counter((budget, period[:7], int(threshold)) for budget, period, threshold in found.crossings if budget in own)
    for key, times in told.items():
        verdict.hold("one alert a crossing", times <= max(crossed[key], 1),
                     lambda: f"{books.name}: {times} alerts of {key}, which was crossed {crossed[key]} times")
    for key, must, may in bounds_of_crossings(books, mine, settled):
        verdict.hold("each crossing an alert", told[key] >= must, lambda: f"{books.name}: {key} was crossed, and nobody told")
        verdict.hold("no alert without a crossing", bool(told[key]) <= may,
                     lambda: f"{books.name}: {key} was told, and never crossed")
    verdict.hold("each crossing an alert", set(crossed) == set(told) and all(told[key] >= times for key, times in crossed.items()),
                 lambda: f"{books.name}: recorded as crossed, or told, but not both: {sorted((crossed - told) + (told - crossed))}")


def streams(verdict, books, mine):
    times = collections.Counter(id for _, id in books.streamed)
    for id, count in times.items():
        verdict.hold("streams", count == 1, lambda: f"{books.name}: the stream told {count} times of the alert {id}")
    places = [place for place, _ in books.streamed]
    verdict.hold("streams", places == sorted(places), lambda: f"{books.name}: the stream went back: {places}")
    known = {alert["id"] for alert in mine.alerts}
    for alert in mine.alerts:
        if not alert["historic"]:
            verdict.hold("streams", alert["id"] in times, lambda: f"{books.name}: the stream never told of the alert {alert['id']}")
    for id in times:
        verdict.hold("streams", id in known, lambda: f"{books.name}: the stream told of the alert {id}, which is not there")


# ---- Events ----


def version_of(event):
    return event.envelope["data"]["version"]


def events_of_rows(events):
    """The events of each booking, in the order of the log."""
    rows = collections.defaultdict(list)
    for event in sorted(events, key=lambda event: event.place):
        if event.type in EVENTS_OF_ROWS:
            rows[event.envelope["subject"]].append(event)
    return rows


def versions(verdict, books, of_rows, settled):
    """Each version of a booking has its event, in order, and no other has."""
    for row, id, state in settled:
        events = of_rows.get(id, [])
        kinds = [event.type.rpartition(".")[2] for event in events]
        if state is GONE:
            if row.known is GONE and not events:
                continue
            right = len(events) >= 2 and kinds == ["created", *["updated"] * (len(kinds) - 2), "deleted"]
            numbers = [version_of(event) for event in events[:-1]]
            right = right and version_of(events[-1]) == len(numbers)
        else:
            right = kinds == ["created", *["updated"] * (state.version - 1)]
            numbers = [version_of(event) for event in events]
        verdict.hold("versions in order", right and numbers == list(range(1, len(numbers) + 1)), lambda: (
            f"{books.name}: {row.tag} ({id}) is {state}, and its events are "
            f"{[(kind, version_of(event)) for kind, event in zip(kinds, events)]}"))
        for event in events:
            verdict.hold("no rows of others", event.user_id == event.envelope["data"]["userId"] == books.user_id,
                         lambda: f"{books.name}: the event {event.id} of {row.tag} names somebody else")


def log(verdict, found):
    """Of all people together."""
    ids = collections.Counter(event.id for event in found.log)
    for id, times in ids.items():
        verdict.hold("nothing doubled", times == 1, lambda: f"the event {id} is {times} times in the log")
    inbox = set(found.inbox)
    verdict.hold("each event handled", len(inbox) == len(found.inbox), "a consumer has noted an event twice")
    for consumer, types in HEARD.items():
        heard = [event for event in found.log if event.type in types]
        for event in heard:
            verdict.hold("each event handled", (consumer, event.id) in inbox,
                         lambda: f"{consumer} has never handled {event.type} {event.id}: {json.dumps(event.envelope)[:300]}")
    told = collections.Counter(event.envelope.get("causationid") for event in found.log if event.type == ALERT_SENT)
    for event in found.log:
        if event.type in HEARD["notifier"] and event.type != ASKED:
            # What is historic is written down, and not delivered.
            expected = 0 if event.envelope["data"].get("historic") else 1
            verdict.hold("each crossing an alert", told[event.id] == expected,
                         lambda: f"{event.type} {event.id} has {told[event.id]} events {ALERT_SENT}")
    verdict.hold("everything published", found.unpublished == 0, lambda: f"{found.unpublished} events are still to be published")
    verdict.hold("no dead letters", not found.dead_letters,
                 lambda: f"dead letters: {json.dumps(found.dead_letters[:EXAMPLES_MAX])}")
    code, said = found.verify
    verdict.hold("verify", code == 0, lambda: f"`verify` ended with {code}: {said}")
    if found.topics is not None:
        topics(verdict, found, ids)


def topics(verdict, found, ids):
    passed = {event.id for event in found.topics}
    for event in found.log:
        verdict.hold("everything published", event.id in passed, lambda: f"{event.type} {event.id} never came to its topic")
    for id in passed:
        verdict.hold("nothing published that is not in the log", id in ids,
                     lambda: f"the event {id} is on a topic, and not in the log")


def told_of_topics(topics):
    """Not judged, since it is not promised: how many were there more than once, and how many versions came late."""
    if topics is None:
        return {}
    repeated = len(topics) - len({event.id for event in topics})
    newest, seen, late = {}, set(), 0
    for event in topics:
        if event.type == EVENTS_OF_ROWS[1] and event.id not in seen:
            seen.add(event.id)
            subject = event.envelope["subject"]
            late += version_of(event) < newest.get(subject, 0)
            newest[subject] = max(version_of(event), newest.get(subject, 0))
    return {"records": len(topics), "repeated": repeated, "versions out of order": late}
