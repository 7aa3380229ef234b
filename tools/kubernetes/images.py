"""Images, without a registry: each is made here, under the name that a Dockerfile or a chart calls it by.

Podman keeps them in the cache outside the clone (containers/), so they outlive a cluster; its own settings and images
are not touched. The node gets those that are loaded into it.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from stack import builds
from stack.builds import cache, run_shown
from stack.machine import StackError, locked, read_json

from . import node, programs

HERE = pathlib.Path(__file__).parent
DEBIAN = "docker.io/library/debian:bookworm-slim"
STACK = "localhost/stack:local"
RELEASE = "bookworm"
MIRRORS = {RELEASE: "http://deb.debian.org/debian", f"{RELEASE}-updates": "http://deb.debian.org/debian",
           f"{RELEASE}-security": "http://deb.debian.org/debian-security"}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Where the official image of Rust has its toolchain; here the machine's own is mounted there during builds.
TOOLCHAIN = "/usr/local/rustup/toolchains/local"
AUTHORITIES = ("/etc/ssl/certs", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates")
# Layers that nobody uses any more are kept this long, since the next build may take them again.
LEFTOVERS_KEPT = "72h"
# What an image was made from, where that is not its Dockerfile alone.
LABEL = "made-from"
# Charts call the programs by /name, and find certificates of authorities and a place for temporary files.
OF_PROGRAMS = {
    "localhost/pause:local": ("scratch", {}),
    "localhost/coredns:local": ("scratch", {"coredns": "coredns"}),
    "localhost/metrics-server:local": ("scratch", {"metrics-server": "metrics-server"}),
    # daprd takes a C library.
    "localhost/dapr:local": (DEBIAN, {**{name: f"dapr-{name}" for name in ("operator", "sentry", "injector", "placement")},
                                      "daprd": "daprd"}),
}


# ---- For tests and tools ------------------------------------------------------------------------


def build(name, file, context=None, arguments=None, network=False, log=None):
    """Builds an image from a Dockerfile whose base is one of ours. With `network` its RUN steps reach the registries of
    packages in the way this machine does; without it they reach nothing. Without a context it can copy nothing."""
    with tempfile.TemporaryDirectory(prefix="wealth-image-") as folder:
        reach = "host" if network else "none"
        command = ["build", "--pull=never", "--layers", "--network", reach, "--tag", name, "--file", file]
        for volume in [*toolchain(), *(registries(pathlib.Path(folder)) if network else [])]:
            command += ["--volume", volume]
        for argument, value in (arguments or {}).items():
            command += ["--build-arg", f"{argument}={value}"]
        run_shown(podman(*command, context or folder), f"building {name}", log or default_log())
    podman_run("image", "prune", "--force", "--filter", f"until={LEFTOVERS_KEPT}")


def load(*names):
    """Puts images into the node, but for those that it has."""
    loaded_file = node.FOLDER / "images.json"
    loaded = read_json(loaded_file) or {}
    for name in names:
        identity = inspect(name, "{{.Id}}")
        if not identity:
            raise StackError(f"there is no image {name}: build it first")
        if loaded.get(name) != identity:
            with subprocess.Popen(podman("save", "--quiet", name), stdout=subprocess.PIPE) as saved:
                ctr("images", "import", "-", stdin=saved.stdout)
            if saved.returncode:
                raise StackError(f"podman could not save {name}")
            loaded[name] = identity
            loaded_file.write_text(json.dumps(loaded, indent=2), encoding="utf-8")


def stack(log=None):
    """The image of PostgreSQL, Redis and Kafka: localhost/stack:local."""
    debian(log or default_log())
    build(STACK, HERE / "stack.Dockerfile", builds.kafka_path().parent, network=True, log=log)
    return STACK


def rust(log=None):
    """What a Dockerfile builds Rust in, under the names of this machine's version: 1.95.0-slim-bookworm, 1.95-slim-bookworm."""
    version = re.search(r"rustc (\d+\.\d+)(\.\d+)", told("rustc", "--version"))
    names = [f"docker.io/library/rust:{number}-slim-{RELEASE}" for number in (version[1] + version[2], version[1])]
    debian(log or default_log())
    build(names[0], HERE / "rust.Dockerfile", None, {"TOOLCHAIN": TOOLCHAIN}, network=True, log=log)
    podman_run("tag", *names)
    return names


def bases(log=None):
    """The images that Dockerfiles may start from."""
    debian(log or default_log())
    if shutil.which("rustc"):
        rust(log)


# ---- Those of the cluster -----------------------------------------------------------------------


def debian(log):
    """A minimal Debian, made by debootstrap from the mirrors of this machine."""
    with locked(cache() / "containers.lock", "waiting for another build of images"):
        if inspect(DEBIAN, "{{.Id}}"):
            return
        with tempfile.TemporaryDirectory(prefix="rootfs-", dir=cache()) as folder:
            root, found = pathlib.Path(folder, "root"), mirrors()
            command = ["debootstrap", "--variant=minbase", "--include=ca-certificates", RELEASE, str(root), found[RELEASE]]
            run_shown(command, "making an image of Debian, once: a minute", log)
            for path in (*root.glob("var/cache/apt/archives/*.deb"), *root.glob("var/lib/apt/lists/*_*")):
                path.unlink()
            lines = [f"deb {mirror} {release} main\n" for release, mirror in found.items()]
            (root / "etc/apt/sources.list").write_text("".join(lines), encoding="utf-8")
            archive = pathlib.Path(folder, "root.tar")
            subprocess.run(["tar", "-C", root, "--numeric-owner", "-cf", archive, "."], check=True)
            podman_run("import", "--change", 'CMD ["bash"]', "--change", f"ENV PATH={PATH}", archive, DEBIAN)


def of_programs(log):
    """Builds those that are not there, or were made from other programs."""
    for name, (base, contents) in OF_PROGRAMS.items():
        made_from = programs.sources_path().parent.name if not contents else " ".join(
            builds.go_path(program).parent.name for program in contents.values())
        if inspect(name, f'{{{{index .Labels "{LABEL}"}}}}') == made_from:
            continue
        if base == DEBIAN:
            debian(log)
        with tempfile.TemporaryDirectory(prefix="image-", dir=cache()) as folder:
            context = pathlib.Path(folder)
            (context / "root/tmp").mkdir(parents=True)
            (context / "root/tmp").chmod(0o1777)
            for inside, program in contents.items():
                os.link(builds.go_path(program), context / "root" / inside)
            if not contents:
                compile_pause(context / "root" / "pause")
            entry = "" if len(contents) > 1 else f'ENTRYPOINT ["/{next(iter(contents), "pause")}"]\n'
            file = context / "Dockerfile"
            file.write_text(f'FROM {base}\nCOPY root /\nUSER 65532\nLABEL {LABEL}="{made_from}"\n{entry}', encoding="utf-8")
            build(name, file, context, log=log)
    return list(OF_PROGRAMS)


def compile_pause(path):
    """What holds a pod's network, from Kubernetes' own source."""
    command = ["gcc", "-Os", "-static", "-DVERSION=local", "-o", path, programs.sources_path() / "pause.c"]
    subprocess.run(command, check=True)


# ---- What builds find ---------------------------------------------------------------------------


def mirrors():
    """Of each part of the release, the mirror that this machine uses, or else Debian's own."""
    shown = told("apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages")
    lines = [line.split() for line in shown.splitlines()]
    found = {line[0]: line[2] for line in reversed(lines) if len(line) == 3 and line[1] == "main"}
    return {release: found.get(release, mirror) for release, mirror in MIRRORS.items()}


def toolchain():
    """The machine's Rust, where there is one."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        return [f"{told('rustc', '--print', 'sysroot').strip()}:{TOOLCHAIN}:ro"]
    return []


def registries(folder):
    """The machine's authorities, how its apt fetches (a proxy, say), and its settings of cargo."""
    # Packages that write there write into a copy that is thrown away.
    volumes = [f"{path}:{path}:O" for path in AUTHORITIES if os.path.isdir(path)]
    fetching = folder / "99host"
    fetching.write_text(told("apt-config", "dump", "Acquire"), encoding="utf-8")
    fetching.chmod(0o644)
    volumes.append(f"{fetching}:/etc/apt/apt.conf.d/99host:ro")
    home = pathlib.Path(os.environ.get("CARGO_HOME") or pathlib.Path.home() / ".cargo")
    volumes += [f"{home / name}:/usr/local/cargo/{name}:ro" for name in ("config.toml", "config") if (home / name).exists()]
    return volumes


def told(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


# ---- Podman and containerd ----------------------------------------------------------------------


def podman(*arguments):
    store = cache() / "containers"
    store.mkdir(parents=True, exist_ok=True)
    places = ["--root", store, "--runroot", "/run/wealth-companion/containers", "--storage-driver", "overlay"]
    return ["env", f"CONTAINERS_CONF={HERE / 'containers.conf'}", "podman", *map(str, (*places, *arguments))]


def podman_run(*arguments):
    done = subprocess.run(podman(*arguments), capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"podman {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def inspect(name, what):
    """What podman tells of an image; empty when there is none."""
    done = subprocess.run(podman("image", "inspect", "--format", what, name), capture_output=True, text=True, check=False)
    return done.stdout.strip()


def ctr(*arguments, stdin=subprocess.DEVNULL):
    command = ["ctr", "--address", node.SOCKET, "--namespace", "k8s.io", *arguments]
    done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"ctr {' '.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout


def default_log():
    log = node.FOLDER / "logs" / "build.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    return log
