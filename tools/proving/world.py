"""A running system that may be broken: a stack in a folder of its own, the roles on it, and those who watch.

Prometheus reads once a second, and its rules run sixty times faster: what waits for 15 minutes waits for 15 seconds.
"""

import datetime
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from stack import install, keeper, observers, roles
from stack.machine import end_with_parent, free_port, say, send
from stack.sidecars import ROLES

FASTER = 60
# What the rules compare with a time in seconds, or with a count in such a time: a text, and what of it becomes what.
BOUNDS = (
    # As many as a few people notice, who wait for seconds each.
    ("(wealth_db_failures_total{job=\"wealth-companion\"}[5s])) > 10", "> 10", "> 1"),
    ("(wealth_relay_oldest_unpublished_seconds{job=\"wealth-companion\"}) > 120", "> 120", "> 4"),
    # The job runs once a minute, however fast the rules are.
    (") > 3600", "> 3600", "> 80"),
)
UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
READY_SECS_MAX = 60
POLL_SECS = 0.2


class Failed(Exception):
    """It is not as it should be; the text says what."""


def wait_for(what, condition, seconds):
    """What the condition gives, once that is something."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise Failed(f"after {seconds} s: {what}")
        time.sleep(POLL_SECS)
    return found


def ask(url, **query):
    """An answer in JSON."""
    with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(query)}" if query else url, timeout=30) as answer:
        return json.load(answer)


def faster(rules):
    """The rules of a file with all their times a sixtieth."""
    def shorter(found):
        seconds = sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", found[2]))
        return f"{found[1]}{max(1, seconds // FASTER)}s"

    rules = re.sub(r"(\[|for: |offset |interval: )((?:\d+[smhd])+)", shorter, rules)
    for near, old, new in BOUNDS:
        rules = rules.replace(near, near.replace(old, new))
    return rules


class World:
    """All of it; `close` leaves nothing behind."""

    PREFIX = "wealth-prove-"

    def __init__(self, binary):
        self.binary = str(binary)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=self.PREFIX))
        self.stack = keeper.Stack(self.folder / "stack")
        self.processes = {}
        self.settings = {}
        self.alerts = Alerts()
        self.targets = self.folder / "targets.json"
        self.targets.write_text("[]")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in list(self.processes):
            self.processes.pop(name).kill()
        self.thaw("postgres", "logstore")
        self.stack.stop(wipe=True)
        self.alerts.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- Start ----

    def start(self):
        self.stack.start([])
        # It runs outside of the stack, by rules of its own.
        self.stack.get_programs([self.stack.part("prometheus")], may_install=True)
        self.stack.start(["jaeger", "logstore", "alertmanager", "smtp"])
        self.alerts.listen(self.state["alertmanager"]["webhook_port"])
        roles.prepare(self.stack, self.binary)
        for role in ROLES:
            self.start_role(role)
        self.start_prometheus()

    @property
    def state(self):
        return self.stack.state

    def start_role(self, role, **more):
        self.processes[role] = Process([self.binary, "--role", role], self.role_settings(role, **more))
        self.wait_until_ready(role, self.internal(role))

    def role_settings(self, role, **more):
        settings = {**roles.role_settings(self.stack, role), "WEALTH__HTTP__PUBLIC_ADDR": self.api, **self.settings, **more}
        if "SMTP_URL" in settings:
            settings["WEALTH__EMAIL__PUBLIC_URL"] = f"http://{self.api}"
        # The people of this world are many, and all at one address.
        settings.update(WEALTH__LIMITS__REQUESTS_PER_MINUTE="0", WEALTH__LIMITS__SIGN_IN_PER_MINUTE="0",
                        # Somebody who puts insights into words, and is away.
                        WEALTH__AI__GEMINI_API_KEY="of-nobody", WEALTH__AI__URL="http://127.0.0.1:9",
                        WEALTH__INSIGHTS__EVERY_MS="1000",
                        WEALTH__LOG__FORMAT="json", WEALTH__AUTH__HASH_MEMORY_KIB="8",
                        # Several attempts are within five minutes, which are five seconds here.
                        WEALTH__BUS__RETRY_MAX_MS="500")
        return settings

    def wait_until_ready(self, name, internal):
        def is_ready():
            if self.processes[name].has_ended():
                raise Failed(f"{name} ended: {self.processes[name].last_lines()}")
            return answers(f"http://{internal}/readyz")

        wait_for(f"{name} is not ready: {self.processes[name].last_lines()}", is_ready, READY_SECS_MAX)

    def restart_role(self, role, **more):
        self.stop_role(role)
        self.start_role(role, **more)

    def stop_role(self, role):
        self.processes.pop(role).end()

    def start_prometheus(self):
        rules = self.folder / "rules"
        rules.mkdir()
        for file in sorted(observers.RULES.glob("*.yaml")):
            (rules / file.name).write_text(faster(file.read_text(encoding="utf-8")))
        config = observers.prometheus_config(self.state, str(rules / "*.yaml"), 1)
        # Further instances come and go.
        ours = next(job for job in config["scrape_configs"] if job["job_name"] == "wealth-companion")
        ours["file_sd_configs"] = [{"files": [str(self.targets)], "refresh_interval": "1s"}]
        (self.folder / "prometheus.json").write_text(json.dumps(config))
        address = f"127.0.0.1:{free_port(self.stack.ports())}"
        self.prometheus = f"http://{address}"
        self.processes["prometheus"] = Process(
            [install.find("prometheus"), f"--config.file={self.folder / 'prometheus.json'}",
             f"--storage.tsdb.path={self.folder / 'tsdb'}", f"--web.listen-address={address}"], {})
        wait_for("Prometheus is not ready", lambda: answers(f"{self.prometheus}/-/ready"), READY_SECS_MAX)

    # ---- Where things are ----

    @property
    def api(self):
        return f"127.0.0.1:{self.settings.setdefault('api_port', str(free_port(self.stack.ports())))}"

    def internal(self, role):
        return f"127.0.0.1:{self.state['sidecars'][role]['app_port']}"

    def query(self, text):
        """The series that a query finds."""
        answer = ask(f"{self.prometheus}/api/v1/query", query=text)
        return answer["data"]["result"]

    def firing(self):
        """The names of the alerts that fire now."""
        alerts = ask(f"{self.prometheus}/api/v1/alerts")["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def watch(self, targets):
        """Lets Prometheus read from these as well: (address, role) each."""
        found = [{"targets": [address], "labels": {"namespace": observers.NAMESPACE, "role": role}} for address, role in targets]
        self.targets.write_text(json.dumps(found))

    # ---- What is done to parts ----

    def signal(self, part, number):
        """To a part of the stack with all its processes."""
        record = self.stack.record(self.stack.part(part))
        if record is None:
            return
        children = subprocess.run(["pgrep", "-P", str(record["pid"])], capture_output=True, text=True, check=False)
        # PostgreSQL's own processes notice the end of their parent; they do not notice that it waits.
        if number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in children.stdout.split():
                try:
                    os.kill(int(pid), number)
                except ProcessLookupError:
                    pass
        send(record, number)

    def freeze(self, *parts):
        for part in parts:
            self.signal(part, signal.SIGSTOP)

    def thaw(self, *parts):
        for part in parts:
            self.signal(part, signal.SIGCONT)

    def take_away(self, *parts):
        """Stops parts, and leaves those running that need them."""
        self.stack.end_all(set(parts))

    def start_alone(self, part):
        """Starts a part, whether or not what it needs is there."""
        part = self.stack.part(part)
        self.stack.launch(part)
        self.stack.wait_for_one(part)

    def bring_back(self, *parts):
        self.stack.ready.clear()
        self.stack.start(list(parts))


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (OSError, urllib.error.URLError):
        return False


class Process:
    """A process of ours. What it says is read, and thrown away but for the end unless there is a log, until it is muted."""

    LINES_KEPT = 30

    def __init__(self, command, settings, before=None, cwd=None, log=None):
        kept = ("PATH", "HOME", "LANG", "TMPDIR", "TZ")
        environment = {**{name: os.environ[name] for name in kept if name in os.environ},
                       **{key: value for key, value in settings.items() if key.isupper()}}

        def begin():
            end_with_parent()
            if before:
                before()

        self.process = subprocess.Popen(command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=begin)
        self.lines, self.log = [], log
        self.listening = threading.Event()
        self.listening.set()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines = [*self.lines[-self.LINES_KEPT:], line.decode(errors="replace")]
            if self.log:
                with open(self.log, "ab") as log:
                    log.write(line)
            self.listening.wait()

    def mute(self):
        """Nobody reads what it says."""
        self.listening.clear()

    def unmute(self):
        self.listening.set()

    def has_ended(self):
        return self.process.poll() is not None

    def last_lines(self):
        return "".join(self.lines)[-2_000:]

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        self.unmute()
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            say(f"it does not end: {self.last_lines()}")
            self.kill()

    def kill(self):
        self.unmute()
        self.process.kill()
        self.process.wait()


class Alerts:
    """Who is told of alerts, by Alertmanager."""

    def __init__(self):
        self.server = None
        # Name of an alert: when it began to fire, in seconds since 1970, as of the last time.
        self.fired = {}
        # What is wrong with those that came.
        self.flaws = []

    def listen(self, port):
        import http.server

        alerts = self

        class Webhook(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                alerts.hear(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Webhook)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def hear(self, message):
        for alert in message["alerts"]:
            if alert["status"] == "firing":
                name = alert["labels"]["alertname"]
                for key in ("summary", "description", "runbook_url"):
                    if not alert["annotations"].get(key):
                        self.flaws.append(f"{name} came without {key}")
                begun = datetime.datetime.fromisoformat(alert["startsAt"]).timestamp()
                self.fired[name] = max(begun, self.fired.get(name, 0))

    def since(self, moment):
        """Those that began to fire after this moment, and arrived."""
        return {name for name, when in self.fired.items() if when >= moment}

    def close(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
