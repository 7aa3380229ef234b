"""What the stack asks of the machine: a lock, free ports, accounts, files, processes."""

import contextlib
import ctypes
import fcntl
import functools
import json
import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

# Below the ports that systems give to outgoing connections (from 32768 on Linux, 49152 on macOS), or a
# port that is free today is somebody's connection tomorrow.
PORTS = range(20000, 30000)
POLL_SECS = 0.05
KILL_SECS_MAX = 10
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StackError(Exception):
    """It could not be done; the text says why and what to do."""


class Interrupted(BaseException):
    """Ctrl-C, or another signal that ends us."""

    def __init__(self, number):
        super().__init__(number)
        self.exit_code = 128 + number


def interrupt_on_signals():
    def interrupt(number, _frame):
        raise Interrupted(number)

    for number in ENDING_SIGNALS:
        signal.signal(number, interrupt)


def ended(name, command, failed=1):
    """Does what a command line asks for; gives what the program `name` ends with: `failed` where a part cannot be had."""
    interrupt_on_signals()
    try:
        code = command() or 0
        sys.stdout.flush()
        return code
    except StackError as error:
        say(f"{name}: {error}")
        return failed
    except Interrupted as interrupted:
        say(f"{name}: interrupted")
        return interrupted.exit_code
    except BrokenPipeError:
        # Whoever reads has enough; nor is there anybody for what is still in the buffer.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


@contextlib.contextmanager
def uninterrupted():
    """What cleans up is not stopped halfway by a second Ctrl-C; all of it ends within its own limits."""
    before = [signal.signal(number, signal.SIG_IGN) for number in ENDING_SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(ENDING_SIGNALS, before):
            signal.signal(number, handler)


def say(text):
    """Progress goes to standard error: standard output is for what was asked for."""
    print(text, file=sys.stderr, flush=True)


# ---- Files --------------------------------------------------------------------------------------


def write_private(path, text, account=None):
    """Writes a file that only its owner may read: the whole of it, or nothing."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        if account:
            os.fchown(file.fileno(), account.pw_uid, account.pw_gid)
    part.rename(path)


def read_json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def remove(path):
    """A file, a folder or a link, if it is there."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path)


@contextlib.contextmanager
def locked(path, busy):
    """Only one of us at a time does what follows. Says `busy` when it has to wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(busy)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


# ---- Ports --------------------------------------------------------------------------------------


def is_free(port):
    with socket.socket() as probe:
        # Connections of yesterday that linger (TIME_WAIT) do not count, a listener does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def free_port(taken):
    while True:
        port = random.choice(PORTS)
        if port not in taken and is_free(port):
            return port


# ---- Accounts -----------------------------------------------------------------------------------


@functools.lru_cache(maxsize=None)
def server_account():
    """PostgreSQL and PgBouncer refuse to run as root: the account for them, or None for our own."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise StackError("PostgreSQL does not run as root, and there is no account `postgres` or `nobody` for it")


def become(account):
    """Gives up being root, for good."""
    os.setgroups(os.getgrouplist(account.pw_name, account.pw_gid))
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def may_enter(account, folder):
    """Whether that account gets into the folder: a home of mode 0700 on the way shuts it out."""
    command = ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)]
    return subprocess.run(command, preexec_fn=lambda: become(account), stderr=subprocess.DEVNULL, check=False).returncode == 0


def environment(**more):
    """A small environment for what we run: nothing of the caller's (PGPORT, proxies, keys) gets in by chance."""
    kept = ("PATH", "HOME", "USER", "LANG", "TMPDIR", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
    return {**{name: os.environ[name] for name in kept if name in os.environ}, **more}


# ---- Processes ----------------------------------------------------------------------------------


@functools.lru_cache(maxsize=None)
def boot_id():
    return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def birth(pid):
    """When a process began: tells it from a later one with the same pid. None when it has ended."""
    if sys.platform == "linux":
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        # Behind the name, which may hold anything: the state first, the time of the start as the twentieth.
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else f"{boot_id()} {fields[19]}"
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    state, _, began = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip().partition(" ")
    return began.strip() if state and not state.startswith("Z") else None


def spawn(command, record, facts, folder, log, account=None, env=None):
    """Starts a process that outlives us, and records it. The process itself writes the record, before it becomes
    the command: there is no moment at which it runs and nobody knows of it."""

    def begin():
        signal.pthread_sigmask(signal.SIG_SETMASK, unmasked)
        os.umask(0o077)
        mine = {**facts, "pid": os.getpid(), "birth": birth(os.getpid()), "began": time.time()}
        write_private(record, json.dumps(mine, indent=2))
        if account:
            become(account)

    if account:
        env = {**env, "HOME": account.pw_dir, "USER": account.pw_name}
    if log.exists() and log.stat().st_size > 10 * 1024 * 1024:
        log.replace(log.with_suffix(".log.1"))
    # A Ctrl-C waits until the record is written, which is before Popen returns.
    unmasked = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    try:
        with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as output:
            # A session of its own: the Ctrl-C of a terminal does not reach it.
            return subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=output,
                                    stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=begin)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, unmasked)


def end_with_parent():
    """In a child, before it becomes the command: it is asked to end when we are gone, however we went. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def is_alive(record):
    """Whether the very process of that record still runs."""
    return record is not None and birth(record["pid"]) == record["birth"]


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECS)
    return True


def end(processes):
    """Asks processes to end, (record, signal, seconds) each; makes those that take longer."""
    for record, number, _ in processes:
        send(record, number)
    begin = time.monotonic()
    for record, _, seconds in processes:
        if not wait_until(lambda: not is_alive(record), begin + seconds - time.monotonic()):
            send(record, signal.SIGKILL)
            if not wait_until(lambda: not is_alive(record), KILL_SECS_MAX):
                raise StackError(f"process {record['pid']} does not end")


def send(record, number):
    if is_alive(record):
        with contextlib.suppress(ProcessLookupError):
            os.kill(record["pid"], number)


def memory_mib(pid):
    """Of a process and its children, what they share counted once. None where the system does not tell."""
    try:
        children = {}
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                parent = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
                children.setdefault(int(parent), []).append(int(stat.parent.name))
        total, left = 0, [pid]
        while left:
            one = left.pop()
            left += children.get(one, [])
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                rollup = pathlib.Path(f"/proc/{one}/smaps_rollup").read_text(encoding="ascii")
                total += int(rollup.partition("Pss:")[2].split()[0])
        return round(total / 1024) or None
    except (OSError, ValueError, IndexError):
        return None
