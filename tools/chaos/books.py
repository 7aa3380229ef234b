"""What somebody has written, as they remember it, and what may therefore be found.

A write that was answered is certain. One whose answer was lost may have happened or not, or may happen yet: its effect
is kept among those that `may` be found, until a version or a reading decides. Every change names the version that it
is for (`If-Match`), so of those for one version at most one can happen, and a change of a newer version rules out all
that came before it.
"""

import collections
import dataclasses
import datetime
import typing

GONE = None
# Days of a booking that comes daily on which it may be due while people write: a night may pass, and a clock be ahead.
DAYS_DUE_MAX = 3
# A booking at one of its versions. Amounts in minor units. Of a transfer: the other wallet, and what arrives there. Splits
# are (category, minor) each.
Booking = collections.namedtuple("Booking", "wallet kind minor day category version to arrives splits tags",
                                 defaults=(None, None, (), ()))
Wallet = collections.namedtuple("Wallet", "name currency opening version")
Budget = collections.namedtuple("Budget", "name categories limit alert_at version")
# Of each day from the first on one booking like this, which is of no day.
Recurring = collections.namedtuple("Recurring", "booking first version")
Goal = collections.namedtuple("Goal", "name target version")
Contribution = collections.namedtuple("Contribution", "goal minor version")
# Adds its tag to what is of so much at least.
Rule = collections.namedtuple("Rule", "name least tag version")


def parts_of(state):
    """What is earned or spent in which category: (category, minor) each; nothing of a transfer."""
    if state is GONE or state.kind == "transfer":
        return ()
    return state.splits or ((state.category, state.minor),)


def with_tag(state, rule):
    """As a run of the rule leaves it, which is a version more where it changes something."""
    if state is GONE or state.minor < rule.least or rule.tag in state.tags:
        return state
    return state._replace(tags=tuple(sorted((*state.tags, rule.tag))), version=state.version + 1)


def without_tag(state, rule):
    """As it is again when the run is undone that has changed it."""
    return state._replace(tags=tuple(tag for tag in state.tags if tag != rule.tag), version=state.version + 1)


@dataclasses.dataclass
class Row:
    """Something with an id and versions. `tag` is ours: it is in a text of the row, and no other has it."""

    tag: str
    id: typing.Optional[str] = None
    known: typing.Any = GONE
    may: list = dataclasses.field(default_factory=list)
    # Every state that it was in or may have been in.
    ever: list = dataclasses.field(default_factory=list)
    # How it was created, to be asked again.
    request: typing.Any = None
    position: typing.Optional[str] = None

    def doubt(self, state):
        """A write to this state was sent, and its answer lost."""
        if state not in self.may:
            self.may.append(state)
        self.ever.append(state)

    def learn(self, state):
        """It is known to have reached this state."""
        self.known = state
        self.may = []
        self.ever.append(state)

    def possible(self):
        return [self.known, *self.may]

    def relabel(self, change):
        """Somebody else has changed what counts nowhere, in whatever state it was. A write that is still on its way comes
        to what it was for, or not at all."""
        if self.in_doubt:
            self.may += [state for state in map(change, self.possible()) if state not in self.possible()]
        else:
            self.known = change(self.known)

    @property
    def in_doubt(self):
        return bool(self.may)


@dataclasses.dataclass
class Books:
    """All that one person has written."""

    name: str
    user_id: str = ""
    wallets: list = dataclasses.field(default_factory=list)
    bookings: list = dataclasses.field(default_factory=list)
    # Those that are never changed.
    steady: list = dataclasses.field(default_factory=list)
    budgets: list = dataclasses.field(default_factory=list)
    # Those of which the server makes bookings.
    recurring: list = dataclasses.field(default_factory=list)
    goals: list = dataclasses.field(default_factory=list)
    contributions: list = dataclasses.field(default_factory=list)
    rules: list = dataclasses.field(default_factory=list)
    # What came over the stream of alerts: (place, id), in the order in which it came.
    streamed: list = dataclasses.field(default_factory=list)
    # Answers by kind of write and outcome.
    counts: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    # What was found to be wrong while it went on: (check, text).
    wrong: list = dataclasses.field(default_factory=list)

    def spending(self, month, category=None, currency="USD"):
        """The least and the most that may be found as spent in a month ("2026-11"), in minor units."""
        currencies = {row.id: state.currency for row in self.wallets for state in row.possible() if state}

        def of(state):
            """What it adds."""
            if not state or state.kind != "expense" or state.day[:7] != month or currencies.get(state.wallet) != currency:
                return 0
            return sum(minor for of, minor in parts_of(state) if category in (None, of))

        sums = [[of(state) for state in row.possible()] for row in self.bookings]
        sums += [[0, DAYS_DUE_MAX * of(state.booking._replace(day=f"{state.first[:7]}-01"))]
                 for row in self.recurring for state in row.possible() if state]
        return sum(map(min, sums)), sum(map(max, sums))


def months_around(today):
    """The month before, this one and the two after it: firsts of months."""
    first = today.replace(day=1)
    months = [(first - datetime.timedelta(days=1)).replace(day=1), first]
    for _ in range(2):
        months.append((months[-1] + datetime.timedelta(days=32)).replace(day=1))
    return months
