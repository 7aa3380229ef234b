"""What people write besides plain bookings: transfers, splits, what comes again, goals, and rules that run over all of it."""

import dataclasses
import datetime
import typing
import uuid

from .books import GONE, Booking, Contribution, Goal, Recurring, Row, Rule, with_tag, without_tag

RECURRING_MAX = 4
GOALS_MAX = 6
RULES_MAX = 4
# What runs of rules are about: neither what is never changed, nor what the server books.
OURS = "person-"


def decimal(amount):
    return f"{amount // 100}.{amount % 100:02}"


def as_splits(splits):
    return [{"category_id": category, "amount": decimal(amount)} for category, amount in splits]


@dataclasses.dataclass
class Run:
    """Of a rule, over what was booked before."""

    rule: Row
    key: str
    # Whether it is undone when it is through.
    is_undone: bool
    id: typing.Optional[str] = None
    # What it must have changed, once it is through.
    changed: typing.Optional[list] = None


class Matters:
    """Of a person, who has books, and dice, and asks."""

    def a_day(self, month=None):
        return str((month or self.chance.choice(self.months)).replace(day=self.chance.randint(1, 28)))

    def transfer(self):
        tag = self.tag()
        body, state = self.a_transfer(self.a_day())
        return self.create("transfer", "/v1/transactions", self.books.bookings, tag,
                           {**body, "date": state.day, "description": tag}, state)

    def a_transfer(self, day):
        """Between two wallets; what arrives in another currency is another amount."""
        one, other = self.chance.sample([row for row in self.books.wallets if row.id and row.known], 2)
        amount = arrives = self.chance.randrange(1, 20_000)
        body = {"wallet_id": one.id, "to_wallet_id": other.id, "type": "transfer", "amount": decimal(amount)}
        if one.known.currency != other.known.currency:
            arrives = self.chance.randrange(1, 20_000)
            body["to_amount"] = decimal(arrives)
        return body, Booking(one.id, "transfer", amount, day, None, 1, other.id, arrives)

    def split(self):
        tag, day = self.tag(), self.a_day()
        wallet = self.chance.choice([row.id for row in self.books.wallets if row.id])
        splits = self.some_splits()
        state = Booking(wallet, "expense", sum(minor for _, minor in splits), day, None, 1, splits=splits)
        body = {"wallet_id": wallet, "type": "expense", "amount": decimal(state.minor), "date": day, "description": tag,
                "splits": as_splits(splits)}
        return self.create("split booking", "/v1/transactions", self.books.bookings, tag, body, state)

    def some_splits(self):
        return tuple((self.chance.choice(self.spending), self.chance.randrange(1, 10_000)) for _ in range(self.chance.randint(2, 4)))

    def let_come_again(self):
        """Every day from today on, which the server books."""
        if len(self.books.recurring) >= RECURRING_MAX:
            return
        tag, kind = self.tag("daily-"), self.chance.choice(("income", "expense", "transfer"))
        today = str(datetime.datetime.now(datetime.timezone.utc).date())
        if kind == "transfer":
            body, state = self.a_transfer(None)
        else:
            wallet = self.chance.choice([row.id for row in self.books.wallets if row.id])
            category = self.earning if kind == "income" else self.chance.choice(self.spending)
            state = Booking(wallet, kind, self.chance.randrange(1, 5_000), None, category, 1)
            body = {"wallet_id": wallet, "type": kind, "amount": decimal(state.minor), "category_id": category}
        body = {**body, "description": tag, "rrule": "FREQ=DAILY", "starts_on": today}
        # For a server whose clock is ahead it may be tomorrow.
        self.create("recurring booking", "/v1/recurring", self.books.recurring, tag, body, Recurring(state, today, 1),
                    lambda told: Recurring(state, told["next_on"], 1))

    # ---- Goals ----

    def make_goal(self):
        tag, target = self.tag(), self.chance.randrange(1_000, 60_000)
        body = {"name": tag, "target_amount": decimal(target), "currency": "USD"}
        return self.create("goal", "/v1/goals", self.books.goals, tag, body, Goal(tag, target, 1))

    def contribute(self):
        goal = self.some(self.books.goals)
        if goal is not None:
            tag, amount = self.tag(), self.chance.randrange(1, 10_000)
            self.create("contribution", f"/v1/goals/{goal.id}/contributions", self.books.contributions, tag,
                        {"amount": decimal(amount), "note": tag}, Contribution(goal.id, amount, 1))

    def take_back(self):
        row = self.some(self.books.contributions)
        if row is not None and self.is_settled(row):
            self.change("contribution's return", row, "DELETE", f"/v1/contributions/{row.id}", None, GONE)

    # ---- Rules ----

    def make_rule(self):
        """One that new bookings do not ask: another replica may know of it later."""
        tag, least = self.tag(), self.chance.randrange(1_000, 20_000)
        adds = f"rule-{self.count}"
        body = {"name": tag, "tags": [adds], "is_enabled": False, "conditions": [
            {"field": "description", "operator": "matches", "value": f"^{OURS}"},
            {"field": "amount", "operator": "at_least", "value": decimal(least)}]}
        return self.create("rule", "/v1/rules", self.books.rules, tag, body, Rule(tag, least, adds, 1))

    def begin_run(self):
        row = self.some(self.books.rules)
        if row is not None:
            self.run = Run(row, str(uuid.UUID(int=self.chance.getrandbits(128))), self.chance.random() < 0.4)
            self.go_on_with_run()

    def go_on_with_run(self):
        """A step of it: asks for it until it is said to have begun, and then how far it is."""
        run = self.run
        if run.id is None:
            answer = self.send("POST", "/v1/rule-runs", {"rule_id": run.rule.id}, **{"Idempotency-Key": run.key})
            run.id = answer.body["id"] if answer.is_done else None
        else:
            answer = self.send("GET", f"/v1/rule-runs/{run.id}")
        if answer.is_refused and answer.status != 401:
            self.wrong("runs of rules", f"{run} was answered with {answer.status} {answer.body}")
            self.run = None
        elif answer.is_done:
            self.follow_run(run, answer.body)

    def follow_run(self, run, told):
        if told["state"] == "done" and run.changed is None:
            self.has_run(run, told)
        if told["state"] == "done" and run.is_undone:
            self.send("POST", f"/v1/rule-runs/{run.id}/undo")
        elif told["state"] == "undone":
            self.has_undone(run, told)
            self.run = None
        elif told["state"] in ("done", "failed"):
            if told["state"] == "failed":
                self.wrong("runs of rules", f"it has failed: {told}")
            self.run = None

    def has_run(self, run, told):
        """What had not changed since has the tag, and is told of in its number."""
        rule = run.rule.known
        doubtful = [row for row in self.books.bookings if row.in_doubt
                    and any(with_tag(state, rule) != state for state in row.possible())]
        run.changed = [row for row in self.books.bookings if not row.in_doubt and with_tag(row.known, rule) != row.known]
        for row in self.books.bookings:
            row.relabel(lambda state: with_tag(state, rule))
        least, most = len(run.changed), len(run.changed) + len(doubtful)
        if not least <= told["changed"] <= most or told["skipped"] > len(doubtful):
            self.wrong("runs of rules", f"{rule} must change {least} to {most} bookings, and says {told}")
        self.books.counts["runs of rules"] += 1
        self.books.counts["bookings changed by runs of rules"] += told["changed"]

    def has_undone(self, run, told):
        rule = run.rule.known
        for row in self.books.bookings:
            if row.in_doubt:
                row.relabel(lambda state: without_tag(state, rule) if state and rule.tag in state.tags else state)
        for row in run.changed:
            row.relabel(lambda state: without_tag(state, rule))
        if told["restored"] != told["changed"] or told["left_alone"]:
            self.wrong("runs of rules", f"{rule} was undone, and says {told}")
        self.books.counts["runs of rules undone"] += 1
