"""The node: where things are, the sandbox they run in, and each process: its command, its files, its certificates.

The sandbox is a process that sleeps. It has a network of its own, out of which no way leads, and mounts of its own;
all others join it there. So nothing of the cluster is seen outside of its folder, two clones do not meet, and when
the last process is gone the kernel takes the network and the mounts away.
"""

import collections
import contextlib
import hashlib
import json
import os
import pathlib
import subprocess

from stack import builds, install
from stack.machine import StackError, environment, is_alive, read_json, spawn, wait_until
from stack.part import ROOT, run

FOLDER = ROOT / ".cluster"
# Tells this clone's cluster from others in the few places that all share.
ID = hashlib.sha256(str(FOLDER).encode()).hexdigest()[:8]
CGROUP = f"wealth-{ID}"
PKI = FOLDER / "pki"
SOCKET = FOLDER / "containerd.sock"
# A socket's path is short, and the kubelet's are 40 characters longer than the folder's.
FOLDER_CHARS_MAX = 60

NODE, NODE_IP = "node1", "198.18.0.1"
PODS, NODE_PODS = "198.18.64.0/18", "198.18.64.0/24"
SERVICES, API_SERVICE, DNS_SERVICE = "198.19.0.0/20", "198.19.0.1", "198.19.0.10"
API = "https://127.0.0.1:6443"
CLIENTS = {
    "admin": "/O=system:masters/CN=admin",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "kubelet": f"/O=system:nodes/CN=system:node:{NODE}",
    "kube-proxy": "/CN=system:kube-proxy",
}
# Programs have these places built in: inside the sandbox they are folders of the cluster's.
FIXED_PLACES = ("/var/lib/kubelet", "/var/lib/cni", "/var/log/containers")
# The kubelet sets these for the whole machine.
TUNABLES = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
            "kernel/keys/root_maxbytes")

Daemon = collections.namedtuple("Daemon", "name command files", defaults=((),))


def program(name):
    """Of the cache, or Debian's."""
    return str(builds.go_path(name)) if name in builds.PROGRAMS else install.find(name)


# ---- The sandbox --------------------------------------------------------------------------------


def cgroup_folders():
    """The cluster's cgroup, which tells what belongs to it: one folder, or one for each kind of resource (version 1).
    First the one that processes join: not that of processors, which it would have to share with its pods."""
    mounts = [line.split() for line in pathlib.Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    found = [mount for mount in mounts if mount[2] in ("cgroup", "cgroup2")]
    found.sort(key=lambda mount: (mount[2] == "cgroup", "cpu" in mount[1]))
    return [pathlib.Path(mount[1], CGROUP) for mount in found]


def remove_cgroup():
    """Whether it is gone; the kernel takes a moment to forget processes that have ended."""
    for folder in cgroup_folders():
        for inner in sorted(folder.glob("**/"), reverse=True):
            with contextlib.suppress(OSError):
                inner.rmdir()
    return not any(folder.exists() for folder in cgroup_folders())


def open_sandbox():
    """Makes the sandbox, with a network that has a default route which leads nowhere."""
    for folder in cgroup_folders():
        # Pods in one, the rest in another: version 2 has processes in leaves alone.
        (folder / "pods").mkdir(parents=True, exist_ok=True)
        (folder / "node").mkdir(exist_ok=True)
    if not (FOLDER / "machine.json").exists():
        remember_machine()
    launch(Daemon("sandbox", ["unshare", "--net", "--mount", "--propagation", "slave", "sleep", "infinity"]), inside=False)
    pid = record("sandbox")["pid"]
    if not wait_until(lambda: pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="utf-8") == "sleep\n", 10):
        raise StackError(f"the sandbox does not start: see {log('sandbox')}")
    binds = []
    for place in FIXED_PLACES:
        mine = FOLDER / place[1:]
        mine.mkdir(parents=True, exist_ok=True)
        pathlib.Path(place).mkdir(parents=True, exist_ok=True)
        binds.append(f"mount --bind '{mine}' {place}")
    subprocess.run(["modprobe", "-q", "br_netfilter"], stderr=subprocess.DEVNULL, check=False)
    script = "\n".join([
        *binds, "mount -t tmpfs tmpfs /run", "ip link set lo up", "ip link add v0 type veth peer name v1", "ip link set v0 up",
        "ip link set v1 up", f"ip addr add {NODE_IP}/24 dev v0", "ip route add default dev v0",
        "echo 1 >/proc/sys/net/ipv4/ip_forward", "echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables",
    ])
    run([*join("--net", "--mount"), "sh", "-ec", script], FOLDER)


def remember_machine():
    """What a cluster changes outside of its folder."""
    tunables = {name: pathlib.Path("/proc/sys", name).read_text(encoding="ascii") for name in TUNABLES}
    made = [place for place in FIXED_PLACES if not os.path.exists(place)]
    (FOLDER / "machine.json").write_text(json.dumps({"tunables": tunables, "made": made}, indent=2), encoding="utf-8")


def restore_machine():
    before = read_json(FOLDER / "machine.json") or {}
    for name, value in before.get("tunables", {}).items():
        with contextlib.suppress(OSError):
            pathlib.Path("/proc/sys", name).write_text(value, encoding="ascii")
    for place in before.get("made", []):
        with contextlib.suppress(OSError):
            os.rmdir(place)


def join(*which):
    """In front of a command that is to run in the sandbox."""
    return ["nsenter", f"--target={record('sandbox')['pid']}", *which]


# ---- Processes ----------------------------------------------------------------------------------


def log(name):
    return FOLDER / "logs" / f"{name}.log"


def record(name):
    return read_json(FOLDER / "run" / f"{name}.json")


def runs(name):
    return is_alive(record(name))


def launch(daemon, inside=True):
    """Starts a process in the cluster's cgroup, and in the sandbox."""
    joining = join("--net", "--mount") if inside else []
    group = cgroup_folders()[0] / "node" / "cgroup.procs"
    command = ["sh", "-ec", 'umask 022; echo $$ >"$0"; exec "$@"', str(group), *joining, *daemon.command]
    facts = {"name": daemon.name, "fingerprint": fingerprint(daemon)}
    spawn(command, FOLDER / "run" / f"{daemon.name}.json", facts, FOLDER, log(daemon.name),
          env=environment(NODE_NAME=NODE, KUBECONFIG=str(kubeconfig("admin"))))


def fingerprint(daemon):
    """Of all that it starts with."""
    digest = hashlib.sha256(json.dumps(daemon.command).encode())
    for file in daemon.files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def daemons():
    """By name, in the order of starting."""
    serving = [f"--service-cluster-ip-range={SERVICES}"]
    etcd = ["http://127.0.0.1:2379", "http://127.0.0.1:2380"]

    def client(name):
        return [f"--{kind}kubeconfig={kubeconfig(name)}" for kind in ("", "authentication-", "authorization-")] + [
            "--bind-address=127.0.0.1", "--leader-elect=false"]

    all_of_them = [
        Daemon("containerd", [program("containerd"), "--config", str(FOLDER / "containerd.toml")],
               (FOLDER / "containerd.toml", FOLDER / "cni" / "pods.conflist")),
        Daemon("etcd", [
            program("etcd"), "--name=e", f"--data-dir={FOLDER / 'etcd'}", f"--listen-client-urls={etcd[0]}",
            f"--advertise-client-urls={etcd[0]}", f"--listen-peer-urls={etcd[1]}", f"--initial-advertise-peer-urls={etcd[1]}",
            f"--initial-cluster=e={etcd[1]}", "--unsafe-no-fsync", "--log-level=warn"]),
        Daemon("apiserver", [
            program("kube-apiserver"), f"--etcd-servers={etcd[0]}", "--bind-address=0.0.0.0", f"--advertise-address={NODE_IP}",
            "--secure-port=6443", "--endpoint-reconciler-type=lease", *serving, "--allow-privileged=true", "--profiling=false",
            f"--client-ca-file={PKI / 'ca.crt'}", *pair("tls-cert-file", "tls-private-key-file", "apiserver"),
            f"--service-account-key-file={PKI / 'accounts.pub'}", f"--service-account-signing-key-file={PKI / 'accounts.key'}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
            *pair("kubelet-client-certificate", "kubelet-client-key", "kubelet-client"),
            f"--kubelet-certificate-authority={PKI / 'ca.crt'}", "--kubelet-preferred-address-types=InternalIP",
            # APIs that pods serve: metrics.
            f"--requestheader-client-ca-file={PKI / 'front-ca.crt'}", "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User", "--enable-aggregator-routing=true",
            *pair("proxy-client-cert-file", "proxy-client-key-file", "front-client")]),
        Daemon("controller-manager", [
            program("kube-controller-manager"), *client("controller-manager"), *serving, "--allocate-node-cidrs=true",
            f"--cluster-cidr={PODS}", f"--root-ca-file={PKI / 'ca.crt'}", "--use-service-account-credentials=true",
            f"--service-account-private-key-file={PKI / 'accounts.key'}",
            *pair("cluster-signing-cert-file", "cluster-signing-key-file", "ca"),
            f"--requestheader-client-ca-file={PKI / 'front-ca.crt'}"]),
        Daemon("scheduler", [program("kube-scheduler"), *client("scheduler")]),
        Daemon("kubelet", [
            program("kubelet"), f"--config={FOLDER / 'kubelet.json'}", f"--kubeconfig={kubeconfig('kubelet')}",
            f"--root-dir={FOLDER / 'kubelet'}", f"--cert-dir={PKI}", f"--hostname-override={NODE}", f"--node-ip={NODE_IP}"],
            (FOLDER / "kubelet.json",)),
        Daemon("kube-proxy", [program("kube-proxy"), f"--config={FOLDER / 'kube-proxy.json'}"], (FOLDER / "kube-proxy.json",)),
        # Of all that it can do, only what enforces a NetworkPolicy.
        Daemon("kube-router", [
            program("kube-router"), f"--kubeconfig={kubeconfig('admin')}", f"--hostname-override={NODE}", *serving,
            "--run-router=false", "--run-service-proxy=false", "--run-firewall=true", "--health-port=20244",
            "--iptables-sync-period=10s"]),
    ]
    return {daemon.name: daemon for daemon in all_of_them}


def pair(certificate, key, name):
    return [f"--{certificate}={PKI / name}.crt", f"--{key}={PKI / name}.key"]


# ---- Files --------------------------------------------------------------------------------------


def write_files():
    """The files of all processes; one that is as it was is not touched, since some take a change for a reason to end."""
    for name in ("cni", "run", "logs", "kubelet", "etcd"):
        (FOLDER / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    # Programs in pods run under other accounts, and some of these folders are theirs.
    FOLDER.chmod(0o755)
    write_certificates()
    for name in CLIENTS:
        write(kubeconfig(name), as_json({
            "apiVersion": "v1", "kind": "Config", "current-context": "local",
            "clusters": [{"name": "local", "cluster": {"server": API, "certificate-authority": str(PKI / "ca.crt")}}],
            "users": [{"name": name, "user": {"client-certificate": f"{PKI / name}.crt", "client-key": f"{PKI / name}.key"}}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": name}}],
        }))
    write(FOLDER / "containerd.toml", CONTAINERD.format(folder=FOLDER, socket=SOCKET, cni=cni_programs()))
    write(FOLDER / "cni" / "pods.conflist", as_json({
        "cniVersion": "0.4.0", "name": "pods", "plugins": [
            {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True,
             "ipam": {"type": "host-local", "ranges": [[{"subnet": NODE_PODS}]], "routes": [{"dst": "0.0.0.0/0"}]}},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ]}))
    write(FOLDER / "resolv.conf", "")
    write(FOLDER / "kubelet.json", as_json({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        # Machines with cgroups of version 1, with swap, and those that may not change how the kernel chooses what to kill.
        "failCgroupV1": False, "failSwapOn": False, "oomScoreAdj": 0,
        "cgroupDriver": "cgroupfs", "cgroupRoot": f"/{CGROUP}/pods", "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True},
                           "x509": {"clientCAFile": str(PKI / "ca.crt")}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(PKI / "kubelet.crt"), "tlsPrivateKeyFile": str(PKI / "kubelet.key"),
        "clusterDNS": [DNS_SERVICE], "clusterDomain": "cluster.local", "resolvConf": str(FOLDER / "resolv.conf"),
        "address": NODE_IP, "healthzBindAddress": "127.0.0.1", "podLogsDir": str(FOLDER / "pod-logs"),
        # The disk is the developer's: nothing is thrown away, nobody is evicted before it is really full.
        "imageGCHighThresholdPercent": 100, "nodeStatusUpdateFrequency": "5s",
        # How long a changed ConfigMap or Secret takes to be seen in a pod: Dapr starts with one that is empty at first.
        "syncFrequency": "5s",
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1%", "imagefs.available": "1%",
                         "nodefs.inodesFree": "1%"},
    }))
    write(FOLDER / "kube-proxy.json", as_json({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "nftables",
        "clientConnection": {"kubeconfig": str(kubeconfig("kube-proxy"))}, "clusterCIDR": PODS, "hostnameOverride": NODE,
        "healthzBindAddress": "127.0.0.1:10256", "metricsBindAddress": "127.0.0.1:10249",
        # These can be set in the machine's first network alone.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }))


def kubeconfig(name):
    return FOLDER / f"{name}.kubeconfig"


def cni_programs():
    """Where Debian has the programs that connect pods to the network."""
    command = ["dpkg-query", "-L", "containernetworking-plugins"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return next(pathlib.Path(file).parent for file in listed if file.endswith("/host-local"))


def as_json(value):
    return json.dumps(value, indent=2) + "\n"


def write(path, text):
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)


def write_certificates():
    PKI.mkdir(mode=0o700, exist_ok=True)
    for name in ("ca", "front-ca"):
        certificate(name, f"/CN={name}", ["keyUsage=critical,keyCertSign,cRLSign,digitalSignature"])
    names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    signed("apiserver", "/CN=kube-apiserver", names, ["127.0.0.1", NODE_IP, API_SERVICE])
    signed("kubelet-client", "/O=system:masters/CN=kubelet-client")
    signed("front-client", "/CN=front-proxy-client", ca="front-ca")
    for name, subject in CLIENTS.items():
        signed(name, subject, *(([NODE], [NODE_IP]) if name == "kubelet" else ()))
    if not (PKI / "accounts.pub").exists():
        openssl("genrsa", "-out", PKI / "accounts.key", "2048")
        openssl("rsa", "-in", PKI / "accounts.key", "-pubout", "-out", PKI / "accounts.pub")


def signed(name, subject, names=(), addresses=(), ca="ca"):
    extensions = ["keyUsage=critical,digitalSignature,keyEncipherment", "extendedKeyUsage=serverAuth,clientAuth",
                  "basicConstraints=critical,CA:FALSE"]
    if names:
        known = [f"DNS:{known}" for known in names] + [f"IP:{address}" for address in addresses]
        extensions.append(f"subjectAltName={','.join(known)}")
    certificate(name, subject, extensions, ["-CA", PKI / f"{ca}.crt", "-CAkey", PKI / f"{ca}.key"])


def certificate(name, subject, extensions, by=()):
    if not (PKI / f"{name}.crt").exists():
        added = [word for extension in extensions for word in ("-addext", extension)]
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "365", *by,
                "-keyout", PKI / f"{name}.key", "-out", PKI / f"{name}.crt", "-subj", subject, *added)


def openssl(*arguments):
    run(["openssl", *map(str, arguments)], FOLDER)


CONTAINERD = """\
version = 2
root = "{folder}/containerd"
state = "/run/containerd"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:local"
  # Without the right to lower it (CAP_SYS_RESOURCE) a pod would not start.
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""
