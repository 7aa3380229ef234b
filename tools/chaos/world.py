"""The roles on a stack of its own, with a proxy in every place where two parts meet, and a clock of its own for each role."""

import contextlib
import glob
import http.client
import json
import os
import signal
import subprocess
import threading
import time

from proving.world import Failed, Process, World, answers, wait_for
from stack import install, roles
from stack.machine import StackError, free_port
from stack.part import ask as ask_port
from stack.sidecars import ROLES, Sidecar

READY_SECS_MAX = 90
COMMAND_SECS_MAX = 120
CLOCK_LIBRARIES = "/usr/lib/*/faketime/libfaketime.so.1"
# What daprd is told of its ports.
PORT_FLAGS = {"http_port": "--dapr-http-port", "grpc_port": "--dapr-grpc-port", "metrics_port": "--metrics-port",
              "internal_grpc_port": "--dapr-internal-grpc-port", "app_port": "--app-port"}
QUIET = {"WEALTH__TRACES__EXPORTER": "none", "WEALTH__LOG__LEVEL": "warn"}


class Supervised:
    """A process that is started again whenever it ends, as a kubelet would. `start` gives a new one."""

    def __init__(self, name, start):
        self.name, self.start = name, start
        self.lock = threading.Lock()
        self.wanted = True
        self.process = start()
        # Ends that nobody asked for.
        self.ends = 0
        self.kills = 0
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        while self.wanted:
            with self.lock:
                if self.wanted and self.process.has_ended():
                    self.ends += 1
                    self.process = self.start()
            time.sleep(0.3)

    def kill(self):
        with self.lock:
            self.kills += 1
            self.process.kill()
            self.process = self.start()

    def signal(self, number):
        with self.lock, contextlib.suppress(ProcessLookupError):
            self.process.signal(number)

    def stop(self):
        with self.lock:
            self.wanted = False
            self.process.kill()
        self.thread.join()


class Links:
    """The proxies of a Toxiproxy."""

    def __init__(self, port):
        self.port = port

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            text = answer.read()
            if answer.status >= 300:
                raise Failed(f"toxiproxy: {method} {path} was answered with {answer.status} {text.decode()}")
        finally:
            connection.close()

    def add(self, name, listen, upstream):
        self.ask("POST", "/proxies", {"name": name, "listen": f"127.0.0.1:{listen}", "upstream": f"127.0.0.1:{upstream}",
                                      "enabled": True})

    def cut(self, name):
        self.ask("POST", f"/proxies/{name}", {"enabled": False})

    def mend(self, name):
        self.ask("POST", f"/proxies/{name}", {"enabled": True})

    def poison(self, name, kind, direction, **attributes):
        self.ask("POST", f"/proxies/{name}/toxics", {"name": f"{kind}-{direction}", "type": kind, "stream": direction,
                                                     "toxicity": 1.0, "attributes": attributes})

    def cure(self, name, kind, direction):
        self.ask("DELETE", f"/proxies/{name}/toxics/{kind}-{direction}")

    def mend_all(self):
        self.ask("POST", "/reset")


class ChaosWorld(World):
    """All of it; `close` leaves nothing behind."""

    PREFIX = "wealth-chaos-"

    def __init__(self, binary, keep=None):
        super().__init__(binary)
        self.logs = keep or self.folder
        self.roles, self.replicas, self.ports_of_ours = {}, [], {}

    def __exit__(self, *gone):
        for role in self.roles.values():
            role.stop()
        for replica in self.replicas:
            replica.kill()
        super().__exit__(*gone)

    # ---- Start ----

    def start(self):
        first = ["postgres", "pgbouncer", "redis", "kafka"]
        self.stack.start(["toxiproxy"])
        install.require(["faketime"], self.stack.log("install"), may_install=True)
        self.stack.detours = {part: self.a_port() for part in first[1:]}
        self.stack.start(first)
        self.links = Links(self.state["toxiproxy"]["port"])
        for part, port in self.stack.detours.items():
            self.links.add(part, port, self.state[part]["port"])
        self.stack.start([])
        self.settings["WEALTH__HTTP__PUBLIC_ADDR"] = f"127.0.0.1:{self.a_port()}"
        self.links.add("clients-api", self.api.split(":")[1], self.settings["WEALTH__HTTP__PUBLIC_ADDR"].split(":")[1])
        for role in ROLES:
            sidecar = self.state["sidecars"][role]
            self.ports_of_ours[role] = {"internal": self.a_port(), "sidecar": self.a_port()}
            self.links.add(f"{role}-sidecar", self.ports_of_ours[role]["sidecar"], sidecar["http_port"])
            self.links.add(f"sidecar-{role}", sidecar["app_port"], self.ports_of_ours[role]["internal"])
            self.set_clock(role, 0)
        roles.prepare(self.stack, self.binary)
        for role in ROLES:
            self.roles[role] = Supervised(role, lambda role=role: self.launch(role))
        self.wait_until_all_ready()

    def a_port(self):
        taken = self.stack.ports() | set(self.stack.detours.values())
        taken |= {port for ports in self.ports_of_ours.values() for port in ports.values()}
        return free_port(taken)

    def launch(self, role):
        return Process([self.binary, "--role", role], self.role_settings(role), log=self.logs / f"{role}.log")

    def role_settings(self, role, **more):
        ports = self.ports_of_ours[role]
        ours = {"DAPR_HTTP_PORT": str(ports["sidecar"]), "WEALTH__DAPR__HTTP_PORT": str(ports["sidecar"]),
                "WEALTH__HTTP__INTERNAL_ADDR": self.internal(role), **QUIET, **self.clock_settings(role)}
        return super().role_settings(role, **{**ours, **more})

    def internal(self, role):
        return f"127.0.0.1:{self.ports_of_ours[role]['internal']}"

    def wait_until_all_ready(self):
        for role in ROLES:
            wait_for(f"{role} is not ready: {self.roles[role].process.last_lines()}",
                     lambda role=role: answers(f"http://{self.internal(role)}/readyz"), READY_SECS_MAX)

    # ---- Clocks ----

    def clock_settings(self, role):
        """The wall clock of a role is read through a library that takes its error from a file. What measures how long
        something takes goes on undisturbed, as it does when a real clock is set."""
        libraries = glob.glob(CLOCK_LIBRARIES)
        if not libraries:
            raise StackError(f"there is no {CLOCK_LIBRARIES}: on Debian it comes with the package faketime")
        return {"LD_PRELOAD": libraries[0], "FAKETIME_TIMESTAMP_FILE": str(self.clock(role)),
                "FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
                "FAKETIME_DISABLE_SHM": "1"}

    def clock(self, role):
        return self.folder / f"clock-{role}"

    def set_clock(self, role, error_secs):
        part = self.folder / f"clock-{role}.part"
        part.write_text(f"{error_secs:+d}s\n", encoding="ascii")
        part.rename(self.clock(role))

    # ---- Replicas ----

    def add_replica(self, role, number):
        """One more of a role, with a sidecar of the same app id: a member more of the consumer group."""
        sidecar = Sidecar(self.stack, role)
        ports = {name: self.a_port() for name in PORT_FLAGS}
        command = sidecar.command()
        for name, flag in PORT_FLAGS.items():
            command[command.index(flag) + 1] = str(ports[name])
        log = self.logs / f"{role}-replica-{number}.log"
        daprd = Process(command, sidecar.variables(), cwd=self.stack.folder, log=log)
        settings = self.role_settings(role, DAPR_HTTP_PORT=str(ports["http_port"]),
                                      WEALTH__DAPR__HTTP_PORT=str(ports["http_port"]),
                                      WEALTH__HTTP__INTERNAL_ADDR=f"127.0.0.1:{ports['app_port']}")
        self.replicas += [daprd, replica := Process([self.binary, "--role", role], settings, log=log)]
        return daprd, replica, f"http://127.0.0.1:{ports['app_port']}/readyz"

    # ---- What is done to parts ----

    def kill_part(self, part, number=signal.SIGKILL):
        self.signal(part, number)
        record = self.stack.part(part)
        wait_for(f"{part} does not end", lambda: not self.stack.runs(record), 30)

    def redis(self, command):
        section = self.state["redis"]
        question = f"AUTH {section['password']}\r\n{command}\r\n".encode()
        return ask_port(section["port"], question, lambda answer: answer.count(b"+OK") == 2)

    def run(self, *arguments, seconds=COMMAND_SECS_MAX):
        """A command of the product: its exit code and what it said."""
        environment = {**os.environ, **roles.direct_settings(self.stack), "WEALTH__LOG__LEVEL": "error"}
        try:
            done = subprocess.run([self.binary, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return None, f"{' '.join(arguments)} did not end in {seconds} s"
        return done.returncode, done.stdout if done.returncode in (0, 1) else done.stderr

    def heal(self):
        """Everything is well again: links, clocks, parts, roles."""
        self.links.mend_all()
        for role in ROLES:
            self.set_clock(role, 0)
            self.roles[role].signal(signal.SIGCONT)
        for replica in self.replicas:
            replica.kill()
        self.bring_back("postgres", "pgbouncer", "redis", "kafka", "sidecars")
        self.wait_until_all_ready()
