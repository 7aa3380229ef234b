#!/usr/bin/env python3
"""Checks dashboards, alert rules, their tests and the runbook: against Grafana's and Prometheus' own readers, and
against the product.

- Dashboards are what tools/dashboards.py writes, and as Grafana's schema wants them; queries are PromQL and LogQL.
- Rules are what promtool wants, and pass their unit tests.
- Every metric of ours in a query, of the runbook's as well, is in src/telemetry/metrics/names.rs, with those labels
  and buckets.
- Every panel has a description, a unit and a data source that can be chosen.
- Every alert has a severity, a dashboard that exists, a section in docs/runbook.md, a test in which it fires, and one
  in which its series are there and it does not.

Needs Go, and node with npm; what they build is kept in the cache outside the clone. promtool is taken from the PATH, or
built as well. Exit code: 0 all is well, 1 something is not, 2 it could not be checked.
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# The clone stays as it is: compiled modules would be left in it.
sys.dont_write_bytecode = True

import dashboards  # noqa: E402
from stack.builds import cache, key, once, run_shown  # noqa: E402
from stack.machine import StackError, say  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINT = ROOT / "tools" / "dashlint"
DASHBOARDS = sorted((ROOT / "dashboards").glob("*.json"))
RULES = sorted((ROOT / "dashboards" / "alerts").glob("*.yaml"))
TESTS = sorted((ROOT / "dashboards" / "alerts" / "tests").glob("*.yaml"))
HEALTHY = ROOT / "dashboards" / "alerts" / "tests" / "healthy.yaml"
RUNBOOK = ROOT / "docs" / "runbook.md"
NAMES = ROOT / "src" / "telemetry" / "metrics" / "names.rs"

# What every runbook_url begins with.
RUNBOOK_URL = "https://github.com/wealth-companion/wealth-companion/blob/main/docs/runbook.md#"
SEVERITIES = ("page", "ticket")
# Labels that Prometheus adds to all series of a target.
OF_TARGETS = {"job", "namespace", "role", "pod", "instance"}
WITHOUT_UNIT = ("logs", "traces")
PROMTOOL = "github.com/prometheus/prometheus/cmd/promtool"


# ---- Programs ---------------------------------------------------------------------------------------------------


def build_go(log):
    """The folder with dashlint, and promtool where the PATH has none."""
    path = cache() / "dashlint" / key("go", *(LINT / name for name in ("go.mod", "go.sum", "main.go"))) / "dashlint"

    def build(folder):
        environment = [f"{name}={value}" for name, value in (("GOFLAGS", "-buildvcs=false"), ("GOWORK", "off"))]
        # Without the discovery of targets in clouds, which promtool brings along and nobody here wants.
        flags = ["-trimpath", "-tags", "netgo,remove_all_sd", "-ldflags", "-s -w"]
        run_shown(["env", *environment, needed("go"), "build", *flags, "-o", f"{folder}/", ".", PROMTOOL],
                  "building dashlint and promtool, once: minutes", log, cwd=LINT)

    return once(path, build).parent


def fetch_grammar(log):
    """The folder with the node_modules of logql.mjs."""
    path = cache() / "dashlint" / key("npm", LINT / "package.json", LINT / "package-lock.json") / "node_modules"

    def build(folder):
        for name in ("package.json", "package-lock.json"):
            shutil.copy(LINT / name, folder)
        run_shown([needed("npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts"], "fetching the grammar of LogQL",
                  log, cwd=folder)

    return once(path, build).parent


def needed(program):
    found = shutil.which(program)
    if not found:
        how = {"go": "https://go.dev/dl; Debian's is too old"}.get(program, "apt-get install nodejs npm")
        raise StackError(f"missing: {program} ({how})")
    return found


def output_of(command, **more):
    shown = subprocess.run(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=False, **more)
    if shown.returncode:
        raise StackError(f"{pathlib.Path(command[0]).name}: failed with {shown.returncode}")
    return json.loads(shown.stdout)


# ---- What the product has ---------------------------------------------------------------------------------------


def metrics_of_product():
    """Of each metric in names.rs: its labels with their values, where they are listed, and a histogram's bounds."""
    text = NAMES.read_text(encoding="utf-8")
    bounds = {name: [float(it.replace("_", "")) for it in body.split(",") if it.strip()]
              for name, body in re.findall(r"const (\w+): Kind = Kind::Histogram\(&\[(.*?)\]\)", text, re.DOTALL)}
    metrics = {}
    # "name", or "name" in ["value", "value"].
    some_labels = r'(?:"\w+"(?: in \[[^]]*\])?(?:, )?)*'
    for name, kind, labels in re.findall(rf'\w+ = "(\w+)",\s*([\w:]+),\s*\w+,\s*\[({some_labels})\]', text):
        values = re.findall(r'"(\w+)"(?: in \[([^]]*)\])?', labels)
        listed = {label: re.findall(r"\w+", them) for label, them in values}
        metrics[name] = (listed, bounds.get(kind))
    return metrics


def series_of_product():
    """Of each series that a scrape gives: its labels as Prometheus keeps them, and the bounds where it has any."""
    series = {}
    for name, (labels, bounds) in metrics_of_product().items():
        kept = dict.fromkeys(OF_TARGETS, ())
        # What is named as a label of the target gets another name.
        kept.update((f"exported_{it}" if it in OF_TARGETS else it, values) for it, values in labels.items())
        if bounds is None:
            series[name] = (kept, None)
        else:
            series[f"{name}_bucket"] = ({**kept, "le": ()}, bounds)
            series[f"{name}_sum"] = series[f"{name}_count"] = (kept, None)
    return series


def check_queries(queries, records, problem):
    known = series_of_product()

    def is_ours(metric):
        return metric.startswith(("wealth_", "wealth:", "process_"))

    for query in queries:
        where = f"{query['file']}: {query['where']}"
        for it in query["selectors"]:
            metric, labels = it["metric"], it["labels"]
            if not is_ours(metric) or metric in records:
                continue
            if metric not in known:
                problem(f"{where}: there is no {metric}")
                continue
            kept, bounds = known[metric]
            for label, value in labels.items():
                if label not in kept:
                    problem(f"{where}: {metric} has no label {label}")
                elif kept[label] and value.isidentifier() and value not in kept[label]:
                    problem(f"{where}: the label {label} of {metric} is never {value}")
            wanted = [float(one) for one in labels.get("le", "+Inf").replace("\\", "").split("|") if one != "+Inf"]
            for bound in sorted(set(wanted) - set(bounds or wanted)):
                problem(f"{where}: {metric} has no bucket up to {bound:g}")
        for it in query["groupings"]:
            ours = [metric for metric in it["metrics"] if metric in known]
            if ours and len(ours) == len(it["metrics"]):
                there = set(it["added"]).union(*(known[metric][0] for metric in ours))
                for label in sorted(set(it["labels"]) - there):
                    problem(f"{where}: none of {', '.join(ours)} has a label {label}")


# ---- What we ask of dashboards and alerts -----------------------------------------------------------------------


def check_dashboard(file, problem):
    it = json.loads(file.read_text(encoding="utf-8"))
    variables = {one["name"]: one["type"] for one in it["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps([it["panels"], it["annotations"], it["templating"]])))
    for name in sorted(used - set(variables)):
        if not name.startswith("__"):
            problem(f"{file.name}: there is no variable {name}")
    for panel in it["panels"]:
        where = f"{file.name}: {panel.get('title', 'a panel without a title')}"
        if panel["type"] == "row":
            continue
        if len(panel.get("description", "")) < 20:
            problem(f"{where}: the description does not say what to do")
        if panel["type"] not in WITHOUT_UNIT and not panel["fieldConfig"]["defaults"].get("unit"):
            problem(f"{where}: no unit")
        for source in [panel["datasource"], *(target["datasource"] for target in panel["targets"])]:
            if variables.get(source["uid"].strip("${}")) != "datasource":
                problem(f"{where}: the data source {source['uid']} cannot be chosen")
    return it["uid"]


def check_alerts(rules, queries, uids, problem):
    sections = re.findall(r"^### (\w+)$(.*?)(?=^#|\Z)", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    anchors = {name.lower(): text for name, text in sections}
    tests = "\n".join(file.read_text(encoding="utf-8") for file in TESTS)
    healthy = set(re.findall(r"series: '([\w:]+)\{", HEALTHY.read_text(encoding="utf-8")))
    records = {rule["record"]: rule for rule in rules if rule["record"]}
    alerts = [rule for rule in rules if rule["alert"]]
    metrics = {}
    for query in queries:
        metrics.setdefault(query["where"], set()).update(it["metric"] for it in query["selectors"])
    for rule in alerts:
        name, labels, annotations = rule["alert"], rule["labels"] or {}, rule["annotations"] or {}
        where = f"{rule['file']}: {name}"
        if labels.get("severity") not in SEVERITIES:
            problem(f"{where}: the severity is none of {', '.join(SEVERITIES)}")
        for wanted in ("summary", "description", "runbook_url", "dashboard"):
            if not annotations.get(wanted):
                problem(f"{where}: no {wanted}")
        if annotations.get("runbook_url") != RUNBOOK_URL + name.lower():
            problem(f"{where}: its runbook_url is not {RUNBOOK_URL}{name.lower()}")
        section = anchors.get(name.lower())
        if section is None:
            problem(f"{where}: docs/runbook.md has no section ### {name}")
        elif not all(word in section.lower() for word in ("**it means**", "**look**", "**do**")):
            problem(f"docs/runbook.md: {name} does not say what it means, where to look and what to do")
        uid = re.match(r"/d/([\w-]+)", annotations.get("dashboard", ""))
        if not uid or uid[1] not in uids:
            problem(f"{where}: there is no such dashboard")
        if f'alertname="{name}",alertstate="firing"' not in tests:
            problem(f"{where}: no test in which it fires")
        needs = metrics.get(name, set())
        needs = needs.union(*(metrics.get(record, set()) for record in needs & set(records)))
        for metric in sorted(needs - set(records) - healthy):
            problem(f"{where}: {metric} is not in {HEALTHY.name}, where it should not fire")
    for anchor in sorted(set(anchors) - {rule["alert"].lower() for rule in alerts}):
        problem(f"docs/runbook.md: there is no alert {anchor}")


# ---- All of it --------------------------------------------------------------------------------------------------


def check(log):
    programs, grammar = build_go(log), fetch_grammar(log)
    problems = [f"{path.name} is not what tools/dashboards.py writes: run it" for path in dashboards.differing()]
    names = [str(file.relative_to(ROOT)) for file in [*DASHBOARDS, *RULES, RUNBOOK]]
    found = output_of([str(programs / "dashlint"), *names], cwd=ROOT)
    problems += found["problems"]
    check_queries(found["promql"], {rule["record"] for rule in found["rules"]}, problems.append)
    uids = {check_dashboard(file, problems.append) for file in DASHBOARDS}
    check_alerts(found["rules"], found["promql"], uids, problems.append)

    queries = found["logql"]
    places = output_of([needed("node"), str(LINT / "logql.mjs"), str(grammar)],
                       input=json.dumps([it["text"] for it in queries]))
    problems += [f"{it['file']}: {it['where']}: not LogQL from character {place} on: {it['text']}"
                 for it, place in zip(queries, places) if place >= 0]

    promtool = shutil.which("promtool") or str(programs / "promtool")
    for step, files in (("check", RULES), ("test", TESTS)):
        shown = subprocess.run([promtool, step, "rules", *files], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, check=False)
        if shown.returncode:
            problems.append(f"promtool {step} rules:\n{shown.stdout.strip()}")

    for it in problems:
        print(it, file=sys.stderr)
    alerts = sum(bool(rule["alert"]) for rule in found["rules"])
    say(f"dashboards: {len(DASHBOARDS)} with {len(found['promql']) + len(queries)} queries, {alerts} alerts: "
        + (f"{len(problems)} problems" if problems else "all is well"))
    return 1 if problems else 0


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            return check(pathlib.Path(folder, "build.log"))
        except StackError as error:
            print(error, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main())
