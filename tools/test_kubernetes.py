#!/usr/bin/env python3
"""Installs, upgrades, rolls back and breaks the product on a real Kubernetes, with people using it meanwhile.

A cluster of one node (tools/kubernetes.py), our image from our Dockerfile, sidecars that Dapr injects, PostgreSQL, Redis and
Kafka as pods, in a namespace that enforces `restricted`. What must hold is said by each step; the figures are printed.

    make test-kubernetes                       # everything, from nothing: half an hour the first time, ten minutes later
    make test-kubernetes ARGS="--keep"         # and leave it running, to look around: tools/kubernetes.py run -- kubectl ...

Needs root, Linux (Debian 12 or newer), Go, and what tools/kubernetes.py installs. Exit code: 0 all of it holds, 1 something
does not, 2 it could not be tested.
"""

import argparse
import base64
import contextlib
import json
import pathlib
import secrets
import subprocess
import sys
import tempfile
import time

# The clone stays as it is: compiled modules would be left in it.
sys.dont_write_bytecode = True

from kubernetes import cluster, images, programs  # noqa: E402
from manifests import documents  # noqa: E402
from stack.machine import StackError, interrupt_on_signals, say  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHART = ROOT / "helm" / "wealth-companion"
NAMESPACE = "wealth-companion"
ROLES = ("api", "projector", "notifier")
IMAGE = "localhost/wealth-companion"
IMAGE_MB_MAX = 40
ROLLBACK_SECS_MAX = 120
BACK_SECS_MAX = 30
READY_SECS = 240
# Of what the pods request: more than they take at rest, less than under load.
SCALE_PERCENT = 30


class Broken(Exception):
    """Something does not hold."""


def must(holds, what):
    if not holds:
        raise Broken(what)


def kubectl(*arguments, given=""):
    return cluster.kubectl("--namespace", NAMESPACE, *arguments, given=given)


def get(*what):
    return json.loads(kubectl("get", *what, "--output=json"))


def wait_for(what, question, seconds=READY_SECS):
    """Until the question has an answer; gives it, and how long that took."""
    begun = time.monotonic()
    while True:
        if answer := question():
            return answer, time.monotonic() - begun
        if time.monotonic() - begun > seconds:
            raise Broken(f"{what}: not after {seconds} s")
        time.sleep(0.5)


def pods(role=None):
    """Those that are not on their way out."""
    chosen = "app.kubernetes.io/name=wealth-companion" + (f",app.kubernetes.io/component={role}" if role else "")
    found = get("pods", "--selector", chosen)["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def is_ready(pod):
    return any(it["type"] == "Ready" and it["status"] == "True" for it in pod.get("status", {}).get("conditions", []))


# ---- The release ------------------------------------------------------------------------------------------------


def helm(*arguments, fails=False, seconds=600):
    """Gives what it said and how long it took."""
    begun = time.monotonic()
    done = subprocess.run(cluster.command(["helm", "--namespace", NAMESPACE, *arguments]), capture_output=True, text=True,
                          timeout=seconds, check=False)
    if (done.returncode != 0) != fails:
        raise Broken(f"helm {' '.join(map(str, arguments))} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout + done.stderr, time.monotonic() - begun


def values(tag, **more):
    given = {"image.repository": IMAGE, "image.tag": tag, "image.pullPolicy": "Never", "config.traces.exporter": "none",
             # All visitors come from one address.
             "config.limits.sign_in_per_minute": "0", "config.limits.requests_per_minute": "0",
             "config.database.write_connections_max": "4", "config.database.read_connections_max": "2",
             "config.kafka.partitions": "3", "config.kafka.replication": "1", "config.kafka.min_insync": "1",
             # Two cores for everything.
             **{f"roles.{role}.autoscaling.{bound}": most for role in ROLES for bound, most in (("min", "2"), ("max", "3"))},
             **{f"roles.{role}.resources.requests.cpu": "20m" for role in ROLES},
             "dapr.resources.requests.cpu": "20m", **more}
    return [part for name, value in given.items() for part in ("--set-string" if name == "image.tag" else "--set", f"{name}={value}")]


def upgrade(tag, *arguments, fails=False, **more):
    return helm("upgrade", "--install", "wealth-companion", CHART, *values(tag, **more), *arguments, fails=fails)


# ---- Steps ------------------------------------------------------------------------------------------------------


def make_images(facts):
    """Ours, by our Dockerfile; another version of it; and the parts."""
    log = images.default_log()
    images.rust(log)
    begun = time.monotonic()
    images.build(f"{IMAGE}:one", ROOT / "Dockerfile", ROOT, {"VERSION": "one"}, network=True, log=log)
    facts["image_build_s"] = round(time.monotonic() - begun)
    facts["image_mb"] = round(int(images.inspect(f"{IMAGE}:one", "{{.Size}}")) / 1e6, 1)
    must(facts["image_mb"] < IMAGE_MB_MAX, f"the image has {facts['image_mb']} MB, {IMAGE_MB_MAX} are allowed")
    must(images.inspect(f"{IMAGE}:one", "{{.User}}") == "65532:65532", "the image runs as another user")
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "Dockerfile")
        file.write_text(f"FROM {IMAGE}:one\nLABEL org.opencontainers.image.version=two\n", encoding="utf-8")
        images.build(f"{IMAGE}:two", file, log=log)
    images.stack(log)
    images.load(f"{IMAGE}:one", f"{IMAGE}:two", images.STACK)


def make_parts(facts):
    """A namespace that enforces `restricted`; the Secrets; PostgreSQL, Redis, Kafka with the topics and the rights of
    strimzi/; Dapr's components as they are."""
    cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait")
    cluster.kubectl("create", "namespace", NAMESPACE)
    cluster.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    begun = time.monotonic()
    make_secrets()
    kubectl("apply", "--filename", programs.HERE / "parts.yaml")
    for part in ("postgres", "redis", "kafka"):
        kubectl("rollout", "status", f"deployment/{part}", f"--timeout={READY_SECS}s")
    allow_in_kafka()
    operate("topics", ["events", "topics", "apply", "--yes"])
    kubectl("apply", "--kustomize", ROOT / "dapr")
    facts["parts_ready_s"] = round(time.monotonic() - begun)


def make_secrets():
    password = secrets.token_hex(24)
    with tempfile.TemporaryDirectory() as folder:
        certificates(pathlib.Path(folder))
        read = {name: pathlib.Path(folder, name).read_text(encoding="ascii") for name in ("ca.crt", "server.pem")}
    given = {
        "parts": {"password": password},
        "wealth-companion": {"DATABASE_URL": f"postgres://wealth:{password}@postgres:5432/postgres?sslmode=disable",
                             "JWT_SECRET_KEY": f"one:{secrets.token_hex(32)}", "REDIS_URL": f"redis://:{password}@redis:6379"},
        "wealth-companion-redis": {"host": "redis:6379", "password": password, "tls": "false"},
        "wealth-companion-kafka": {"password": password},
        "kafka-cluster-cluster-ca-cert": {"ca.crt": read["ca.crt"]},
        "kafka-server": {"server.pem": read["server.pem"]},
    }
    for name, data in given.items():
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        made = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}
        kubectl("apply", "--filename", "-", given=json.dumps(made))


def certificates(folder):
    """An authority, and a server that it knows."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    for command in (
        ["req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=tests"],
        ["req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=kafka",
         "-addext", "subjectAltName=DNS:kafka-cluster-kafka-bootstrap"],
        ["x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-copy_extensions", "copy",
         "-days", "30", "-out", "server.crt"],
    ):
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)
    both = [(folder / name).read_text(encoding="ascii") for name in ("server.key", "server.crt")]
    (folder / "server.pem").write_text("".join(both), encoding="ascii")


def allow_in_kafka():
    """What strimzi/base/users.yaml allows, and no more."""
    rendered = cluster.tell(["kubectl", "kustomize", ROOT / "strimzi" / "overlays" / "dev"])
    user = next(it for it in documents(rendered) if it["kind"] == "KafkaUser")
    for rule in user["spec"]["authorization"]["acls"]:
        resource = rule["resource"]
        command = ["java", "-Xmx64m", "-cp", "/opt/kafka/libs/*", "org.apache.kafka.tools.AclCommand", "--bootstrap-server",
                   "localhost:9092", "--add", "--allow-principal", f"User:{user['metadata']['name']}", f"--{resource['type']}",
                   resource["name"], "--resource-pattern-type", {"prefix": "prefixed", "literal": "literal"}[resource["patternType"]]]
        command += [part for operation in rule["operations"] for part in ("--operation", operation)]
        kubectl("exec", "deployment/kafka", "--", *command)


def operate(name, arguments):
    """A command of an operator, in a pod that may go to Kafka's own listener. Gives what it said."""
    settings = {"WEALTH__KAFKA__BROKERS": "kafka-cluster-kafka-bootstrap:9092", "WEALTH__BUS__KIND": "kafka",
                "WEALTH__KAFKA__PARTITIONS": "3", "WEALTH__KAFKA__REPLICATION": "1", "WEALTH__KAFKA__MIN_INSYNC": "1"}
    secret = {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": "wealth-companion", "key": "DATABASE_URL"}}}
    key = {"name": "JWT_SECRET_KEY", "valueFrom": {"secretKeyRef": {"name": "wealth-companion", "key": "JWT_SECRET_KEY"}}}
    container = {
        "name": "operator", "image": f"{IMAGE}:one", "imagePullPolicy": "Never", "args": arguments,
        "env": [secret, key, *({"name": name, "value": value} for name, value in settings.items())],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True},
    }
    context = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    pod = {"restartPolicy": "Never", "automountServiceAccountToken": False, "securityContext": context, "containers": [container]}
    made = {"apiVersion": "v1", "kind": "Pod", "spec": pod,
            "metadata": {"name": f"operator-{name}", "labels": {"app.kubernetes.io/name": "wealth-companion-operator"}}}
    kubectl("delete", "pod", f"operator-{name}", "--ignore-not-found")
    kubectl("apply", "--filename", "-", given=json.dumps(made))
    phase, _ = wait_for(f"`{' '.join(arguments)}`", lambda: over(f"operator-{name}"), 120)
    said = kubectl("logs", f"operator-{name}")
    must(phase == "Succeeded", f"`{' '.join(arguments)}`: {said.strip()[-1500:]}")
    return said


def over(pod):
    phase = get("pod", pod)["status"]["phase"]
    return phase if phase in ("Succeeded", "Failed") else None


def install(facts):
    """From nothing to ready pods; the migrations went before."""
    _, facts["install_s"] = upgrade("one", "--wait", "--timeout", "300s")
    found = pods()
    must(all(is_ready(pod) for pod in found), "not all pods are ready")
    must({len(pod["spec"]["containers"]) + len(pod["spec"]["initContainers"]) for pod in found} == {3}, "a pod has no sidecar")
    must(all("serviceaccount" not in mount["mountPath"] for pod in found for container in pod["spec"]["containers"]
             if container["name"] in ROLES for mount in container["volumeMounts"]), "a role has a token of Kubernetes")


def play_the_story(facts):
    """`helm test`: a household's year, and its alerts on a stream."""
    _, facts["helm_test_s"] = helm("test", "wealth-companion", "--timeout", "300s")


@contextlib.contextmanager
def visitors(facts, name, bookers=8, rate=30, listeners=4):
    """People who use the product meanwhile; afterwards what they have seen must be in order."""
    address = get("service", "wealth-companion-api")["spec"]["clusterIP"] + ":80"
    command = [sys.executable, "-B", programs.HERE / "visitors.py", address, "--bookers", bookers, "--rate", rate,
               "--listeners", listeners]
    process = subprocess.Popen(cluster.command(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        must(process.stdout.readline(), f"{name}: the visitors could not begin")
        # They are at it before it happens, and go on after it.
        time.sleep(3)
        yield
        time.sleep(3)
        process.stdin.close()
        told = json.loads(process.stdout.readline() or "{}")
    finally:
        process.kill()
        process.wait()
    must(told, f"{name}: the visitors ended without a word")
    facts.setdefault("acknowledged", []).extend(told.pop("acknowledged"))
    facts[name] = told
    must(not told["failed"], f"{name}: {len(told['failed'])} of {told['requests']} requests failed: {told['failed'][:5]}")
    must(not told["sent_again"], f"{name}: {told['sent_again']} requests met a connection that was just closed")
    must(told["alerts"] >= told["budgets_broken"] > 0, f"{name}: alerts are missing: {told}")
    must(told["alerts_missed"] == 0, f"{name}: streams lost alerts: {told}")


def tag_of(pod):
    """Of the role, not of its sidecar."""
    return next(it["image"] for it in pod["spec"]["containers"] if it["name"] in ROLES).rpartition(":")[2]


def tags():
    return {tag_of(pod) for pod in pods()}


def upgrade_under_load(facts):
    """No request fails, streams go on where they were; it counts until the last pod of the version before is gone."""
    with visitors(facts, "during the upgrade"):
        _, facts["upgrade_s"] = upgrade("two", "--wait", "--timeout", "300s")
        wait_for("pods of the version before go", lambda: old_are_gone("two"))
    must(tags() == {"two"}, f"these run: {tags()}")


def old_are_gone(tag):
    found = get("pods", "--selector", "app.kubernetes.io/name=wealth-companion")["items"]
    return all(f":{tag}" in container["image"] for pod in found for container in pod["spec"]["containers"] if container["name"] in ROLES)


def roll_back_under_load(facts):
    """In less than two minutes, and no request fails."""
    with visitors(facts, "during the rollback"):
        _, facts["rollback_s"] = helm("rollback", "wealth-companion", "--wait", "--timeout", "300s")
        wait_for("pods of the version before go", lambda: old_are_gone("one"))
    must(facts["rollback_s"] < ROLLBACK_SECS_MAX, f"the rollback took {facts['rollback_s']:.0f} s")
    must(tags() == {"one"}, f"these run: {tags()}")


def refuse_a_bad_release(facts):
    """Wrong settings, of which the migration tells; the same without migrations, of which the pods' first step tells; and one
    that never gets ready: `--atomic` goes back, and nobody notices."""
    bad = {"wrong settings": {"config.http.workers": "99"},
           "wrong settings, no migration": {"config.http.workers": "99", "migrate.enabled": "false"},
           "never ready": {"config.dapr.secretstore": "nowhere"}}
    with visitors(facts, "during bad releases"):
        for name, more in bad.items():
            said, took = upgrade("two", "--atomic", "--timeout", "45s", fails=True, **more)
            must("has been rolled back" in said, f"{name}: {said.strip()[-1500:]}")
            facts[f"{name}, back after"] = round(took, 1)
            wait_for("pods of the bad release go", lambda: old_are_gone("one"))
    must(tags() == {"one"}, f"these run: {tags()}")
    history = json.loads(helm("history", "wealth-companion", "--output", "json")[0])
    must([it["status"] for it in history if it["status"] == "deployed"] == ["deployed"], f"the history: {history}")


def kill_pods(facts):
    """One of each role is killed, without a word: another is there soon, and nothing is lost."""
    facts["back after a kill, s"] = {}
    with visitors(facts, "while pods are killed"):
        for role in ("projector", "notifier"):
            before = {pod["metadata"]["name"] for pod in pods(role)}
            kubectl("delete", "pod", sorted(before)[0], "--grace-period=0", "--force")
            _, took = wait_for(f"{role} is back", lambda: len([pod for pod in pods(role) if is_ready(pod)]) == len(before), 120)
            facts["back after a kill, s"][role] = round(took, 1)
    # Who kills the api cuts what is being answered: this one has nobody waiting.
    before = {pod["metadata"]["name"] for pod in pods("api")}
    kubectl("delete", "pod", sorted(before)[0], "--grace-period=0", "--force")
    _, took = wait_for("api is back", lambda: len([pod for pod in pods("api") if is_ready(pod)]) == len(before), 120)
    facts["back after a kill, s"]["api"] = round(took, 1)
    late = {role: secs for role, secs in facts["back after a kill, s"].items() if secs > BACK_SECS_MAX}
    must(not late, f"too late: {late}")


def scale_by_metrics(facts):
    """The autoscaler sees what the pods use: at rest it wants two of the api, under load three. An upgrade and a rollback
    leave it at that."""
    # No more than three, however fast the machine is and however much comes.
    more = {"autoscaling.cpuPercent": SCALE_PERCENT, "roles.api.resources.requests.cpu": "100m", "roles.api.autoscaling.max": 3}
    upgrade("one", "--wait", "--timeout", "300s", **more)
    facts["at rest, % of requests"], _ = wait_for("the api rests", lambda: utilization() if utilization() < SCALE_PERCENT else None, 180)
    wait_for("there are two again", lambda: len(pods("api")) == 2, 420)
    with visitors(facts, "while it scales", bookers=16, rate=150, listeners=1):
        _, took = wait_for("the api grows", lambda: len(pods("api")) > 2, 180)
        for change in (lambda: upgrade("two", "--wait", "--timeout", "300s", **more),
                       lambda: helm("rollback", "wealth-companion", "--wait", "--timeout", "300s")):
            change()
            wanted = get("deployment", "wealth-companion-api")["spec"]["replicas"]
            must(wanted == 3, f"{wanted} of the api are wanted after a release that came while there were three")
    facts["third api pod after, s"], facts["under load, % of requests"] = round(took, 1), utilization()


def utilization():
    """Of the pods of the api, as the autoscaler sees it: percent of what they request."""
    metrics = get("hpa", "wealth-companion-api")["status"].get("currentMetrics") or []
    return next((it["resource"]["current"].get("averageUtilization", 0) for it in metrics if it["type"] == "Resource"), 1_000)


def let_nobody_in(facts):
    """A stranger's pod reaches the API, and nothing else of ours."""
    address = pods("projector")[0]["status"]["podIP"]
    shell = "\n".join(f"if timeout 3 bash -c '</dev/tcp/{host}/{port}' 2>/dev/null; then echo {port} open; else echo {port} closed; fi"
                      for host, port in (("wealth-companion-api", 80), (address, 9090), (address, 3500), (address, 50002)))
    said = kubectl("exec", "deployment/postgres", "--", "bash", "-c", shell)
    facts["a stranger finds"] = dict(line.split() for line in said.split("\n") if line)
    must(facts["a stranger finds"] == {"80": "open", "9090": "closed", "3500": "closed", "50002": "closed"},
         f"a stranger finds {facts['a stranger finds']}")


def count_everything(facts):
    """What was acknowledged is there, sums agree with the books, and Kafka's consumers are through."""
    lost = set(facts["acknowledged"]) - set(sql("SELECT id FROM transactions").split())
    facts["acknowledged"], facts["lost"] = len(facts["acknowledged"]), len(lost)
    must(not lost, f"{len(lost)} acknowledged bookings are not there, {sorted(lost)[:3]} for example")
    wait_for("the books agree", books_agree, 120)
    facts["lag"] = operate("lag", ["events", "lag"]).strip().splitlines()[-1]
    must(facts["lag"].startswith("0 events behind"), f"consumers: {facts['lag']}")
    letters = sql("SELECT count(*) FROM dead_letters").strip()
    must(letters == "0", f"{letters} dead letters")


def sql(text):
    return kubectl("exec", "deployment/postgres", "--", "psql", "--host=localhost", "--username=wealth", "--dbname=postgres",
                   "--tuples-only", "--no-align", f"--command={text}")


def books_agree():
    with contextlib.suppress(Broken):
        return operate("verify", ["verify"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave the cluster and the release running")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--only", help="steps by name, with commas between; make_images,make_parts,install come first")
    args = parser.parse_args()
    interrupt_on_signals()
    steps = [make_images, make_parts, install, play_the_story, upgrade_under_load, roll_back_under_load, refuse_a_bad_release,
             kill_pods, scale_by_metrics, let_nobody_in, count_everything]
    if args.only:
        steps = [step for step in steps if step.__name__ in args.only.split(",")]
    facts, code = {}, 0
    try:
        cluster.up()
        for step in steps:
            begun = time.monotonic()
            say(f"{step.__name__.replace('_', ' ')}: {' '.join(step.__doc__.split())}")
            step(facts)
            say(f"  holds, after {time.monotonic() - begun:.0f} s")
    except Broken as broken:
        say(f"  DOES NOT HOLD: {broken}")
        code = 1
        tell_state()
    except StackError as error:
        say(f"test_kubernetes: {error}")
        code = 2
    finally:
        if not args.keep:
            cluster.down()
    if isinstance(facts.get("acknowledged"), list):
        facts["acknowledged"] = len(facts["acknowledged"])
    if args.json:
        print(json.dumps(facts, indent=2))
    else:
        for name, value in facts.items():
            print(f"{name}: {round(value, 1) if isinstance(value, float) else value}")
    return code


def tell_state():
    """What one would look at first."""
    with contextlib.suppress(StackError, subprocess.TimeoutExpired):
        say(kubectl("get", "pods", "--output=wide"))
        say(kubectl("get", "events", "--sort-by=.lastTimestamp")[-3000:])


if __name__ == "__main__":
    sys.exit(main())
