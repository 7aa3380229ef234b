"""daprd and Kafka come from package registries: built once, kept in a cache outside the clone.

The cache is ${XDG_CACHE_HOME:-~/.cache}/wealth-companion, the key of a build the hash of what it is made from. A
build has a temporary name until it is whole; two that want the same one wait for each other.
"""

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
DAPRD, KAFKA = HERE / "daprd", HERE / "kafka"
SHOW_SECS = 30
LOG_LINES_SHOWN = 20


def cache():
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(home, "wealth-companion")


def key(version, *files):
    made_from = b"\0".join([sys.platform.encode(), platform.machine().encode(), *(file.read_bytes() for file in files)])
    return f"{version}-{hashlib.sha256(made_from).hexdigest()[:12]}"


def daprd_version():
    return re.search(r"github\.com/dapr/dapr v(\S+)", (DAPRD / "go.mod").read_text(encoding="utf-8"))[1]


def go_wanted():
    return re.search(r"^go (\S+)$", (DAPRD / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)[1]


def daprd_path():
    return cache() / "daprd" / key(daprd_version(), DAPRD / "go.mod", DAPRD / "go.sum") / "daprd"


def kafka_version():
    return re.search(r"<kafka\.version>(\S+)</kafka\.version>", (KAFKA / "pom.xml").read_text(encoding="utf-8"))[1]


def kafka_path():
    """The folder of the broker's class path."""
    return cache() / "kafka" / key(kafka_version(), KAFKA / "pom.xml") / "libs"


def build_daprd(go, log):
    version = daprd_version()

    def build(folder):
        check_go(go)
        flags = f"-s -w -X github.com/dapr/dapr/pkg/buildinfo.version={version}"
        command = [go, "build", "-tags", "stablecomponents", "-trimpath", "-ldflags", flags,
                   "-o", str(folder / "daprd"), "github.com/dapr/dapr/cmd/daprd"]
        run_shown(command, f"building daprd {version}, once: minutes", log, cwd=DAPRD)

    return once(daprd_path(), build)


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


def check_go(go):
    """Inside the module, where a Go that may fetch newer toolchains speaks for the one that it would use."""
    wanted = go_wanted()
    shown = subprocess.run([go, "version"], cwd=DAPRD, capture_output=True, text=True, check=False)
    found = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", shown.stdout)
    if shown.returncode or [int(n or 0) for n in found.groups()] < [int(n) for n in wanted.split(".")]:
        this = found[0] if found else (shown.stderr.strip().splitlines() or ["unknown"])[0]
        raise StackError(f"missing: Go {wanted} or newer to build daprd, this is {this} (https://go.dev/dl; "
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
