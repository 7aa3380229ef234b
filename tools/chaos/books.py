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
# A booking at one of its versions. Amounts in minor units.
Booking = collections.namedtuple("Booking", "wallet kind minor day category version")
Wallet = collections.namedtuple("Wallet", "name currency opening version")
Budget = collections.namedtuple("Budget", "name categories limit alert_at version")


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
            counts = state and state.kind == "expense" and state.day[:7] == month and category in (None, state.category)
            return state.minor if counts and currencies.get(state.wallet) == currency else 0

        sums = [[of(state) for state in row.possible()] for row in self.bookings]
        return sum(map(min, sums)), sum(map(max, sums))


def months_around(today):
    """The month before, this one and the two after it: firsts of months."""
    first = today.replace(day=1)
    months = [(first - datetime.timedelta(days=1)).replace(day=1), first]
    for _ in range(2):
        months.append((months[-1] + datetime.timedelta(days=32)).replace(day=1))
    return months
