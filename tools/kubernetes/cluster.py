"""Starts, shows and stops the cluster of this clone, all of which is in .cluster:

    run/NAME.json    which process is what: there while it should run
    logs/NAME.log    what it said; logs/build.log, what installing and building said
    pki/ *.kubeconfig   certificates, and who has which; admin.kubeconfig is for people
    etcd/ containerd/ kubelet/ var/   the state of each
    installed/NAME   what has been installed into it
    machine.json     what has to be put right again on the machine
"""

import contextlib
import functools
import hashlib
import os
import pathlib
import signal
import subprocess
import time

from stack import builds
from stack.machine import StackError, birth, end, is_alive, locked, memory_mib, remove, uninterrupted, wait_until
from stack.machine import say as say_to_stderr

from . import addons, images, node, programs

# How long a process may take to end before it is made to.
STOP_SECS = 10
KILL_SECS_MAX = 30
READY_SECS_MAX = 120
READY = '.status.conditions[?(@.type=="Ready")]'
PROBE = "--request-timeout=5s"
LOG_LINES_SHOWN = 20


# ---- For tests and tools ------------------------------------------------------------------------


def command(arguments):
    """The command line that runs this inside the cluster's network, where kubectl and helm know the cluster."""
    if not node.runs("sandbox"):
        raise StackError("no cluster runs here: tools/kubernetes.py up")
    path = os.pathsep.join([*dict.fromkeys(os.path.dirname(node.program(name)) for name in ("kubectl", "helm")),
                            os.environ.get("PATH", os.defpath)])
    settings = {"KUBECONFIG": node.kubeconfig("admin"), "KUBECACHEDIR": node.FOLDER / "kubectl-cache", "PATH": path}
    return [*node.join("--net"), "env", *(f"{name}={value}" for name, value in settings.items()), *map(str, arguments)]


def tell(arguments, given="", seconds=600):
    """Runs it there and returns what it printed; it must succeed."""
    shown = " ".join(map(str, arguments))
    try:
        done = subprocess.run(command(arguments), input=given, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise StackError(f"`{shown}` has not ended after {seconds} seconds") from None
    if done.returncode:
        raise StackError(f"`{shown}` failed with {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def kubectl(*arguments, given=""):
    """As `tell`: kubectl("apply", "--filename", "-", given=...)."""
    return tell(["kubectl", *arguments], given)


def up(say=say_to_stderr):
    """Builds what is missing, starts what does not run, installs what is not installed."""
    check_machine()
    begin = time.monotonic()
    with alone():
        step = functools.partial(stepping, say)
        node.FOLDER.mkdir(mode=0o755, exist_ok=True)
        log = images.default_log()
        with step("programs"):
            programs.build(log)
        with step("images"):
            needed = images.of_programs(log)
        with step("sandbox"):
            open_sandbox()
        with step("control plane"):
            start("containerd", lambda: answers(lambda: images.ctr("version")))
            start("etcd")
            start("apiserver", lambda: answers(lambda: kubectl("get", "--raw", "/readyz", PROBE)))
            start("controller-manager")
            start("scheduler")
        with step("loading images"):
            images.load(*needed)
        with step("node"):
            kubectl("apply", "--filename", programs.HERE / "kube-proxy.yaml")
            start("kubelet", is_node_ready)
            start("kube-proxy")
            start("kube-router")
        for name, arguments, given in addons.addons():
            install_once(name, arguments, given, step)
        with step("pods"):
            waiting = ["wait", "--for=condition=Ready", "pod", "--all", f"--timeout={READY_SECS_MAX}s"]
            for namespace in ("kube-system", "dapr-system"):
                kubectl(*waiting, "--namespace", namespace)
    say(f"the cluster is up after {builds.elapsed(begin)}: tools/kubernetes.py run -- kubectl get pods --all-namespaces")


def down(say=say_to_stderr):
    """Ends every process of the cluster and forgets all of it, whatever state it was in."""
    check_machine()
    with alone(), uninterrupted():
        if not node.FOLDER.exists() and not members():
            return
        begin = time.monotonic()
        if not wait_until(kill_all, KILL_SECS_MAX):
            raise StackError(f"processes of the cluster do not end: {' '.join(map(str, members()))}")
        if not wait_until(node.remove_cgroup, KILL_SECS_MAX):
            raise StackError(f"cgroups of the cluster are still in use: {' '.join(map(str, node.cgroup_folders()))}")
        node.restore_machine()
        remove(node.FOLDER)
        say(f"the cluster is gone after {builds.elapsed(begin)}")


def status():
    """What runs: the processes of the node, how many pods there are and are ready, the memory of all of them."""
    processes = []
    for name in ("sandbox", *node.daemons()) if node.FOLDER.exists() else ():
        record = node.record(name)
        row = {"name": name, "state": "died" if record else "stopped"}
        if is_alive(record):
            row.update(state="running", pid=record["pid"], uptime_secs=int(time.time() - record["began"]),
                       memory_mib=memory_mib(record["pid"]))
        processes.append(row)
    good = bool(processes) and all(row["state"] == "running" for row in processes) and is_node_ready()
    each = f"--output=jsonpath={{.items[*]{READY}.status}}"
    pods = kubectl("get", "pods", "--all-namespaces", each, PROBE).split() if good else []
    return {"ok": good, "processes": processes, "pods": len(pods), "pods_ready": pods.count("True"),
            "memory_mib": memory_of_all()}


def memory_of_all():
    """MiB of all processes, those in pods too; what they share counted once."""
    total = 0
    for pid in members():
        with contextlib.suppress(OSError, IndexError):
            rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            total += int(rollup.partition("Pss:")[2].split()[0])
    return round(total / 1024)


# ---- Start --------------------------------------------------------------------------------------


def check_machine():
    if os.uname().sysname != "Linux" or os.geteuid() != 0:
        raise StackError("a node of Kubernetes takes Linux, and root: sudo tools/kubernetes.py up")
    if len(str(node.FOLDER)) > node.FOLDER_CHARS_MAX:
        raise StackError(f"{node.FOLDER} is too long for the paths of sockets: use a clone whose path is shorter")


@contextlib.contextmanager
def alone():
    with locked(builds.cache() / f"cluster-{node.ID}.lock", "another start or stop of this cluster is at work: waiting for it"):
        yield


@contextlib.contextmanager
def stepping(say, name):
    begin = time.monotonic()
    yield
    say(f"{name:<16} {time.monotonic() - begin:5.1f} s")


def open_sandbox():
    """When it has died all others are in a network that nobody can join any more: they start again."""
    node.write_files()
    if not node.runs("sandbox"):
        if not wait_until(kill_all, KILL_SECS_MAX):
            raise StackError("processes of an earlier cluster do not end: tools/kubernetes.py down")
        node.open_sandbox()


def start(name, is_ready=lambda: True):
    """Unless it runs with just these settings."""
    daemon, record = node.daemons()[name], node.record(name)
    if not is_alive(record) or record["fingerprint"] != node.fingerprint(daemon):
        if record:
            end([(record, signal.SIGTERM, STOP_SECS)])
        node.launch(daemon)
    if not wait_until(lambda: not node.runs(name) or is_ready(), READY_SECS_MAX) or not node.runs(name):
        lines = node.log(name).read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        raise StackError("\n".join([f"{name} does not start; the end of {node.log(name)}:", *lines]))


def answers(question):
    try:
        question()
        return True
    except StackError:
        return False


def is_node_ready():
    """Whether this kubelet says so, not one before it."""
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(node.record("kubelet")["began"]))
    path = f"{{{READY}.status}} {{{READY}.lastHeartbeatTime}}"
    try:
        ready, said = kubectl("get", "node", node.NODE, f"--output=jsonpath={path}", PROBE).split()
    except (StackError, ValueError):
        return False
    return ready == "True" and said >= since


def install_once(name, arguments, given, step):
    """What is installed with just these settings stays as it is."""
    mark = node.FOLDER / "installed" / name
    words = [word.partition("=")[2] for word in arguments]
    files = [pathlib.Path(word).read_bytes() for word in words if os.path.isfile(word)]
    key = hashlib.sha256(b"\0".join([repr(arguments).encode(), given.encode(), *files])).hexdigest()
    if not mark.exists() or mark.read_text(encoding="ascii") != key:
        with step(name):
            tell(arguments, given)
        mark.parent.mkdir(exist_ok=True)
        mark.write_text(key, encoding="ascii")


# ---- Stop ---------------------------------------------------------------------------------------


def members():
    """Every process of the cluster: whoever started it, it is in the cluster's cgroup."""
    found = []
    for file in pathlib.Path("/proc").glob("[0-9]*/cgroup"):
        with contextlib.suppress(OSError):
            if f":/{node.CGROUP}/" in file.read_text(encoding="utf-8") and birth(file.parent.name):
                found.append(int(file.parent.name))
    return found


def kill_all():
    """Whether nobody is left, of those that could start others as well."""
    left = members()
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return not left
