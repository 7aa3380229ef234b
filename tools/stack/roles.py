"""Runs the three roles of the product as three processes on the stack, each with its sidecar."""

import fcntl
import os
import shlex
import signal
import subprocess
import sys
import threading
import time

from .machine import ENDING_SIGNALS, Interrupted, StackError, end_with_parent, is_free, read_json, say
from .postgres import database_url
from .sidecars import ROLES

# Longer than lifecycle.drain_deadline_ms.
STOP_SECS_MAX = 30
COLOURS = {"api": 36, "projector": 33, "notifier": 35}
# The roles read these from their sidecar, whatever the caller has set for another purpose.
SECRETS = ("DATABASE_URL", "GEMINI_API_KEY", "JWT_SECRET_KEY", "REDIS_URL")


def direct_settings(stack):
    """For commands that need no sidecar: those parts of the stack that there are."""
    state, settings = stack.state, {}
    if "postgres" in state:
        url = database_url(state["postgres"])
        settings.update(DATABASE_URL=url, WEALTH__DATABASE__DIRECT_URL=url)
    if "redis" in state:
        settings.update(REDIS_URL=state["redis"]["url"])
    if "kafka" in state:
        settings.update(WEALTH__BUS__KIND="kafka", WEALTH__KAFKA__BROKERS=state["kafka"]["brokers"],
                        # One node keeps one copy.
                        WEALTH__KAFKA__REPLICATION="1", WEALTH__KAFKA__MIN_INSYNC="1")
    if "smtp" in state and stack.runs(stack.part("smtp")):
        settings.update(SMTP_URL=state["smtp"]["url"], WEALTH__EMAIL__CA_FILE=state["smtp"]["ca_file"],
                        WEALTH__EMAIL__FROM="Wealth Companion <no-reply@localhost.localdomain>",
                        WEALTH__EMAIL__PUBLIC_URL="http://127.0.0.1:" + public_address().rpartition(":")[2])
    four = read_json(stack.folder / "secrets.json") or {}
    settings.update({name: four[name] for name in ("GEMINI_API_KEY", "JWT_SECRET_KEY") if four.get(name)})
    return settings


def role_settings(stack, role):
    """For a role beside its sidecar, which tells it the database, the Redis and the keys."""
    sidecar, tokens = stack.state["sidecars"][role], stack.state["sidecars"]["tokens"]
    settings = {key: value for key, value in direct_settings(stack).items() if key not in SECRETS}
    settings.update(
        WEALTH__BUS__KIND="dapr", WEALTH__STATE__KIND="dapr", WEALTH__DAPR__SECRETSTORE="secretstore",
        DAPR_HTTP_PORT=str(sidecar["http_port"]), WEALTH__DAPR__HTTP_PORT=str(sidecar["http_port"]),
        DAPR_API_TOKEN=tokens["dapr_api_token"], APP_API_TOKEN=tokens["app_api_token"],
        # PgBouncer before 1.21 knows no prepared statements.
        WEALTH__DATABASE__STATEMENTS_MAX="0",
        WEALTH__HTTP__INTERNAL_ADDR=f"127.0.0.1:{sidecar['app_port']}",
    )
    if role == "api":
        settings.update(WEALTH__HTTP__PUBLIC_ADDR=public_address())
    return {**watched_settings(stack), **settings}


def watched_settings(stack):
    """Traces and logs go to those who watch, while they run; the caller may have said otherwise."""
    settings = {"WEALTH__TRACES__EXPORTER": "none"}
    if stack.runs(stack.part("jaeger")):
        settings = {"WEALTH__TRACES__EXPORTER": "otlp", "WEALTH__TRACES__OTLP_ENDPOINT": stack.state["jaeger"]["otlp_url"]}
    if stack.runs(stack.part("logstore")):
        settings["WEALTH__LOG__LOKI_URL"] = stack.state["logstore"]["url"] + "/insert"
    return {key: value for key, value in settings.items() if key not in os.environ}


def public_address():
    return os.environ.get("WEALTH__HTTP__PUBLIC_ADDR", "127.0.0.1:8080")


def as_exports(settings):
    return "".join(f"export {key}={shlex.quote(value)}\n" for key, value in sorted(settings.items()))


def run(stack, binary, start):
    """Until Ctrl-C, or until one of them ends. Says with which code to exit."""
    stack.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(stack.folder / "run.lock", "a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(f"the roles run already on {stack.folder}") from None
        if start:
            give_way(stack)
            stack.start([])
        elif "sidecars" not in stack.state:
            raise StackError(f"there are no sidecars in {stack.folder / 'stack.json'}")
        prepare(stack, binary)
        return Roles(stack, binary).run()


def give_way(stack):
    """A role's port that is taken while no role of ours runs gets another number, and the sidecar hears of it."""
    with stack.alone():
        for role in ROLES:
            section = stack.state.get("sidecars", {}).get(role, {})
            if "app_port" in section and not is_free(section["app_port"]):
                say(f"{role}: app_port {section['app_port']} is taken by another program, it gets a new one")
                del section["app_port"]
                stack.save()


def prepare(stack, binary):
    """The tables and the topics."""
    for arguments in (["migrate", "up"], ["events", "topics", "apply", "--yes"]):
        say(f"{os.path.basename(binary)} {' '.join(arguments)}")
        environment = {**os.environ, **direct_settings(stack), "WEALTH__BUS__KIND": "kafka"}
        done = subprocess.run([binary, *arguments], env=environment, stdin=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            raise StackError(f"`{' '.join(arguments)}` failed with {done.returncode}")


class Roles:
    """The processes, and the threads that show what they say."""

    def __init__(self, stack, binary):
        self.stack, self.binary = stack, binary
        self.processes = {}
        self.readers = []
        self.print_lock = threading.Lock()

    def run(self):
        try:
            for role in ROLES:
                # A Ctrl-C waits until the process is among those that are stopped.
                unmasked = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
                try:
                    self.start(role, unmasked)
                finally:
                    signal.pthread_sigmask(signal.SIG_SETMASK, unmasked)
            say(f"three roles are running, the API on http://{public_address()}; Ctrl-C stops them")
            while True:
                for role, process in self.processes.items():
                    if process.poll() is not None:
                        say(f"{role} has ended with {process.returncode}: the others are stopped")
                        return 1
                time.sleep(0.1)
        except Interrupted:
            say("stopping; once more stops at once")
        finally:
            self.stop()
        return max(process.returncode != 0 for process in self.processes.values())

    def start(self, role, unmasked):
        settings = role_settings(self.stack, role)
        if sys.stdout.isatty():
            settings.setdefault("WEALTH__LOG__FORMAT", os.environ.get("WEALTH__LOG__FORMAT", "pretty"))
        inherited = {key: value for key, value in os.environ.items() if key not in SECRETS}

        def begin():
            end_with_parent()
            signal.pthread_sigmask(signal.SIG_SETMASK, unmasked)

        process = subprocess.Popen(
            [self.binary, "--role", role], env={**inherited, **settings}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True, preexec_fn=begin,
        )
        self.processes[role] = process
        reader = threading.Thread(target=self.show, args=(role, process.stdout), daemon=True)
        reader.start()
        self.readers.append(reader)

    def show(self, role, lines):
        prefix = f"{role:<9} | "
        if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
            prefix = f"\033[{COLOURS[role]}m{prefix}\033[0m"
        for line in lines:
            with self.print_lock:
                print(prefix + line, end="", flush=True)

    def stop(self):
        """Who publishes goes first, so that who consumes may still hear it."""
        at_once = False
        for role, process in self.processes.items():
            deadline = time.monotonic() + STOP_SECS_MAX
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            while process.poll() is None:
                try:
                    time.sleep(0.05)
                    if at_once or time.monotonic() > deadline:
                        process.kill()
                        process.wait()
                except Interrupted:
                    at_once = True
            say(f"{role} stopped with {process.returncode}")
        for reader in self.readers:
            reader.join(1)
