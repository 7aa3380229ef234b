"""The queries of the dashboards, and the trace and the lines of one booking."""

import json
import re

from stack.part import ROOT

from .world import Failed, ask, wait_for

DASHBOARDS = ROOT / "dashboards"
VALUES = (("$namespace", "local"), ("$role", ".+"), ("$__rate_interval", "20s"), ("$__range", "10m"))
# By a part of the query: what this world has not.
ELSEWHERE = {
    "kafka_consumergroup_": "Strimzi's exporter of consumer groups is not to be had at home",
    "kubelet_volume_": "the kubelet's",
    "certmanager_": "cert-manager's",
    "dapr_runtime_mtls_": "sidecars have no certificates of their own at home",
    "dapr_resiliency_cb_state": "a circuit breaker that was never opened is not told of",
}
# On the way of one booking, that breaks a budget, to the stream.
HOPS = ("POST /v1/transactions", "book, with those that come at the same time", "send finance.transaction.created",
        "process finance.transaction.created", "send finance.budget.exceeded", "process finance.budget.exceeded",
        "send alert to stream")


def queries():
    """Of all panels: (dashboard, panel, query)."""
    found = []

    def walk(dashboard, panels):
        for panel in panels:
            for target in panel.get("targets", ()):
                kind = (target.get("datasource") or panel.get("datasource") or {}).get("type")
                if kind == "prometheus":
                    found.append((dashboard, panel["title"], target["expr"]))
            walk(dashboard, panel.get("panels", ()))

    for file in sorted(DASHBOARDS.glob("*.json")):
        walk(file.stem, json.loads(file.read_text(encoding="utf-8"))["panels"])
    return found


class Panels:
    """Which of them have had data."""

    def __init__(self):
        self.empty = queries()
        self.count = len(self.empty)

    def look(self, world):
        self.empty = [it for it in self.empty if not world.query(filled(it[2]))]

    def lacking(self):
        """Those that should have had data, and those of what is elsewhere."""
        elsewhere = [it for it in self.empty if any(name in it[2] for name in ELSEWHERE)]
        return [it for it in self.empty if it not in elsewhere], elsewhere


def filled(query):
    for variable, value in VALUES:
        query = query.replace(variable, value)
    return query


def trace_of(world, trace_id):
    """The spans of a trace, as Jaeger tells them, once each hop is there: (name, service, milliseconds after the
    first, milliseconds it took)."""
    def found():
        try:
            traces = ask(f"{world.state['jaeger']['url']}/api/traces/{trace_id}")["data"]
        except OSError:
            return None
        names = {span["operationName"] for trace in traces for span in trace["spans"]}
        return traces if set(HOPS) <= names else None

    traces = wait_for(f"Jaeger does not tell every hop of the trace {trace_id}", found, 30)
    spans = [(span, trace["processes"][span["processID"]]["serviceName"]) for trace in traces for span in trace["spans"]]
    first = min(span["startTime"] for span, _ in spans)
    rows = [(span["operationName"], service, (span["startTime"] - first) / 1_000, span["duration"] / 1_000)
            for span, service in spans if span["operationName"] in HOPS]
    return sorted(rows, key=lambda row: HOPS.index(row[0]))


def lines_of(world, trace_id):
    """The log lines of a trace, by the twin in LogsQL of the query of the dashboard."""
    import urllib.parse
    import urllib.request

    query = f'{{service="wealth-companion", namespace="local"}} "{trace_id}"'
    url = f"{world.state['logstore']['url']}/select/logsql/query?{urllib.parse.urlencode({'query': query})}"

    def found():
        with urllib.request.urlopen(url, timeout=10) as answer:
            lines = [json.loads(json.loads(line)["_msg"]) for line in answer.read().decode().splitlines()]
        messages = {line["message"] for line in lines}
        return lines if {"request", "alert"} <= messages else None

    lines = wait_for(f"the log store does not find the lines of {trace_id}", found, 30)
    for line in lines:
        if line.get("trace_id") != trace_id or not re.fullmatch(r"[0-9a-f-]{36}", line.get("user_id", "")):
            raise Failed(f"a line does not tell its trace and whose it is: {line}")
    return lines
