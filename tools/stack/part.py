"""What is common to all parts.

A part owns a section of stack.json (its ports and what a client needs), a folder beside it, and the files in there,
which are written anew at each start. Paths in them are relative: the folder may have any name.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import secrets
import signal
import socket
import subprocess

from . import builds
from .machine import StackError, become, environment, free_port, is_free, remove, say

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND_SECS_MAX = 120
PROBE_SECS_MAX = 5


class Part:
    """What is common to all of them."""

    name = None
    # The parts that must be ready before it.
    needs = ()
    # Commands that it takes.
    commands = ()
    # Of builds.PROGRAMS, where it is one of these.
    go_program = None
    # Whether it starts when no part is named.
    by_default = True
    # Numbers of the section that are ports it listens on; the first is shown.
    ports = ("port",)
    stop_signal = signal.SIGTERM
    stop_secs = 20
    start_secs = 60
    account = None

    def __init__(self, stack):
        self.stack = stack

    @property
    def folder(self):
        return self.stack.folder / self.name

    @property
    def section(self):
        return self.stack.state.setdefault(self.name, {})

    @property
    def host_port(self):
        return f"127.0.0.1:{self.port_for_others}"

    @property
    def port_for_others(self):
        return self.stack.detours.get(self.name, self.section["port"])

    def lacking(self):
        """The commands that it takes, and those that make what the cache has not."""
        if self.go_program and not builds.go_path(self.go_program).exists():
            return (*self.commands, "go")
        return self.commands

    def choose_ports(self, runs):
        """Ports are chosen once and kept, unless a stranger has taken one meanwhile."""
        for name in self.ports:
            kept = self.section.get(name)
            if kept and not runs and not is_free(kept):
                say(f"{self.name}: {name} {kept} is taken by another program, it gets a new one")
                kept = None
            if not kept:
                self.section[name] = free_port(self.stack.ports())

    def settle(self):
        """Fills its section, and makes what has to be there before it starts."""

    def command(self):
        raise NotImplementedError

    def variables(self):
        """What it finds in its environment, beside the usual."""
        return {}

    def cwd(self):
        return self.folder

    def files(self):
        """The files whose contents it starts with: when they change it has to start again."""
        return ()

    def fingerprint(self):
        """Of all that it starts with, but for the caller's PATH and the like."""
        program, *arguments = self.command()
        text = json.dumps([pathlib.Path(program).name, self.version(), arguments, self.variables()], sort_keys=True)
        digest = hashlib.sha256(text.encode())
        for file in self.files():
            digest.update(file.read_bytes())
        return digest.hexdigest()

    def before_launch(self):
        """What a crash may have left is put right."""

    def is_ready(self):
        raise NotImplementedError

    def finish(self):
        """What is left to do when it is ready."""

    def version(self):
        return builds.go_version(self.go_program) if self.go_program else ""


def new_password():
    """Letters, digits, "-" and "_": goes into a URL as it is."""
    return secrets.token_urlsafe(24)


def run(command, folder, account=None, env=None):
    """A command that takes a moment. Nothing of it goes on when we are interrupted."""
    process = subprocess.Popen(command, cwd=folder, env=env or environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
                               preexec_fn=(lambda: become(account)) if account else None)
    try:
        said = process.communicate(timeout=COMMAND_SECS_MAX)[0]
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode != 0:
        raise StackError(f"{command[0]} failed with {process.returncode}:\n{said.strip()}")


@contextlib.contextmanager
def made_whole(folder):
    """A folder that is made under the name which this gives, and has its own name when it is whole."""
    part = folder.with_name(folder.name + ".part")
    remove(part)
    try:
        yield part
        part.rename(folder)
    finally:
        remove(part)


def ask(port, question, is_answer):
    """Sends some bytes and looks at what comes back."""
    try:
        with socket.create_connection(("127.0.0.1", port), PROBE_SECS_MAX) as connection:
            connection.settimeout(PROBE_SECS_MAX)
            connection.sendall(question)
            answer = b""
            while not is_answer(answer):
                more = connection.recv(4096)
                if not more:
                    return False
                answer += more
            return True
    except OSError:
        return False


def first_number(command):
    """A version, out of what the program says of itself."""
    shown = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    number = re.search(r"\d+(\.\d+)+", shown.stdout)
    return number[0] if number else ""
