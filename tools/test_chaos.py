#!/usr/bin/env python3
"""Tests of the checker of tools/chaos.py: it passes what is right, and finds each thing that may be wrong.

    python3 tools/chaos.py --self-test
"""

import copy
import sys
import unittest

sys.dont_write_bytecode = True

from chaos import checker, plan, report  # noqa: E402
from chaos.books import (  # noqa: E402
    GONE, Booking, Books, Budget, Contribution, Goal, Recurring, Row, Rule, Wallet, with_tag, without_tag,
)
from chaos.checker import ALERT_SENT, Event, Found, Mine  # noqa: E402
from chaos.matters import Matters, Run  # noqa: E402

CREATED, UPDATED, DELETED = checker.HEARD["projector"]
WARNED, EXCEEDED, ACHIEVED, ASKED = checker.HEARD["notifier"]
DAY = "2026-11-10"
WALLET = Wallet("w", "USD", 10_000, 1)
BUDGET = Budget("limit", ("food",), 5_000, (80, 100), 1)


def row(tag, id, known, may=(), ever=()):
    return Row(tag, id=id, known=known, may=list(may), ever=[known, *may, *ever])


def booking(minor, version=1, kind="expense"):
    return Booking("wallet-1", kind, minor, DAY, "food", version)


def item(id, tag, state):
    return {"id": id, "description": tag, "wallet_id": state.wallet, "type": state.kind, "amount": f"{state.minor / 100:.2f}",
            "date": state.day, "category_id": state.category, "version": state.version, "to_wallet_id": state.to,
            "to_amount": state.arrives and f"{state.arrives / 100:.2f}", "tags": list(state.tags),
            "splits": [{"category_id": category, "amount": f"{minor / 100:.2f}"} for category, minor in state.splits]}


def event(number, type_, subject, version=None, **more):
    data = {"userId": "user-1", "version": version, "historic": False}
    return Event(f"event-{number}", type_, "user-1", number, {"subject": subject, "data": data, **more})


def story():
    """Somebody with a wallet of 100.00 and a budget of 50.00: 45.00 is spent, after an amendment; something was booked and
    deleted; an answer was lost, and what it was about has not happened."""
    books = Books("somebody", user_id="user-1")
    books.wallets = [row("w", "wallet-1", WALLET)]
    books.budgets = [row("limit", "budget-1", BUDGET)]
    books.bookings = [row("a", "a-1", booking(4_500, 2), ever=[booking(1_000)]), row("b", "b-1", GONE, ever=[booking(100)]),
                      row("c", None, GONE, may=[booking(200)])]
    books.streamed = [(1, "alert-1")]
    period = {"period_start": "2026-11-01", "amount": "50.00", "spent": "45.00"}
    mine = Mine(
        wallets=[{"id": "wallet-1", "name": "w", "currency": "USD", "balance": "55.00"}],
        bookings=[item("a-1", "a", booking(4_500, 2))],
        budgets=[{"id": "budget-1", "name": "limit", "amount": "50.00", "category_ids": ["food"], "alert_at": [80, 100],
                  "current": period}],
        periods={"budget-1": [period]},
        alerts=[{"id": "alert-1", "kind": "budget_warning", "budget_id": "budget-1", "historic": False,
                 "details": {"period_start": "2026-11-01", "threshold": 80}}],
        months={"2026-11": ("0.00", "45.00")},
    )
    log = [event(1, CREATED, "a-1", 1), event(2, CREATED, "b-1", 1), event(3, UPDATED, "a-1", 2), event(4, DELETED, "b-1", 1),
           event(5, WARNED, "budget-1"), event(6, ALERT_SENT, "alert-1", causationid="event-5")]
    inbox = [("projector", f"event-{number}") for number in range(1, 5)] + [("notifier", "event-5")]
    found = Found(people={"somebody": mine}, log=log, topics=list(log), inbox=inbox, unpublished=0,
                  crossings=[("budget-1", "2026-11-01", 80)], dead_letters=[], verify=(0, ""))
    return books, mine, found


class TheChecker(unittest.TestCase):
    def setUp(self):
        self.books, self.mine, self.found = copy.deepcopy(story())

    def finds(self, *checks):
        verdict = checker.judge([self.books], self.found)
        self.assertEqual(sorted({check for check, _ in verdict.wrong}), sorted(checks), verdict.wrong)
        return verdict

    def test_what_is_right_passes_and_everything_is_looked_at(self):
        verdict = self.finds()
        for check in ("nothing lost", "nothing doubled", "balances", "budgets", "sums of months", "each event handled",
                      "each crossing an alert", "no alert without a crossing", "one alert a crossing", "streams",
                      "versions in order", "no rows of others", "everything published", "no dead letters", "verify"):
            self.assertGreater(verdict.looked[check], 0, check)

    # ---- What is in doubt may be either way, and sums follow ----

    def test_what_was_in_doubt_may_have_happened(self):
        self.mine.bookings.append(item("c-1", "c", booking(200)))
        self.mine.wallets[0]["balance"] = "53.00"
        for period in (self.mine.budgets[0]["current"], *self.mine.periods["budget-1"]):
            period["spent"] = "47.00"
        self.mine.months["2026-11"] = ("0.00", "47.00")
        self.found.log.append(event(7, CREATED, "c-1", 1))
        self.found.topics.append(self.found.log[-1])
        self.found.inbox.append(("projector", "event-7"))
        self.finds()

    def test_what_was_in_doubt_has_happened_and_sums_do_not_know(self):
        self.mine.bookings.append(item("c-1", "c", booking(200)))
        self.found.log.append(event(7, CREATED, "c-1", 1))
        self.found.topics.append(self.found.log[-1])
        self.found.inbox.append(("projector", "event-7"))
        self.finds("balances", "budgets", "sums of months")

    def test_what_was_in_doubt_is_there_as_something_else(self):
        self.mine.bookings.append(item("c-1", "c", booking(999)))
        self.assertIn("nothing lost", {check for check, _ in checker.judge([self.books], self.found).wrong})

    # ---- Lost ----

    def test_an_acknowledged_booking_is_gone(self):
        self.mine.bookings.clear()
        self.assertIn("nothing lost", {check for check, _ in checker.judge([self.books], self.found).wrong})

    def test_an_acknowledged_amendment_is_gone(self):
        self.mine.bookings = [item("a-1", "a", booking(1_000))]
        self.assertIn("nothing lost", {check for check, _ in checker.judge([self.books], self.found).wrong})

    def test_a_deleted_booking_is_back(self):
        self.mine.bookings.append(item("b-1", "b", booking(100)))
        self.assertIn("nothing lost", {check for check, _ in checker.judge([self.books], self.found).wrong})

    def test_a_wallet_and_a_budget_are_gone(self):
        self.mine.wallets[0]["name"] = self.mine.budgets[0]["name"] = "another"
        self.assertIn("nothing lost", {check for check, _ in checker.judge([self.books], self.found).wrong})

    def test_a_changed_limit_is_gone(self):
        self.books.budgets[0].learn(BUDGET._replace(limit=4_900, version=2))
        self.finds("nothing lost")

    # ---- Doubled ----

    def test_a_booking_is_there_twice(self):
        self.mine.bookings.append(item("a-2", "a", booking(4_500, 2)))
        self.finds("nothing doubled")

    def test_a_wallet_is_there_twice(self):
        self.mine.wallets.append({**self.mine.wallets[0], "id": "wallet-2", "balance": "100.00"})
        self.finds("nothing doubled")

    def test_an_event_is_in_the_log_twice(self):
        self.found.log.append(self.found.log[4])
        self.finds("nothing doubled")

    # ---- Sums ----

    def test_an_event_was_counted_twice(self):
        for period in (self.mine.budgets[0]["current"], *self.mine.periods["budget-1"]):
            period["spent"] = "90.00"
        self.mine.months["2026-11"] = ("0.00", "90.00")
        self.finds("budgets", "sums of months")

    def test_a_balance_is_off_by_a_cent(self):
        self.mine.wallets[0]["balance"] = "55.01"
        self.finds("balances")

    # ---- Alerts ----

    def test_two_alerts_of_one_crossing(self):
        self.mine.alerts.append({**self.mine.alerts[0], "id": "alert-2"})
        self.books.streamed.append((2, "alert-2"))
        self.finds("one alert a crossing")

    def test_a_limit_of_a_month_that_nobody_set(self):
        self.mine.periods["budget-1"][0]["amount"] = "51.00"
        self.finds("nothing lost")

    def test_a_month_that_was_over_keeps_the_limit_it_had(self):
        self.books.budgets[0].learn(BUDGET._replace(limit=4_500, version=2))
        self.mine.budgets[0] |= {"amount": "45.00", "version": 2}
        self.finds()

    def test_a_lower_limit_that_was_reached_and_nobody_told(self):
        self.books.budgets[0].learn(BUDGET._replace(limit=4_500, version=2))
        self.mine.budgets[0] |= {"amount": "45.00", "version": 2}
        for period in (self.mine.budgets[0]["current"], *self.mine.periods["budget-1"]):
            period["amount"] = "45.00"
        self.finds("each crossing an alert")

    def test_a_crossing_that_nobody_told(self):
        self.mine.alerts.clear()
        self.books.streamed.clear()
        self.found.crossings.clear()
        self.finds("each crossing an alert")

    def test_a_recorded_crossing_without_its_alert(self):
        self.found.crossings.append(("budget-1", "2026-11-01", 100))
        self.finds("each crossing an alert")

    def test_an_event_of_a_crossing_without_an_alert_sent(self):
        del self.found.log[5]
        self.found.topics = list(self.found.log)
        self.finds("each crossing an alert")

    def test_a_question_whose_address_it_is_is_handled_and_no_alert(self):
        self.found.log.append(event(7, ASKED, "user-1"))
        self.found.topics = list(self.found.log)
        self.finds("each event handled")
        self.found.inbox.append(("notifier", "event-7"))
        self.finds()

    def test_an_alert_that_cannot_be(self):
        self.mine.alerts.append({"id": "alert-2", "kind": "budget_warning", "budget_id": "budget-1", "historic": True,
                                 "details": {"period_start": "2026-11-01", "threshold": 1_000}})
        self.mine.budgets[0]["alert_at"].append(1_000)
        self.found.crossings.append(("budget-1", "2026-11-01", 1_000))
        self.finds("no alert without a crossing")

    # ---- Streams ----

    def test_a_stream_missed_an_alert(self):
        self.books.streamed.clear()
        self.finds("streams")

    def test_a_stream_told_twice(self):
        self.books.streamed.append((1, "alert-1"))
        self.finds("streams")

    def test_a_stream_told_of_an_alert_that_is_not_there(self):
        self.books.streamed.append((2, "alert-2"))
        self.finds("streams")

    # ---- Others ----

    def test_a_booking_of_somebody_else_in_a_list(self):
        self.mine.bookings.append(item("x-1", "x", booking(0)))
        self.finds("no rows of others")

    def test_an_alert_of_somebody_else(self):
        self.mine.alerts.append({"id": "alert-2", "kind": "budget_warning", "budget_id": "budget-9", "historic": True,
                                 "details": {"period_start": "2026-11-01", "threshold": 80}})
        self.assertIn("no rows of others", {check for check, _ in checker.judge([self.books], self.found).wrong})

    def test_an_event_names_somebody_else(self):
        self.found.log[0].user_id = "user-2"
        self.finds("no rows of others")

    # ---- Events ----

    def test_versions_out_of_order(self):
        self.found.log[0].place, self.found.log[2].place = 3, 1
        self.finds("versions in order")

    def test_a_version_without_an_event(self):
        del self.found.log[2]
        self.found.topics = list(self.found.log)
        self.finds("versions in order")

    def test_an_event_that_was_never_handled(self):
        self.found.inbox.remove(("projector", "event-3"))
        self.finds("each event handled")

    def test_an_event_that_was_noted_twice(self):
        self.found.inbox.append(("projector", "event-3"))
        self.finds("each event handled")

    def test_an_event_that_was_never_published(self):
        del self.found.topics[1]
        self.finds("everything published")

    def test_an_event_that_is_still_to_be_published(self):
        self.found.unpublished = 1
        self.finds("everything published")

    def test_an_event_of_no_commit(self):
        self.found.topics.append(event(99, CREATED, "z-1", 1))
        self.finds("nothing published that is not in the log")

    def test_a_dead_letter(self):
        self.found.dead_letters.append({"event_id": "event-1", "reason": "no such user"})
        self.finds("no dead letters")

    def test_verify_finds_something(self):
        self.found.verify = (1, "a balance differs")
        self.finds("verify")

    def test_what_people_saw_under_way(self):
        self.books.wrong.append(("read your writes", "it was not there"))
        self.finds("read your writes")


def added(books, mine, found, id, tag, state, *events):
    """A booking more, with its events, which was acknowledged."""
    books.bookings.append(row(tag, id, state))
    mine.bookings.append(item(id, tag, state))
    hear(found, id, *events)


def hear(found, id, *events):
    for type_, version in events:
        heard = event(len(found.log) + 1, type_, id, version)
        found.log.append(heard)
        found.topics.append(heard)
        found.inbox.append(("projector", heard.id))


TRANSFER = Booking("wallet-1", "transfer", 1_000, DAY, None, 1, "wallet-2", 900)
SPLIT = Booking("wallet-1", "expense", 500, DAY, None, 1, splits=(("food", 300), ("fun", 200)))
DAILY = Recurring(Booking("wallet-1", "income", 700, None, "pay", 1), "2026-11-09", 1)


class WhatElseIsWritten(unittest.TestCase):
    """The story, with 10.00 that went to another wallet in another currency as 9.00; with 5.00 in parts, of which 3.00 are of
    the budget's category; with 7.00 that come daily, twice until now; and with a goal of 20.00, for which 12.00 and 8.00
    were put aside, and 1.00 taken back."""

    def setUp(self):
        self.books, self.mine, self.found = copy.deepcopy(story())
        books, mine, found = self.books, self.mine, self.found
        books.wallets.append(row("v", "wallet-2", Wallet("v", "EUR", 0, 1)))
        added(books, mine, found, "t-1", "t", TRANSFER, (CREATED, 1))
        added(books, mine, found, "s-1", "s", SPLIT, (CREATED, 1))
        books.recurring = [row("daily", "daily-1", DAILY)]
        mine.recurring = [{"id": "daily-1", "description": "daily", "next_on": "2026-11-11"}]
        for number, day in enumerate(("2026-11-09", DAY)):
            mine.bookings.append({**item(f"d-{number}", "daily", DAILY.booking._replace(day=day)), "occurs_on": day})
            hear(found, f"d-{number}", (CREATED, 1))
        mine.today = DAY
        # 100.00 - 45.00 - 10.00 - 5.00 + 14.00
        mine.wallets[0]["balance"] = "54.00"
        mine.wallets.append({"id": "wallet-2", "name": "v", "currency": "EUR", "balance": "9.00"})
        mine.months["2026-11"] = ("14.00", "50.00")
        for period in (mine.budgets[0]["current"], *mine.periods["budget-1"]):
            period["spent"] = "48.00"
        books.goals = [row("goal", "goal-1", Goal("goal", 2_000, 1))]
        books.contributions = [row("p", "p-1", Contribution("goal-1", 1_200, 1)), row("q", "q-1", Contribution("goal-1", 800, 1)),
                               row("r", "r-1", GONE, ever=[Contribution("goal-1", 100, 1)])]
        mine.goals = [{"id": "goal-1", "name": "goal", "target_amount": "20.00", "saved": "20.00"}]
        mine.contributions = [{"id": id, "goal_id": "goal-1", "note": note, "amount": amount, "version": 1}
                              for id, note, amount in (("p-1", "p", "12.00"), ("q-1", "q", "8.00"))]
        mine.alerts.append({"id": "alert-9", "kind": "goal_achieved", "budget_id": None, "historic": False,
                            "details": {"goal_id": "goal-1"}})
        books.streamed.append((9, "alert-9"))
        for number, type_, subject in ((90, ACHIEVED, "goal-1"), (91, ALERT_SENT, "alert-9")):
            found.log.append(event(number, type_, subject, causationid="event-90" if number == 91 else None))
            found.topics.append(found.log[-1])
        found.inbox.append(("notifier", "event-90"))

    def finds(self, *checks):
        verdict = checker.judge([self.books], self.found)
        self.assertEqual(sorted({check for check, _ in verdict.wrong}), sorted(checks), verdict.wrong)
        return verdict

    def test_what_is_right_passes(self):
        verdict = self.finds()
        for check in ("what comes again", "goals", "each goal an alert"):
            self.assertGreater(verdict.looked[check], 0, check)

    def test_a_transfer_did_not_arrive(self):
        self.mine.wallets[1]["balance"] = "0.00"
        self.finds("balances")

    def test_a_transfer_arrived_as_what_had_left(self):
        self.mine.wallets[1]["balance"] = "10.00"
        self.finds("balances")

    def test_a_transfer_was_spent(self):
        self.mine.months["2026-11"] = ("14.00", "60.00")
        self.finds("sums of months")

    def test_a_transfer_went_elsewhere(self):
        self.mine.bookings[1]["to_wallet_id"] = "wallet-1"
        self.assertIn("nothing lost", {check for check, _ in checker.judge([self.books], self.found).wrong})

    def test_all_of_a_split_booking_counts_in_a_budget_of_one_part(self):
        for period in (self.mine.budgets[0]["current"], *self.mine.periods["budget-1"]):
            period["spent"] = "50.00"
        self.finds("budgets")

    def test_a_split_has_moved_to_another_category(self):
        self.mine.bookings[2]["splits"][1]["category_id"] = "food"
        self.finds("nothing lost")

    def test_a_day_was_booked_twice(self):
        again = copy.deepcopy(self.mine.bookings[-1])
        self.mine.bookings.append({**again, "id": "d-9"})
        hear(self.found, "d-9", (CREATED, 1))
        self.mine.wallets[0]["balance"] = "61.00"
        self.mine.months["2026-11"] = ("21.00", "50.00")
        self.finds("what comes again")

    def test_a_day_was_left_out(self):
        self.mine.recurring[0]["next_on"] = "2026-11-12"
        self.finds("what comes again")

    def test_a_day_is_due_and_was_not_booked(self):
        self.mine.today = "2026-11-11"
        self.finds("what comes again")

    def test_it_stands_still(self):
        self.mine.recurring[0]["next_on"] = None
        self.finds("what comes again")

    def test_what_comes_again_came_as_something_else(self):
        self.mine.bookings[-1]["amount"] = "7.01"
        self.mine.wallets[0]["balance"] = "54.01"
        self.mine.months["2026-11"] = ("14.01", "50.00")
        self.finds("what comes again")

    def test_nobody_knows_whether_it_was_to_come_again(self):
        self.books.recurring[0] = row("daily", None, GONE, may=[DAILY])
        self.finds()
        self.mine.recurring.clear()
        self.finds("what comes again")

    def test_what_was_to_come_again_is_gone(self):
        self.mine.recurring.clear()
        self.finds("nothing lost", "what comes again")

    def test_a_goal_has_more_than_was_put_aside(self):
        self.mine.goals[0]["saved"] = "20.01"
        self.finds("goals")

    def test_a_contribution_is_gone(self):
        del self.mine.contributions[0]
        self.assertIn("nothing lost", {check for check, _ in checker.judge([self.books], self.found).wrong})

    def test_a_contribution_that_was_taken_back_is_there(self):
        self.mine.contributions.append({"id": "r-1", "goal_id": "goal-1", "note": "r", "amount": "1.00", "version": 1})
        self.mine.goals[0]["saved"] = "21.00"
        self.finds("nothing lost")

    def test_a_goal_was_reached_and_nobody_told(self):
        self.mine.alerts.pop()
        self.books.streamed.pop()
        self.finds("each goal an alert")

    def test_a_goal_was_told_of_twice(self):
        self.mine.alerts.append({**self.mine.alerts[-1], "id": "alert-10"})
        self.books.streamed.append((10, "alert-10"))
        self.finds("each goal an alert")

    def test_a_goal_was_told_of_and_never_reached(self):
        self.books.goals[0].learn(Goal("goal", 9_000, 1))
        self.mine.goals[0]["target_amount"] = "90.00"
        self.finds("each goal an alert")

    def test_a_goal_of_somebody_else(self):
        self.mine.goals.append({"id": "goal-2", "name": "another", "target_amount": "1.00", "saved": "0.00"})
        self.finds("no rows of others")

    def test_an_insight_is_about_no_budget(self):
        self.mine.alerts.append({"id": "alert-11", "kind": "anomaly", "budget_id": None, "historic": False,
                                 "details": {"insight_id": "insight-1"}})
        self.books.streamed.append((11, "alert-11"))
        self.finds()


class RunsOfRules(unittest.TestCase):
    RULE = Rule("rule", 1_000, "rule-1", 1)

    def setUp(self):
        self.books = Books("somebody")
        # One that it is about, one that is too small, one that is gone, and one in doubt.
        self.rows = [row("a", "a-1", booking(1_000)), row("b", "b-1", booking(999)), row("c", "c-1", GONE),
                     row("d", "d-1", booking(500), may=[booking(2_000, 2)])]
        self.books.bookings = self.rows
        self.person = Matters()
        self.person.books, self.person.run = self.books, Run(row("rule", "rule-1", self.RULE), "key", True, "run-1")
        self.person.wrong = lambda check, text: self.books.wrong.append((check, text))
        self.person.send = lambda *asked: self.asked.append(asked)
        self.asked = []

    def told(self, state, changed, **more):
        self.person.follow_run(self.person.run, {"state": state, "changed": changed, "skipped": 0, "restored": 0, "left_alone": 0,
                                                 **more})

    def test_a_rule_adds_its_tag_once(self):
        tagged = with_tag(booking(1_000), self.RULE)
        self.assertEqual((tagged.tags, tagged.version), (("rule-1",), 2))
        self.assertEqual(with_tag(tagged, self.RULE), tagged)
        self.assertEqual(without_tag(tagged, self.RULE), booking(1_000, 3))

    def test_it_goes_on_until_it_is_through_and_then_each_is_as_it_must_be(self):
        self.told("running", 0)
        self.assertEqual(self.rows[0].known, booking(1_000))
        self.told("done", 1)
        self.assertEqual(self.rows[0].known, booking(1_000, 2)._replace(tags=("rule-1",)))
        self.assertEqual([one.known for one in self.rows[1:3]], [booking(999), GONE])
        self.assertEqual(self.rows[3].possible(), [booking(500), booking(2_000, 2), booking(2_000, 3)._replace(tags=("rule-1",))])
        self.assertEqual(len(self.asked), 1)
        self.told("undoing", 1)
        self.told("undone", 1, restored=1)
        self.assertEqual(self.rows[0].known, booking(1_000, 3))
        self.assertIn(booking(2_000, 4), self.rows[3].possible())
        self.assertEqual((self.books.wrong, self.person.run), ([], None))

    def test_what_counts_nowhere_is_not_among_the_amounts_that_were_ever_there(self):
        self.told("done", 1)
        self.assertEqual(self.rows[0].ever, [booking(1_000)])

    def test_in_doubt_it_may_be_one_more_and_no_other_number(self):
        for changed, is_right in ((0, False), (1, True), (2, True), (3, False)):
            self.setUp()
            self.told("done", changed)
            self.assertEqual(self.books.wrong == [], is_right, changed)

    def test_what_was_skipped_has_failed_or_was_not_restored_is_wrong(self):
        self.told("done", 1, skipped=2)
        self.told("undone", 1, restored=0)
        self.assertEqual(len(self.books.wrong), 2)
        self.setUp()
        self.told("failed", 0)
        self.assertEqual(len(self.books.wrong), 1)


class AmountsOfAnswers(unittest.TestCase):
    def test_they_are_exact(self):
        for text, minor in (("0.00", 0), ("12.34", 1_234), ("-0.50", -50), ("-12.05", -1_205), ("7", 700)):
            self.assertEqual(checker.minor(text), minor)


class ThePlan(unittest.TestCase):
    def test_a_seed_is_one_plan(self):
        self.assertEqual(plan.draw(7, 10, 30, []), plan.draw(7, 10, 30, []))
        self.assertNotEqual(plan.draw(7, 10, 30, []), plan.draw(8, 10, 30, []))

    def test_the_short_form_has_each_fault_and_every_kill(self):
        for seed in range(50):
            names = [fault.name for fault in plan.draw(seed, 2, 10, [])]
            self.assertEqual({name for name in plan.NAMES if name != plan.DISK}, set(names))
            for kill in plan.KILLS:
                self.assertEqual(names.count(kill), 10)

    def test_only_some(self):
        self.assertEqual({fault.name for fault in plan.draw(1, 2, 3, ["flush_redis"])}, {"flush_redis"})


class TheReport(unittest.TestCase):
    def test_it_tells_what_is_wrong(self):
        books, _, found = story()
        found.verify = (1, "a balance differs")
        verdict = checker.judge([books], found)
        part = report.part("A part", "chaos.py --seed 1", {"plan": "x"}, {"kill_api": 3}, books.counts, verdict, ["a note"])
        self.assertFalse(report.is_right([part]))
        text = report.as_markdown([part])
        self.assertIn("| verify | 1 | 1 |", text)
        self.assertIn("a balance differs", text)
        self.assertIn("Something is wrong", text)


if __name__ == "__main__":
    unittest.main()
