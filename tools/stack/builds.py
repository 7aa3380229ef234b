"""Kafka, and programs in Go, come from package registries: built once, kept in a cache outside the clone.

The cache is ${XDG_CACHE_HOME:-~/.cache}/wealth-companion, the key of a build the hash of what it is made from. A
build has a temporary name until it is whole; two that want the same one wait for each other.
"""

import collections
import contextlib
import hashlib
import os
import pathlib
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time

from .machine import StackError, locked, remove, say

HERE = pathlib.Path(__file__).parent
KAFKA = HERE / "kafka"
# Each has a folder with its go.mod and go.sum: the one of its name beside this file, if it names no other. What is
# `static` needs no C library where it runs.
GoProgram = collections.namedtuple("GoProgram", "module package options flags takes folder static", defaults=(None, False))
PROGRAMS = {
    "daprd": GoProgram("github.com/dapr/dapr", "/cmd/daprd", ["-tags", "stablecomponents"],
                       ["-X", "github.com/dapr/dapr/pkg/buildinfo.version={version}"], "minutes"),
    "jaeger": GoProgram("github.com/jaegertracing/jaeger", "/cmd/jaeger", [], [], "up to ten minutes"),
    "logstore": GoProgram("github.com/VictoriaMetrics/VictoriaLogs", "/app/victoria-logs", [], [], "a minute"),
    "toxiproxy": GoProgram("github.com/Shopify/toxiproxy/v2", "/cmd/server", [], [], "a minute"),
}
SHOW_SECS = 30
LOG_LINES_SHOWN = 20


def cache():
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(home, "wealth-companion")


def key(version, *files):
    made_from = b"\0".join([sys.platform.encode(), platform.machine().encode(), *(file.read_bytes() for file in files)])
    return f"{version}-{hashlib.sha256(made_from).hexdigest()[:12]}"


def go_version(name):
    """Of the module that the program is in."""
    module = re.escape(PROGRAMS[name].module)
    return re.search(rf"\s{module} v(\S+)", go_file(name).read_text(encoding="utf-8"))[1]


def go_wanted(name):
    return re.search(r"^go (\S+)$", go_file(name).read_text(encoding="utf-8"), re.MULTILINE)[1]


def go_folder(name):
    return PROGRAMS[name].folder or HERE / name


def go_file(name):
    return go_folder(name) / "go.mod"


def go_path(name):
    folder = go_folder(name)
    return cache() / name / key(go_version(name), folder / "go.mod", folder / "go.sum") / name


def kafka_version():
    return re.search(r"<kafka\.version>(\S+)</kafka\.version>", (KAFKA / "pom.xml").read_text(encoding="utf-8"))[1]


def kafka_path():
    """The folder of the broker's class path."""
    return cache() / "kafka" / key(kafka_version(), KAFKA / "pom.xml") / "libs"


def jmx_agent():
    """What tells Prometheus of the broker's numbers, inside its process."""
    return next(kafka_path().glob("jmx_prometheus_javaagent-*.jar"))


def build_go(name, go, log):
    program, version = PROGRAMS[name], go_version(name)

    def build(folder):
        check_go(name, go)
        flags = ["-s", "-w", *(flag.format(version=version) for flag in program.flags)]
        environment = ["env", "CGO_ENABLED=0"] if program.static else []
        command = [*environment, go, "build", "-buildvcs=false", "-trimpath", *program.options, "-ldflags", " ".join(flags),
                   "-o", str(folder / name), program.module + program.package]
        run_shown(command, f"building {name} {version}, once: {program.takes}", log, cwd=go_folder(name))

    return once(go_path(name), build)


def build_kafka(maven, log):
    version = kafka_version()

    def build(folder):
        command = [maven, "-B", "--strict-checksums", "-f", str(KAFKA / "pom.xml"), "dependency:copy-dependencies",
                   f"-DoutputDirectory={folder / 'libs'}", "-DincludeScope=runtime"]
        run_shown(command, f"fetching Kafka {version}, once", log)

    return once(kafka_path(), build)


def once(path, build):
    """The path from the cache; its folder is built when it is not there."""
    if path.exists():
        return path
    folder = path.parent
    with locked(folder.with_name(folder.name + ".lock"), f"waiting for another build of {folder.name}"):
        if not path.exists():
            part = pathlib.Path(tempfile.mkdtemp(prefix=folder.name + ".part-", dir=folder.parent))
            try:
                build(part)
                part.chmod(0o755)
                part.rename(folder)
            finally:
                if part.exists():
                    remove(part)
    return path


def check_go(name, go):
    """Inside the module, where a Go that may fetch newer toolchains speaks for the one that it would use."""
    wanted = go_wanted(name)
    shown = subprocess.run([go, "version"], cwd=go_folder(name), capture_output=True, text=True, check=False)
    found = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", shown.stdout)
    if shown.returncode or [int(n or 0) for n in found.groups()] < [int(n) for n in wanted.split(".")]:
        this = found[0] if found else (shown.stderr.strip().splitlines() or ["unknown"])[0]
        raise StackError(f"missing: Go {wanted} or newer to build {name}, this is {this} (https://go.dev/dl; "
                         "macOS: brew install go; Debian's Go is too old)")


def run_shown(command, what, log, cwd=None, fail=True):
    """Runs a command that takes long, and shows that it does; what it says goes to the log."""
    begin = time.monotonic()
    with open(log, "ab") as output:
        process = subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                   start_new_session=True)
        try:
            while True:
                show(what, begin)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(1 if sys.stderr.isatty() else SHOW_SECS)
                    break
        except BaseException:
            # What sudo runs is not ours to kill.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            if sys.stderr.isatty():
                print(file=sys.stderr)
    if process.returncode == 0:
        say(f"{what}: done after {elapsed(begin)}")
        return True
    if fail:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:])
        raise StackError(f"{what}: failed with {process.returncode}; the end of {log}:\n{tail}")
    return False


def show(what, begin):
    if sys.stderr.isatty():
        print(f"\r{what} … {elapsed(begin)}", end="", file=sys.stderr, flush=True)
    else:
        say(f"{what} … {elapsed(begin)}")


def elapsed(begin):
    minutes, seconds = divmod(int(time.monotonic() - begin), 60)
    return f"{minutes}:{seconds:02}"
