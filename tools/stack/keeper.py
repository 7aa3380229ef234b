"""Starts, shows and stops the parts of one folder.

    stack.json      what clients need; ports and passwords are kept there from the first start on
    secrets.json    what the sidecars hand to the roles
    run/PART.json   which process is the part: removed when it was stopped, left when it died
    logs/PART.log   what it said; logs/install.log, what installing and building said
    postgres/ kafka/ redis/ tls/   data and configuration of each
    lock            one of us at a time
"""

import collections
import contextlib
import json
import os
import pathlib
import time

from . import builds, install
from .kafka import Kafka
from .machine import (
    Interrupted, StackError, end, environment, is_alive, locked, memory_mib, read_json, remove, say, spawn, uninterrupted,
    write_private,
)
from .observers import OBSERVERS
from .part import ROOT
from .postgres import PgBouncer, Postgres
from .redis import Redis
from .smtp_server import Smtp
from .sidecars import ROLES, Daprd, Sidecar
from .toxiproxy import Toxiproxy

LOG_LINES_SHOWN = 20
# A server that comes back after a crash may find its old self not quite gone: it is tried again.
LAUNCHES_MAX = 5


def default_folder():
    return pathlib.Path(os.environ.get("WEALTH_STACK_DIR") or ROOT / ".stack").resolve()


class Stack:
    """The parts in one folder."""

    def __init__(self, folder):
        self.folder = folder
        self.parts = [Postgres(self), Redis(self), Kafka(self), Daprd(self), PgBouncer(self)]
        self.parts += [Sidecar(self, role) for role in ROLES]
        self.parts += [Toxiproxy(self), Smtp(self)]
        # At the end: they look at what the others have become.
        self.parts += [observer(self) for observer in OBSERVERS]
        self.state = read_json(folder / "stack.json") or {}
        # Name of a part: the port by which the others reach it, where something stands in between.
        self.detours = {}
        # Of this start: those that are ready, and how often each was launched.
        self.ready = set()
        self.launches = collections.Counter()

    # ---- What is where ----

    def part(self, name):
        return next(part for part in self.parts if part.name == name)

    def choose(self, names):
        """The parts of these names with all that they need, in the order of starting; those that start by themselves for no names."""
        known = [part.name for part in self.parts]
        wanted = set()
        left = [role for name in names for role in ([f"sidecar-{r}" for r in ROLES] if name == "sidecars" else [name])]
        while left:
            name = left.pop()
            if name not in known:
                raise StackError(f"there is no part {name!r}: take some of {', '.join(known)}, sidecars")
            wanted.add(name)
            left += self.part(name).needs
        return [part for part in self.parts if part.name in wanted or (not names and part.by_default)]

    def log(self, name):
        return self.folder / "logs" / f"{name}.log"

    def record_path(self, part):
        return self.folder / "run" / f"{part.name}.json"

    def record(self, part):
        return read_json(self.record_path(part))

    def runs(self, part):
        return is_alive(self.record(part))

    def ports(self):
        """All ports that are given to somebody."""
        sections = [self.state.get(part.name, {}) for part in self.parts]
        sections += [value for value in self.state.get("sidecars", {}).values()]
        return {value for section in sections for key, value in section.items() if key.endswith("port")}

    def folder_id(self):
        """The same wherever the folder is moved to, another one for a copy."""
        return self.folder.stat().st_ino

    def save(self):
        self.state.update(folder=str(self.folder), folder_id=self.folder_id())
        write_private(self.folder / "stack.json", json.dumps(self.state, indent=2) + "\n")

    @contextlib.contextmanager
    def alone(self):
        """Nobody else starts or stops anything in this folder meanwhile."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(self.folder / "lock", f"another start or stop is at work in {self.folder}: waiting for it"):
            self.state = read_json(self.folder / "stack.json") or {}
            self.disown_copy()
            for name in ("run", "logs"):
                (self.folder / name).mkdir(mode=0o700, exist_ok=True)
            yield

    def disown_copy(self):
        """A copy of a folder names processes and ports that belong to the original: it starts afresh."""
        original = self.state.get("folder", str(self.folder))
        if self.state.get("folder_id") not in (None, self.folder_id()) and pathlib.Path(original, "stack.json").exists():
            say(f"{self.folder} is a copy of {original}: it starts afresh")
            self.remove_all(follow_links=False)
            self.state = {}

    # ---- Start ----

    def start(self, names, may_install=True):
        begin = time.monotonic()
        with self.alone():
            parts = self.choose(names)
            ran_before = {part.name for part in parts if self.runs(part)}
            try:
                self.get_programs(parts, may_install)
                for part in parts:
                    self.wait_for(part.needs)
                    self.bring_up(part)
                self.wait_for([part.name for part in parts])
            except BaseException as error:
                with uninterrupted():
                    self.undo(parts, ran_before, all_of_it=isinstance(error, Interrupted))
                raise
        say(f"the stack is up after {builds.elapsed(begin)}: {self.folder / 'stack.json'}")

    def get_programs(self, parts, may_install):
        log = self.log("install")
        commands = list(dict.fromkeys(command for part in parts for command in part.lacking()))
        install.require(commands, log, may_install)
        names = {part.name for part in parts}
        if "kafka" in names:
            builds.build_kafka(install.find("mvn"), log)
        for part in parts:
            if part.go_program:
                builds.build_go(part.go_program, install.find("go"), log)

    def bring_up(self, part):
        """Settles a part and starts it, unless it runs with just these settings."""
        record = self.record(part)
        runs = is_alive(record)
        part.choose_ports(runs)
        self.save()
        part.settle()
        self.save()
        if isinstance(part, Daprd):
            return
        if runs and record["fingerprint"] == part.fingerprint():
            return
        if runs:
            say(f"{part.name}: its settings have changed, it starts again")
            end([(record, part.stop_signal, part.stop_secs)])
        elif record:
            say(f"{part.name}: it has died, it starts again")
        self.launch(part)

    def launch(self, part):
        self.launches[part.name] += 1
        part.before_launch()
        facts = {"part": part.name, "fingerprint": part.fingerprint(), "version": part.version()}
        spawn(part.command(), self.record_path(part), facts, part.cwd(), self.log(part.name), part.account,
              environment(**part.variables()))

    def wait_for(self, names):
        for name in names:
            part = self.part(name)
            if not isinstance(part, Daprd) and name not in self.ready:
                self.wait_for_one(part)
                part.finish()
                self.ready.add(name)

    def wait_for_one(self, part):
        deadline = time.monotonic() + part.start_secs
        while True:
            if part.is_ready() and self.runs(part):
                return
            if not self.runs(part):
                if self.launches[part.name] >= LAUNCHES_MAX:
                    raise StackError(f"{part.name} does not start; {self.log_tail(part)}")
                time.sleep(1)
                self.launch(part)
            elif time.monotonic() > deadline:
                raise StackError(f"{part.name} runs but does not answer; {self.log_tail(part)}")
            time.sleep(0.05)

    def log_tail(self, part):
        path = self.log(part.name)
        lines = path.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:] if path.exists() else []
        return "\n".join([f"the end of {path}:", *lines])

    def undo(self, parts, ran_before, all_of_it):
        """After a failure what is up stays up, and the next start goes on from there. After Ctrl-C nothing stays that
        was not there before."""
        self.end_all({part.name for part in parts if part.name not in ran_before and (all_of_it or part.name not in self.ready)})

    def end_all(self, names):
        """Ends these parts: whoever needs another goes before it."""
        left = {part.name: part for part in self.parts if part.name in names}
        while left:
            needed = {name for part in left.values() for name in part.needs}
            going = [part for part in left.values() if part.name not in needed]
            end([(record, part.stop_signal, part.stop_secs) for part in going for record in [self.record(part)] if record])
            for part in going:
                remove(self.record_path(part))
                del left[part.name]

    # ---- Show ----

    def status(self):
        """One row for each part: what it is, whether it runs."""
        rows = []
        for part in self.parts:
            if isinstance(part, Daprd) or (not part.by_default and part.name not in self.state):
                continue
            record = self.record(part)
            row = {"part": part.name, "state": "stopped", "port": part.section.get(part.ports[0])}
            if record:
                row.update(state="died", version=record.get("version"))
            if is_alive(record):
                row.update(state="running" if part.is_ready() else "not answering", pid=record["pid"],
                           uptime_secs=int(time.time() - record["began"]), memory_mib=memory_mib(record["pid"]))
            rows.append(row)
        started = [row for row in rows if row["state"] != "stopped"]
        return rows, bool(started) and all(row["state"] == "running" for row in started)

    # ---- Stop ----

    def stop(self, names=(), wipe=False):
        if not self.folder.exists():
            return
        with self.alone():
            going = self.with_dependents(names)
            stopped = [part.name for part in self.parts if part.name in going and self.record(part)]
            self.end_all(going)
            if stopped:
                say(f"stopped: {', '.join(stopped)}")
            if wipe:
                self.remove_all()
                say(f"removed what was in {self.folder}")

    def with_dependents(self, names):
        """The parts of these names and whatever needs them; all for no names."""
        self.choose(names)
        going = {part.name for part in self.parts if not names or part.name in names or
                 ("sidecars" in names and isinstance(part, Sidecar))}
        while True:
            more = {part.name for part in self.parts if going & set(part.needs)} - going
            if not more:
                return going
            going |= more

    def remove_all(self, follow_links=True):
        """All but the lock, which somebody may be waiting for."""
        for path in self.folder.iterdir():
            if path.name != "lock":
                if path.is_symlink() and follow_links and path.resolve().is_dir():
                    remove(path.resolve())
                remove(path)
