#!/usr/bin/env python3
"""Checks helm/observability as far as that goes without a cluster and without the charts.

- Everything is YAML; kustomize puts it together, and all of it is in one namespace.
- Rules are what promtool wants, Alertmanager's configuration what amtool wants; pages and tickets get where they should.
- Series get the jobs and roles by which dashboards choose them, lines of the log the labels; found out by applying
  the relabelling rules to pods as they will be.
- Data sources lead to services that exist; metrics, lines and spans are kept equally long.
- The real Jaeger runs with the configuration, keeps a span over a restart, and tells Prometheus of itself.

Needs PyYAML, kubectl, promtool and amtool (apt-get install python3-yaml prometheus prometheus-alertmanager), and Jaeger, as
`make observe` builds it. With --schemas, a folder with JSON Schemas of the operators' resources
(KIND-GROUP-VERSION.json), objects are checked against these as well. Exit code: 0 all is well, 1 something is
not, 2 it could not be checked.
"""

import argparse
import contextlib
import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

# The clone stays as it is: compiled modules would be left in it.
sys.dont_write_bytecode = True

import check_dashboards  # noqa: E402
import dashboards  # noqa: E402
import manifests  # noqa: E402
import rules  # noqa: E402
from stack import builds  # noqa: E402
from stack.machine import StackError  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
HERE = ROOT / "helm" / "observability"
NAMESPACE = "observability"
WAIT_SECS = 30
DAYS = 15


class CannotCheck(Exception):
    """Something that a check needs is missing."""


def needed(program, package):
    found = shutil.which(program)
    if not found:
        raise CannotCheck(f"missing: {program} (apt-get install {package})")
    return found


def documents(path):
    return manifests.documents(path.read_text(encoding="utf-8"))


def values(chart):
    return documents(HERE / f"{chart}.values.yaml")[0]


def said_by(command, **more):
    """What a program says, and whether it was content."""
    shown = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more)
    return shown.stdout.strip(), shown.returncode == 0


# ---- Objects ----------------------------------------------------------------------------------------------------


def objects():
    command = [needed("kubectl", "kubectl, or from kubernetes.io"), "kustomize", "--load-restrictor", "LoadRestrictionsNone",
               str(HERE)]
    shown = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if shown.returncode:
        raise CannotCheck(f"kustomize: {shown.stderr.strip()}")
    return manifests.documents(shown.stdout)


def check_objects():
    names = set()
    for it in objects():
        name = (it["kind"], it["metadata"]["name"])
        if name in names:
            yield f"{name} is there twice"
        names.add(name)
        if it["metadata"].get("namespace") != NAMESPACE:
            yield f"{name} is not in the namespace {NAMESPACE}"
        if name == ("ConfigMap", "wealth-companion-dashboards"):
            wanted = {path.name: path.read_text(encoding="utf-8") for path in dashboards.FOLDER.glob("*.json")}
            if it["data"] != wanted:
                yield "kustomization.yaml does not have all dashboards"
    if rules.WRAPPED.read_text(encoding="utf-8") != rules.wrapped():
        yield "rules.yaml is stale: run tools/rules.py"


def check_schemas(folder):
    try:
        import jsonschema
    except ImportError as missing:
        raise CannotCheck("missing: jsonschema (apt-get install python3-jsonschema)") from missing
    found = [*objects(), *(it for path in sorted((ROOT / "dapr").glob("*.yaml")) for it in documents(path))]
    checked = 0
    for it in found:
        group, _, version = it["apiVersion"].rpartition("/")
        path = folder / f"{it['kind']}-{group}-{version}.json".lower()
        if path.exists():
            checked += 1
            schema = json.loads(path.read_text(encoding="utf-8"))
            for error in jsonschema.Draft7Validator(schema).iter_errors(it):
                yield f"{it['kind']} {it['metadata']['name']}: {error.json_path}: {error.message}"
    print(f"  {checked} of {len(found)} objects have a schema")


# ---- Rules and alerts -------------------------------------------------------------------------------------------


def check_rules():
    promtool = needed("promtool", "prometheus")
    for it in objects():
        if it["kind"] == "PrometheusRule":
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                json.dump(it["spec"], file)
                file.flush()
                said, well = said_by([promtool, "check", "rules", file.name])
            if not well:
                yield f"{it['metadata']['name']}: {said}"
            for rule in (rule for group in it["spec"]["groups"] for rule in group["rules"] if "alert" in rule):
                if rule["labels"]["severity"] not in ("page", "ticket"):
                    yield f"{rule['alert']}: severity {rule['labels']['severity']}"


# Labels of an alert, and where it goes.
ROUTES = (
    ({"alertname": "EventsNotPublished", "severity": "page"}, "page"),
    ({"alertname": "ConsumerBehind", "severity": "ticket"}, "ticket"),
    ({"alertname": "KubePersistentVolumeFillingUp", "severity": "critical"}, "page"),
    ({"alertname": "KubePodCrashLooping", "severity": "warning"}, "ticket"),
    ({"alertname": "CPUThrottlingHigh", "severity": "info"}, "null"),
    ({"alertname": "InfoInhibitor", "severity": "none"}, "null"),
    ({"alertname": "Watchdog", "severity": "none"}, "heartbeat"),
    ({"alertname": "WithoutSeverity"}, "ticket"),
)


def check_alertmanager():
    amtool = needed("amtool", "prometheus-alertmanager")
    spec = values("kube-prometheus-stack")["alertmanager"]
    text = json.dumps(spec["config"])
    for secret in re.findall(r'_file": "([^"]+)"', text):
        if pathlib.PurePosixPath(secret).parent.name not in spec["alertmanagerSpec"]["secrets"]:
            yield f"{secret} is in no Secret that is mounted"
        elif f"--from-literal={pathlib.PurePosixPath(secret).name}=" not in (HERE / "README.md").read_text(encoding="utf-8"):
            yield f"README.md does not put {pathlib.PurePosixPath(secret).name} into the Secret"
    version = re.search(r"version (\d+)\.(\d+)", said_by([amtool, "--version"])[0])
    if (int(version[1]), int(version[2])) < (0, 26):
        # It does not know url_file of webhooks yet.
        text = re.sub(r'"url_file": "[^"]+"', '"url": "http://127.0.0.1:1/"', text)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        said, well = said_by([amtool, "check-config", file.name])
        if not well:
            yield f"alertmanager: {said}"
            return
        for labels, receiver in ROUTES:
            said, _ = said_by([amtool, "config", "routes", "test", f"--config.file={file.name}",
                               *(f"{name}={value}" for name, value in labels.items())])
            # Before the answer there may be a warning.
            if said.splitlines()[-1:] != [receiver]:
                yield f"an alert with {labels} goes to {said}, not to {receiver}"


# ---- Labels -----------------------------------------------------------------------------------------------------


def relabelled(labels, steps):
    """What Prometheus makes of labels by its relabelling rules; of the actions only those that are used here."""
    labels = dict(labels)
    for step in steps:
        value = step.get("separator", ";").join(labels.get(it, "") for it in step.get("sourceLabels", ()))
        action = step.get("action", "replace")
        match = re.fullmatch(step.get("regex", "(.*)"), value)
        if action == "replace" and match:
            labels[step["targetLabel"]] = match.expand(step.get("replacement", "$1").replace("$", "\\"))
        elif action == "lowercase":
            labels[step["targetLabel"]] = value.lower()
        elif action == "labeldrop":
            labels = {name: it for name, it in labels.items() if not re.fullmatch(step["regex"], name)}
        elif action == "drop" and match:
            return None
        elif action not in ("replace", "drop"):
            raise CannotCheck(f"the action {action} of a relabelling rule is not known here")
        labels = {name: it for name, it in labels.items() if it}
    return labels


def pod(name, container, namespace="production", **labels):
    """What Prometheus and Alloy know of a container."""
    meta = {f"label_{re.sub('[^a-zA-Z0-9]', '_', label)}": value for label, value in labels.items()}
    meta.update(name=name, uid="0-1", container_name=container)
    return {"__meta_kubernetes_namespace": namespace, "__address__": "10.0.0.1:9090",
            **{f"__meta_kubernetes_pod_{it}": value for it, value in meta.items()}}


def ours(role, container="wealth-companion"):
    return pod(f"wealth-companion-{role}-0", container,
               **{"app.kubernetes.io/name": "wealth-companion", "app.kubernetes.io/component": role})


def strimzi(kind, name):
    return pod(f"kafka-cluster-{kind}-0", "kafka", **{
        "app.kubernetes.io/name": name, "strimzi.io/kind": "Kafka", "strimzi.io/component-type": kind})


def check_monitors():
    """Who is found by the monitors, and as what."""
    found = set()
    targets = [(ours(role, container), port) for role in ("api", "projector", "notifier")
               for container, port in (("wealth-companion", "internal"), ("daprd", "dapr-metrics"))]
    targets += [(strimzi(kind, kind), "tcp-prometheus") for kind in ("kafka", "kafka-exporter")]
    monitors = [it["spec"] for it in objects() if it["kind"] == "PodMonitor"]
    for target, port in targets:
        seen = 0
        for monitor in monitors:
            wanted = {f"__meta_kubernetes_pod_label_{re.sub('[^a-zA-Z0-9]', '_', name)}": value
                      for name, value in monitor["selector"]["matchLabels"].items()}
            for endpoint in monitor["podMetricsEndpoints"]:
                if wanted.items() <= target.items() and endpoint["port"] == port:
                    labels = relabelled({**target, "job": "by default"}, endpoint["relabelings"])
                    found.add((labels["job"], labels.get("role")))
                    seen += 1
        if seen != 1:
            yield f"{target['__meta_kubernetes_pod_name']}, port {port}: found {seen} times"
    wanted = {(job, role) for job in ("wealth-companion", "dapr-sidecar") for role in ("api", "projector", "notifier")}
    wanted |= {("kafka", None), ("kafka-exporter", None)}
    if found != wanted:
        yield f"series have other jobs or roles than expected: {sorted(map(str, found ^ wanted))}"
    jobs = set(re.findall(r'job="([^"]+)"', " ".join(dashboards.SELECTORS.values())))
    if jobs != {job for job, _ in wanted}:
        yield f"the dashboards have other jobs: {sorted(jobs)}"


# A component of Alloy: its kind, its name and what is in it, indented.
COMPONENT = re.compile(r'^([a-z_.]+)(?: "(\w+)")? \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
CAMEL = {"source_labels": "sourceLabels", "target_label": "targetLabel"}


def alloy_rules(body):
    """The relabelling rules of a component, as those of Prometheus' operator are written."""
    steps = []
    for text in re.findall(r"^  rule \{\n(.*?)^  \}", body, re.MULTILINE | re.DOTALL):
        pairs = re.findall(r'(\w+)\s*=\s*("(?:[^"\\]|\\.)*"|\[.*?\])', text, re.DOTALL)
        steps.append({CAMEL.get(name, name): json.loads(re.sub(r",\s*\]", "]", value)) for name, value in pairs})
    return steps


# What a container is, and the labels of its lines.
LINES = (
    (ours("api"), {"service": "wealth-companion", "role": "api", "namespace": "production"}),
    (ours("api", "daprd"), {"service": "dapr-sidecar", "role": "api", "namespace": "production"}),
    (strimzi("kafka", "kafka"), {"service": "kafka", "namespace": "production"}),
    (pod("dapr-operator-0", "dapr-operator", "dapr-system", app="dapr-operator"),
     {"service": "dapr-operator", "namespace": "dapr-system"}),
    (pod("alone", "program"), {"service": "program", "namespace": "production"}),
)
LEVELS = {"INFO": "info", "Warning": "warn", "error": "error", "17": None, "": None}


def check_alloy():
    text = values("alloy")["alloy"]["configMap"]["content"] + "\n"
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "config.alloy"
        file.write_text(text, encoding="utf-8")
        dashlint = check_dashboards.build_go(file.with_name("log")) / "dashlint"
        yield from check_dashboards.output_of([dashlint, file])["problems"]
    if "{{" in text:
        yield "alloy: two opening braces, which the chart takes for its own"
    parts = {f"{kind}.{name}" if name else kind: body for kind, name, body in COMPONENT.findall(text)}
    if re.sub(r"//.*", "", COMPONENT.sub("", text)).strip():
        yield "alloy: there is something outside of the components"
    used = set(re.findall(r"\b((?:discovery|local|loki)\.[a-z_.]+?\.\w+)\.(?:targets|output|receiver)\b", text))
    if used - set(parts):
        yield f"alloy: {sorted(used - set(parts))} are used and not there"
    if set(parts) - used - {"logging", "loki.source.file.pods"}:
        yield f"alloy: {sorted(set(parts) - used)} lead nowhere"
    kept = set(json.loads("[" + re.search(r"stage\.label_keep \{\s*values = \[(.*?)\]", text, re.DOTALL)[1] + "]"))
    wanted = set(re.findall(r"(\w+)=", dashboards.SELECTORS["<logs>"])) | {"level"}
    if kept != wanted:
        yield f"alloy: lines have the labels {sorted(kept)}, the dashboards ask for {sorted(wanted)}"
    for target, labels in LINES:
        got = relabelled(target, alloy_rules(parts["discovery.relabel.pods"]))
        if got is None or {name: it for name, it in got.items() if name in kept} != labels:
            yield f"alloy: {target['__meta_kubernetes_pod_name']} has the labels {got}"
        elif not got["__path__"].endswith(f"*0-1/{target['__meta_kubernetes_pod_container_name']}/*.log"):
            yield f"alloy: reads {got['__path__']}"
    for said, level in LEVELS.items():
        got = relabelled({"level": said}, alloy_rules(parts["loki.relabel.levels"]))
        if got != ({"level": level} if level else {}):
            yield f"alloy: the level {said!r} becomes {got}"


# ---- What goes together -----------------------------------------------------------------------------------------


def bytes_of(text):
    number, unit = re.fullmatch(r"(\d+)([KMGT])i?B?", text).groups()
    return int(number) * 1024 ** ("KMGT".index(unit) + 1)


def check_together():
    stack, loki = values("kube-prometheus-stack"), values("loki")
    prometheus = stack["prometheus"]["prometheusSpec"]
    volume = prometheus["storageSpec"]["volumeClaimTemplate"]["spec"]["resources"]["requests"]["storage"]
    if bytes_of(prometheus["retentionSize"]) > 0.85 * bytes_of(volume):
        yield "prometheus: retentionSize leaves no room on the volume"
    kept = {"prometheus": prometheus["retention"], "loki": loki["loki"]["limits_config"]["retention_period"],
            "jaeger": jaeger_config()["extensions"]["jaeger_storage"]["backends"]["spans"]["badger"]["ttl"]["spans"]}
    for name, period in kept.items():
        if period not in (f"{DAYS}d", f"{DAYS * 24}h"):
            yield f"{name} keeps {period}, not {DAYS} days"
    if not (loki["loki"]["compactor"]["retention_enabled"] and loki["loki"]["compactor"]["delete_request_store"]):
        yield "loki: nothing is ever deleted"
    sources = {it["uid"]: it for it in stack["grafana"]["additionalDataSources"]}
    sources[stack["grafana"]["sidecar"]["datasources"]["uid"]] = {"type": "prometheus"}
    if {it["type"] for it in sources.values()} != {"prometheus", "loki", "jaeger"}:
        yield "grafana: not the data sources that the dashboards ask for"
    for uid in re.findall(r'"datasourceUid": "(\w+)"', json.dumps(list(sources.values()))):
        if uid not in sources:
            yield f"grafana: a link leads to the data source {uid}, which is not there"
    services = {"loki": 3100}
    services.update((f"jaeger:{it['port']}", it["port"]) for found in objects() if found["kind"] == "Service"
                    for it in found["spec"]["ports"])
    everything = "\n".join(path.read_text(encoding="utf-8") for path in (*HERE.glob("*.yaml"), ROOT / "dapr" / "config.yaml"))
    for host, namespace, port in re.findall(r"\b(loki|jaeger)\.(\w+)(?:\.svc[.\w]*)?:(\d+)", everything):
        known = services.get(f"{host}:{port}", services.get(host))
        if namespace != NAMESPACE or known != int(port):
            yield f"{host}.{namespace}:{port} is no service of these"


# ---- Jaeger -----------------------------------------------------------------------------------------------------


def jaeger_config():
    found = next(it for it in documents(HERE / "jaeger.yaml") if it["kind"] == "ConfigMap")
    return manifests.documents(found["data"]["jaeger.yaml"])[0]


def free_ports(count):
    with contextlib.ExitStack() as open_ones:
        sockets = [open_ones.enter_context(socket.socket()) for _ in range(count)]
        for it in sockets:
            it.bind(("127.0.0.1", 0))
        return [it.getsockname()[1] for it in sockets]


def asked(url, body=None):
    """The answer's text, or None while there is none."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.read().decode()
    except (OSError, urllib.error.URLError):
        return None


def waited_for(test):
    end = time.monotonic() + WAIT_SECS
    while time.monotonic() < end:
        if test():
            return True
        time.sleep(0.2)
    return False


TRACE = "5b8efff798038103d269b633813fc60c"


def span():
    now = time.time_ns()
    it = {"traceId": TRACE, "spanId": "eee19b7ec3c1b174", "name": "probe", "kind": 2,
          "startTimeUnixNano": str(now), "endTimeUnixNano": str(now + 5_000_000)}
    service = {"attributes": [{"key": "service.name", "value": {"stringValue": "probe"}}]}
    return json.dumps({"resourceSpans": [{"resource": service, "scopeSpans": [{"spans": [it]}]}]}).encode()


@contextlib.contextmanager
def running(program, config, log):
    process = subprocess.Popen([program, f"--config={config}"], stdout=log, stderr=log,
                               env={"OTEL_TRACES_SAMPLER": "always_off", "HOME": str(config.parent)})
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(WAIT_SECS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def check_jaeger():
    program = builds.go_path("jaeger")
    if not program.exists():
        print("  not run: `make observe` builds Jaeger")
        return
    text = json.dumps(jaeger_config())
    wanted = ("16686", "16685", "13133", "4317", "4318")
    ports = dict(zip((*wanted, "8888"), free_ports(len(wanted) + 1)))
    with tempfile.TemporaryDirectory() as folder, open(pathlib.Path(folder) / "log", "wb") as log:
        for port in wanted:
            text = re.sub(rf'"(?:0\.0\.0\.0|127\.0\.0\.1):{port}"', f'"127.0.0.1:{ports[port]}"', text)
        text = text.replace('"host": "0.0.0.0", "port": 8888', f'"host": "127.0.0.1", "port": {ports["8888"]}')
        text = text.replace("/var/lib/jaeger", folder)
        if "0.0.0.0" in text:
            yield "jaeger: listens where this check does not know"
            return
        config = pathlib.Path(folder) / "jaeger.yaml"
        config.write_text(text, encoding="utf-8")
        address = "http://127.0.0.1:{}".format
        trace = f"{address(ports['16686'])}/api/traces/{TRACE}"
        for attempt in ("at first", "after a restart"):
            with running(program, config, log):
                if not waited_for(lambda: '"healthy":true' in (asked(f"{address(ports['13133'])}/status") or "")):
                    yield f"jaeger: is not ready {attempt}: " + (pathlib.Path(folder) / "log").read_text()[-2000:]
                    return
                if attempt == "at first":
                    asked(f"{address(ports['4318'])}/v1/traces", span())
                if not waited_for(lambda: '"operationName":"probe"' in (asked(trace) or "").replace(" ", "")):
                    yield f"jaeger: does not have the span {attempt}"
                told = asked(f"{address(ports['8888'])}/metrics") or ""
                if attempt == "at first":
                    for name in ("otelcol_receiver_accepted_spans_total", "otelcol_exporter_sent_spans_total"):
                        if name not in told:
                            yield f"jaeger: does not tell {name}: the alerts go by its sisters"


# ---- All of them ------------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schemas", type=pathlib.Path, help="a folder with JSON Schemas of resources")
    chosen = parser.parse_args()
    checks = {"objects": check_objects, "rules": check_rules, "alertmanager": check_alertmanager,
              "monitors": check_monitors, "alloy": check_alloy, "together": check_together, "jaeger": check_jaeger}
    if chosen.schemas:
        checks["schemas"] = lambda: check_schemas(chosen.schemas)
    worst = 0
    for name, check in checks.items():
        try:
            wrong = list(check())
            code = 1 if wrong else 0
        except (CannotCheck, StackError) as reason:
            wrong, code = [str(reason)], 2
        print(f"{name}: {('well', 'NOT WELL', 'not checked')[code]}")
        for it in wrong:
            print(f"  {it}", file=sys.stderr)
        # What is wrong counts for more than what could not be found out.
        worst = 1 if 1 in (code, worst) else max(code, worst)
    return worst


if __name__ == "__main__":
    sys.exit(main())
