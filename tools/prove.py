#!/usr/bin/env python3
"""Breaks a running system on purpose, and sees that those who watch it would know.

It starts a stack of its own (tools/stack.py), the three roles on it, Prometheus with the rules of dashboards/alerts,
Alertmanager, Jaeger and a log store, and people who use it. Then it looks:

    at rest        no alert fires
    panels         every query of every dashboard has had data, then or by one of the faults
    one trace      a booking that breaks a budget, hop by hop, by OTLP and by Jaeger's own form; its lines in the log store
    alerts         each fires by a fault, and arrives through Alertmanager with its page of the runbook

The rules run sixty times faster: what waits for 15 minutes waits for 15 seconds. It takes some minutes, and root (a
small file system is mounted).

    prove.py --binary target/debug/wealth-companion
    prove.py --binary target/debug/wealth-companion --only kafka_is_gone,redis_is_gone

Exit code: 0 all of it holds, 1 something does not, 2 it could not be tried.
"""

import argparse
import contextlib
import pathlib
import secrets
import subprocess
import sys
import time

sys.dont_write_bytecode = True

from proving import faults, panels  # noqa: E402
from proving.people import Crowd, Mailboxes, Stream, wait_for_alerts  # noqa: E402
from proving.world import Failed, World, wait_for  # noqa: E402
from stack import observers  # noqa: E402
from stack import roles as stack_roles  # noqa: E402
from stack.machine import Interrupted, StackError, interrupt_on_signals, say  # noqa: E402
from stack.sidecars import ROLES  # noqa: E402

REST_SECS = 25
ALERT_SECS_MAX = 180
# The windows of most rules are seconds here, and the longest that matters is an hour's: a minute.
QUIET_SECS_MAX = 150


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, type=pathlib.Path, help="the product, built")
    parser.add_argument("--only", metavar="FAULT,FAULT", type=lambda text: text.split(","),
                        help=", ".join(fault.__name__ for fault in (*faults.WITH_SIDECARS, *faults.WITHOUT_SIDECARS)))
    args = parser.parse_args()
    known = {fault.__name__ for fault in (*faults.WITH_SIDECARS, *faults.WITHOUT_SIDECARS)}
    if unknown := sorted(set(args.only or ()) - known):
        parser.error(f"there is no fault {', '.join(unknown)}: --help names them")
    interrupt_on_signals()
    try:
        with World(args.binary.resolve()) as world:
            return Proof(world, args.only).run()
    except Failed as failed:
        print(f"prove: {failed}", file=sys.stderr)
        return 1
    except (StackError, OSError, subprocess.CalledProcessError) as error:
        print(f"prove: {error}", file=sys.stderr)
        return 2
    except Interrupted as interrupted:
        return interrupted.exit_code


class Proof:
    """What was found so far."""

    def __init__(self, world, only):
        self.world, self.only = world, only
        self.panels = panels.Panels()
        self.fault_of = {}
        self.wrong = []

    def run(self):
        world = self.world
        world.start()
        crowd = Crowd(world.api, Mailboxes(world.state["smtp"]["mails"]))
        self.at_rest(crowd)
        self.one_trace(crowd, "otlp")
        self.break_with(faults.WITH_SIDECARS, crowd)
        if self.wants(faults.WITHOUT_SIDECARS):
            self.without_sidecars()
            self.one_trace(crowd, "jaeger")
            self.break_with(faults.WITHOUT_SIDECARS, crowd)
        crowd.stop()
        return self.judge()

    def wants(self, some):
        return [fault for fault in some if not self.only or fault.__name__ in self.only]

    def at_rest(self, crowd):
        begun = time.time()
        crowd.people[0].break_one()
        time.sleep(REST_SECS)
        try:
            # Consumers that have just started look for their partitions first.
            wait_for("an alert did not come by mail", lambda: crowd.mailboxes.alerts(crowd.people[0].email), 60)
        except Failed as failed:
            self.wrong.append(f"at rest: {failed}")
        if fired := self.world.alerts.since(begun) | self.world.firing():
            self.wrong.append(f"at rest these fire: {', '.join(sorted(fired))}")
        self.panels.look(self.world)
        say(f"at rest: {self.panels.count - len(self.panels.empty)} of {self.panels.count} queries have data")

    def one_trace(self, crowd, exporter):
        """Of one booking that breaks a budget, on the bus that there is now."""
        person, trace_id = crowd.people[0], secrets.token_hex(16)
        stream = Stream(person)
        # Consumers that have just started look for their partitions first.
        person.break_one()
        if not wait_for_alerts(stream, 1, 60):
            raise Failed("an alert did not come")
        person.break_one(f"00-{trace_id}-{secrets.token_hex(8)}-01")
        rows = panels.trace_of(self.world, trace_id)
        print(f"the trace of a booking, by {exporter}:")
        for name, service, after, took in rows:
            print(f"  {after:8.1f} ms  {took:7.1f} ms  {service:<27} {name}")
        lines = panels.lines_of(self.world, trace_id)
        print(f"  and {len(lines)} lines in the log store")
        stream.close()

    def break_with(self, some, crowd):
        for fault in self.wants(some):
            name = fault.__name__.replace("_", " ")
            self.wait_for_quiet(name)
            begun = time.time()
            say(f"{name} …")
            story = fault(self.world, crowd)
            try:
                for expected in story:
                    self.wait_for(name, expected, begun)
                    self.panels.look(self.world)
            finally:
                story.close()
            say(f"{name}: {time.time() - begun:.0f} s")

    def wait_for_quiet(self, name):
        """Until no alert fires that is still to be proven: what fires then is of this fault."""
        def disturbing():
            return self.world.firing() - set(self.fault_of)

        try:
            wait_for("quiet", lambda: not disturbing(), QUIET_SECS_MAX)
        except Failed:
            self.wrong.append(f"before {name}: {', '.join(sorted(disturbing()))} did not end")

    def wait_for(self, name, expected, begun):
        """Until these have fired because of a fault. It is the fault of what it was made for, whatever else fires."""
        alerts = self.world.alerts
        with contextlib.suppress(Failed):
            wait_for(name, lambda: expected <= alerts.since(begun), ALERT_SECS_MAX)
        arrived = alerts.since(begun)
        if missing := expected - arrived:
            self.wrong.append(f"{name}: {', '.join(sorted(missing))} did not fire")
        self.fault_of.update(dict.fromkeys(expected & arrived, name))
        if others := arrived - expected:
            say(f"{name}: so fired {', '.join(sorted(others))}")

    def without_sidecars(self):
        """The roles on Kafka itself; spans in Jaeger's own form."""
        world = self.world
        for role in ROLES:
            world.stop_role(role)
        world.take_away(*(f"sidecar-{role}" for role in ROLES))
        direct = {**stack_roles.direct_settings(world.stack), "WEALTH__STATE__KIND": "redis", "WEALTH__DAPR__SECRETSTORE": "",
                  "WEALTH__TRACES__EXPORTER": "jaeger", "WEALTH__TRACES__JAEGER_AGENT": world.state["jaeger"]["agent"]}
        world.settings.update(direct)
        for role in ROLES:
            world.start_role(role)

    def judge(self):
        print("alert -> fault that fired it:")
        for alert, fault in sorted(self.fault_of.items()):
            print(f"  {alert:<30} {fault}")
        if not self.only:
            unproven = names_of_alerts() - set(self.fault_of) - set(faults.NOT_PROVEN)
            self.wrong += [f"no fault has fired {alert}" for alert in sorted(unproven)]
            for alert, why in sorted(faults.NOT_PROVEN.items()):
                print(f"  {alert:<30} not fired here: {why}")
            lacking, elsewhere = self.panels.lacking()
            self.wrong += [f"never had data: {dashboard}, {panel}: {query}" for dashboard, panel, query in lacking]
            print(f"queries of panels: {self.panels.count - len(self.panels.empty)} of {self.panels.count} have had data")
            for dashboard, panel, _ in elsewhere:
                print(f"  {dashboard}, {panel}: not here")
        self.wrong += self.world.alerts.flaws
        for line in self.wrong:
            print(f"prove: {line}", file=sys.stderr)
        print("all of it holds" if not self.wrong else f"{len(self.wrong)} things do not hold")
        return 1 if self.wrong else 0


def names_of_alerts():
    names = set()
    for file in observers.RULES.glob("*.yaml"):
        lines = file.read_text(encoding="utf-8").splitlines()
        names |= {line.split("alert:")[1].strip() for line in lines if line.strip().startswith("- alert:")}
    return names


if __name__ == "__main__":
    sys.exit(main())
