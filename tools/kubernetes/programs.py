"""The programs of the cluster: built once from Go modules, the rest is Debian's.

Charts and definitions of resources are in these modules as well: they are taken out of them, into the same cache.
"""

import json
import pathlib
import shutil
import subprocess

from stack import builds, install
from stack.builds import GoProgram, cache, key, once
from stack.machine import StackError

HERE = pathlib.Path(__file__).parent
KUBERNETES = "k8s.io/kubernetes"
METRICS_SERVER = "sigs.k8s.io/metrics-server"
DAPR = "github.com/dapr/dapr"
# What `kubectl version` and `helm template` say they are is set when they are linked.
KUBERNETES_FLAGS = [
    flag for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    for flag in ("-X", package + ".gitVersion=v{version}", "-X", package + ".gitMajor=1", "-X", package + ".gitMinor=35",
                 "-X", package + ".gitTreeState=clean")
]
HELM_FLAGS = ["-X", "helm.sh/helm/v3/internal/version.version=v{version}"] + [
    flag for package in ("helm.sh/helm/v3/pkg/chartutil", "helm.sh/helm/v3/pkg/lint/rules")
    for flag in ("-X", package + ".k8sVersionMajor=1", "-X", package + ".k8sVersionMinor=35")
]
DAPR_FLAGS = ["-X", DAPR + "/pkg/buildinfo.version={version}"]


def program(folder, module, package, flags, takes):
    return GoProgram(module, package, [], flags, takes, HERE / folder, static=True)


# In this order, so that what takes longest is first.
PROGRAMS = {
    "kube-apiserver": program("kubernetes", KUBERNETES, "/cmd/kube-apiserver", KUBERNETES_FLAGS, "six minutes"),
    **{name: program("kubernetes", KUBERNETES, f"/cmd/{name}", KUBERNETES_FLAGS, "up to two minutes")
       for name in ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")},
    "etcd": program("etcd", "go.etcd.io/etcd/server/v3", "", [], "a minute"),
    "helm": program("helm", "helm.sh/helm/v3", "/cmd/helm", HELM_FLAGS, "two minutes"),
    "metrics-server": program("metrics-server", METRICS_SERVER, "/cmd/metrics-server", [], "three minutes"),
    "coredns": program("coredns", "github.com/coredns/coredns", "", [], "three minutes"),
    "kube-router": program("kube-router", "github.com/cloudnativelabs/kube-router/v2", "/cmd/kube-router", [], "a minute"),
    **{f"dapr-{name}": program("dapr", DAPR, f"/cmd/{name}", DAPR_FLAGS, "two minutes")
       for name in ("operator", "sentry", "injector", "placement")},
}
builds.PROGRAMS.update(PROGRAMS)
# The sidecar itself is the one of the stack.
NAMES = (*PROGRAMS, "daprd")

PACKAGES = ("containerd", "runc", "podman", "containernetworking-plugins", "iptables", "nftables", "conntrack", "ipset", "kmod",
            "debootstrap", "netavark", "gcc", "libc6-dev", "openssl")
# What these packages start is not for us.
SERVICES = ("containerd", "podman", "podman-restart", "podman-auto-update")

# Definitions of what the product's charts use: a folder of YAML files, or of a kustomization.
CRDS = {
    DAPR: "charts/dapr/crds",
    "github.com/prometheus-operator/prometheus-operator": "example/prometheus-operator-crd",
    "sigs.k8s.io/gateway-api": "config/crd",
    "github.com/kedacore/keda/v2": "config/crd",
    "github.com/cert-manager/cert-manager": "deploy/crds",
}


def missing():
    """What `build` has yet to do, in words for people."""
    lacking = [name for name in NAMES if not builds.go_path(name).exists()]
    lacking += [what for what, path in (("Kafka", builds.kafka_path()), ("charts", sources_path())) if not path.exists()]
    return lacking + [f"Debian's {package}" for package in missing_packages()]


def missing_packages():
    if not shutil.which("dpkg-query"):
        raise StackError("this takes Debian 12: there is no dpkg-query")
    command = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *PACKAGES]
    shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return [package for package in PACKAGES if f"{package} installed" not in shown]


def build(log):
    """Installs and builds what is missing, one after the other."""
    log.parent.mkdir(parents=True, exist_ok=True)
    install_packages(log)
    if any(not builds.go_path(name).exists() for name in NAMES) or not sources_path().exists():
        install.require(["go"], log, may_install=False)
    for name in NAMES:
        builds.build_go(name, install.find("go"), log)
    if not builds.kafka_path().exists():
        install.require(["java", "mvn"], log, may_install=True)
        builds.build_kafka(install.find("mvn"), log)
    once(sources_path(), lambda folder: take_sources(folder / "sources"))


def install_packages(log):
    packages = missing_packages()
    if not packages:
        return
    root = install.as_root()
    if root is None:
        raise StackError(f"missing: {' '.join(packages)} (apt-get install {' '.join(packages)})")
    before = [service for service in SERVICES if install.has_service(service)]
    try:
        install.install(packages, root, log)
    finally:
        for service in SERVICES:
            if service not in before and install.has_service(service):
                install.disable(service, root)


# ---- Out of the modules -------------------------------------------------------------------------


def sources_path():
    folders = (HERE / name for name in ("kubernetes", "metrics-server", "dapr", "crds"))
    files = [folder / name for folder in folders for name in ("go.mod", "go.sum")]
    return cache() / "cluster-sources" / key(builds.go_version("kubelet"), *files, HERE / "programs.py") / "sources"


def take_sources(folder):
    """charts/dapr, charts/metrics-server, pause.c, crds.yaml."""
    folder.mkdir()
    for name, path in (("dapr", DAPR), ("metrics-server", METRICS_SERVER)):
        shutil.copytree(module(name, path) / "charts" / name, folder / "charts" / name)
    shutil.copy(module("kubernetes", KUBERNETES) / "build" / "pause" / "linux" / "pause.c", folder)
    found = [module("dapr" if path == DAPR else "crds", path) / inside for path, inside in CRDS.items()]
    texts = [text for inside in found for text in definitions(inside)]
    (folder / "crds.yaml").write_text("\n---\n".join(texts), encoding="utf-8")


def definitions(folder):
    if (folder / "kustomization.yaml").exists():
        command = [builds.go_path("kubectl"), "kustomize", folder]
        return [subprocess.run(command, capture_output=True, text=True, check=True).stdout]
    return [file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.yaml"))]


def module(name, path):
    """Where the module is, in the version that the go.mod of that name says; it is fetched if need be."""
    command = [install.find("go"), "mod", "download", "-json", path]
    shown = subprocess.run(command, cwd=HERE / name, capture_output=True, text=True, check=False)
    if shown.returncode:
        raise StackError(f"`{' '.join(command)}` failed: {shown.stderr.strip() or shown.stdout.strip()}")
    return pathlib.Path(json.loads(shown.stdout)["Dir"])
