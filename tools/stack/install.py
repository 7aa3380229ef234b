"""Finds the programs that the parts need, and installs those that are missing.

Debian's packages of servers also set up services of the system. Those that our installing brings are stopped and
disabled again; what was there before is not touched.
"""

import collections
import glob
import os
import pathlib
import re
import shutil
import subprocess

from .builds import PROGRAMS, go_wanted, run_shown
from .machine import StackError, say

Tool = collections.namedtuple("Tool", "command debian brew")

TOOLS = {
    tool.command: tool
    for tool in (
        Tool("initdb", ["postgresql"], "postgresql@17"),
        Tool("postgres", ["postgresql"], "postgresql@17"),
        Tool("psql", ["postgresql"], "postgresql@17"),
        Tool("openssl", ["openssl"], "openssl"),
        Tool("pgbouncer", ["pgbouncer"], "pgbouncer"),
        Tool("redis-server", ["redis-server"], "redis"),
        # The first that the distribution has.
        Tool("java", ["openjdk-17-jre-headless", "openjdk-21-jre-headless", "default-jre-headless"], "openjdk"),
        Tool("mvn", ["maven"], "maven"),
        Tool("prometheus", ["prometheus"], "prometheus"),
        Tool("prometheus-alertmanager", ["prometheus-alertmanager"], "alertmanager"),
        Tool("faketime", ["faketime"], "libfaketime"),
        # Debian's is too old for daprd; the message says what is needed.
        Tool("go", [], "go"),
    )
}
JAVA_MIN = 17
POSTGRES = ("initdb", "postgres", "psql")
SERVICES = ("postgresql", "pgbouncer", "redis-server", "prometheus", "prometheus-node-exporter", "prometheus-alertmanager")
MORE_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin", "/opt/homebrew/opt/openjdk/bin")


def postgres_folders():
    """Where a PostgreSQL may be that is not on the PATH, the newest version first."""
    found = []
    for pattern in ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin"):
        found += sorted(glob.glob(pattern), key=lambda path: [int(n) for n in re.findall(r"\d+", path)], reverse=True)
    return found


def find(command):
    places = postgres_folders() if command in POSTGRES else []
    return shutil.which(command, path=os.pathsep.join([*places, os.environ.get("PATH", os.defpath), *MORE_FOLDERS]))


def java_version():
    """The major version, 0 where there is none. macOS has a `java` that only says that there is none."""
    if not find("java"):
        return 0
    shown = subprocess.run([find("java"), "-version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    number = re.search(r'version "(?:1\.)?(\d+)', shown.stderr)
    return int(number[1]) if number else 0


def is_there(command):
    return java_version() >= JAVA_MIN if command == "java" else find(command) is not None


def require(commands, log, may_install):
    """All of these commands are there afterwards, or an error says in one line what to install."""
    missing = [TOOLS[command] for command in commands if not is_there(command)]
    if missing and may_install and shutil.which("apt-get"):
        packages = list(dict.fromkeys(package for tool in missing for package in debian_package(tool)))
        root = as_root()
        if packages and root is not None:
            install(packages, root, log)
            missing = [tool for tool in missing if not is_there(tool.command)]
    if missing:
        raise StackError(how_to_get(missing))


def newest_go_wanted():
    return max((go_wanted(name) for name in PROGRAMS), key=lambda version: [int(number) for number in version.split(".")])


def how_to_get(missing):
    """One line, for Debian and for macOS."""
    names = [f"Java {JAVA_MIN} or newer" if tool.command == "java" else f"Go {newest_go_wanted()} or newer" if tool.command == "go"
             else tool.command for tool in missing]
    debian = list(dict.fromkeys(tool.debian[0] for tool in missing if tool.debian))
    brew = list(dict.fromkeys(tool.brew for tool in missing))
    ways = [f"Debian: apt-get install {' '.join(debian)}"] if debian else []
    ways += ["Go on Debian: https://go.dev/dl, its own is too old"] if any(tool.command == "go" for tool in missing) else []
    return f"missing: {', '.join(names)} ({'; '.join([*ways, 'macOS: brew install ' + ' '.join(brew)])})"


def debian_package(tool):
    """The first of the tool's packages that this distribution has."""
    for package in tool.debian:
        shown = subprocess.run(["apt-cache", "show", package], capture_output=True, check=False)
        if shown.returncode == 0 and shown.stdout.strip():
            return [package]
    return tool.debian[:1]


def as_root():
    """What to put in front of a command that root has to run; None when we cannot."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0:
        return ["sudo", "-n"]
    return None


def install(packages, root, log):
    say(f"installing {' '.join(packages)} with apt-get")
    before = {service for service in SERVICES if has_service(service)}
    # In runlevel 1 packages do not start what they bring.
    quiet = [*root, "env", "RUNLEVEL=1", "DEBIAN_FRONTEND=noninteractive"]
    options = ["-y", "--no-install-recommends", "--no-upgrade", "-o", "DPkg::Lock::Timeout=300"]
    command = [*quiet, "apt-get", "install", *options, *packages]
    try:
        if not run_shown(command, "apt-get install", log, fail=False):
            run_shown([*quiet, "apt-get", "update"], "apt-get update", log)
            run_shown(command, "apt-get install", log)
    finally:
        for service in SERVICES:
            if service not in before and has_service(service):
                disable(service, root)


def has_service(service):
    places = ("/etc/init.d/{}", "/lib/systemd/system/{}.service", "/usr/lib/systemd/system/{}.service")
    return any(pathlib.Path(place.format(service)).exists() for place in places)


def disable(service, root):
    """Of a service that was not there before: stops it, and it does not come with the next boot."""
    if pathlib.Path("/run/systemd/system").exists():
        commands = [["systemctl", "disable", "--now", service]]
    else:
        commands = [["service", service, "stop"], ["update-rc.d", service, "disable"], ["systemctl", "disable", service]]
    for command in commands:
        if shutil.which(command[0], path="/usr/sbin:/usr/bin:/sbin:/bin"):
            subprocess.run([*root, *command], stdin=subprocess.DEVNULL, capture_output=True, check=False)
