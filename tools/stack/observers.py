"""Those who watch: Jaeger for traces, a log store, Prometheus and Alertmanager. They start when they are asked for.

The log store is VictoriaLogs, which takes what is pushed to Loki. Loki itself comes in no package registry.
Prometheus and Alertmanager are Debian's: nothing to build, and Prometheus has its pages.
"""

import json

from . import builds, install
from .machine import write_private
from .part import ROOT, Part, first_number
from .sidecars import ROLES, answers

RULES = ROOT / "dashboards" / "alerts"
NAMESPACE = "local"
SCRAPE_SECS = 5


class Observer(Part):
    """What is common to those who watch. Whose `program` is one in Go, the cache has it."""

    by_default = False

    @property
    def url(self):
        return f"http://{self.host_port}"

    def settle(self):
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.section.update(url=self.url)


class Jaeger(Observer):
    """Jaeger, in memory. Takes OTLP over HTTP and gRPC, and its own form over UDP."""

    name = "jaeger"
    go_program = "jaeger"
    ports = ("port", "otlp_port", "otlp_grpc_port", "agent_port", "query_grpc_port", "health_port")

    def settle(self):
        super().settle()
        ports = {port: f"127.0.0.1:{self.section[port]}" for port in self.ports}
        self.section.update(otlp_url=f"http://{ports['otlp_port']}", agent=ports["agent_port"])
        write_private(self.folder / "jaeger.json", json.dumps(jaeger_config(ports), indent=2) + "\n")

    def command(self):
        # JSON is YAML. Without a configuration it would listen to everybody.
        return [str(builds.go_path(self.go_program)), "--config", "jaeger.json"]

    def variables(self):
        """It does not trace itself."""
        return {"OTEL_TRACES_SAMPLER": "always_off"}

    def files(self):
        return (self.folder / "jaeger.json",)

    def is_ready(self):
        return answers(self.section["health_port"], "/status")


class LogStore(Observer):
    """VictoriaLogs. `url` + `/insert` is what `log.loki_url` takes."""

    name = "logstore"
    go_program = "logstore"

    def command(self):
        return [str(builds.go_path(self.go_program)), "-storageDataPath=data", f"-httpListenAddr={self.host_port}",
                "-retentionPeriod=15d", "-loki.disableMessageParsing"]

    def is_ready(self):
        return answers(self.section["port"], "/health")


class Alertmanager(Observer):
    """Alertmanager. Alerts go to whoever listens on `webhook_port`: a test, or nobody."""

    name = "alertmanager"
    commands = ("prometheus-alertmanager",)
    ports = ("port", "webhook_port")

    def settle(self):
        super().settle()
        webhook = f"http://127.0.0.1:{self.section['webhook_port']}/"
        write_private(self.folder / "alertmanager.json", json.dumps(alertmanager_config(webhook), indent=2) + "\n")

    def command(self):
        # Without the last it would look for others of its kind, on all interfaces.
        return [install.find("prometheus-alertmanager"), "--config.file=alertmanager.json", "--storage.path=data",
                f"--web.listen-address={self.host_port}", "--cluster.listen-address="]

    def files(self):
        return (self.folder / "alertmanager.json",)

    def is_ready(self):
        return answers(self.section["port"], "/-/ready")

    def version(self):
        return first_number([install.find("prometheus-alertmanager"), "--version"])


class Prometheus(Observer):
    """Prometheus, with the rules of dashboards/alerts. It reads from all that has been started here once."""

    name = "prometheus"
    commands = ("prometheus",)
    needs = ("alertmanager",)

    def settle(self):
        super().settle()
        config = prometheus_config(self.stack.state, str(RULES / "*.yaml"), SCRAPE_SECS)
        write_private(self.folder / "prometheus.json", json.dumps(config, indent=2) + "\n")

    def command(self):
        return [install.find("prometheus"), "--config.file=prometheus.json", "--storage.tsdb.path=data",
                "--storage.tsdb.retention.time=15d", f"--web.listen-address={self.host_port}", "--web.enable-lifecycle"]

    def files(self):
        return (self.folder / "prometheus.json", *sorted(RULES.glob("*.yaml")))

    def is_ready(self):
        return answers(self.section["port"], "/-/ready")

    def version(self):
        return first_number([install.find("prometheus"), "--version"])


OBSERVERS = (Jaeger, LogStore, Alertmanager, Prometheus)


def jaeger_config(ports):
    receivers = {
        "otlp": {"protocols": {"http": {"endpoint": ports["otlp_port"]}, "grpc": {"endpoint": ports["otlp_grpc_port"]}}},
        "jaeger": {"protocols": {"thrift_compact": {"endpoint": ports["agent_port"]}}},
    }
    query = {"storage": {"traces": "memory"}, "http": {"endpoint": ports["port"]}, "grpc": {"endpoint": ports["query_grpc_port"]}}
    return {
        "service": {
            "extensions": ["jaeger_storage", "jaeger_query", "healthcheckv2"],
            "pipelines": {"traces": {"receivers": list(receivers), "exporters": ["jaeger_storage_exporter"]}},
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
        },
        "extensions": {
            "jaeger_storage": {"backends": {"memory": {"memory": {"max_traces": 100_000}}}},
            "jaeger_query": query,
            "healthcheckv2": {"use_v2": True, "http": {"endpoint": ports["health_port"]}},
        },
        "receivers": receivers,
        "exporters": {"jaeger_storage_exporter": {"trace_storage": "memory"}},
    }


def alertmanager_config(webhook):
    return {
        "route": {"receiver": "webhook", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s",
                  "repeat_interval": "4h"},
        "receivers": [{"name": "webhook", "webhook_configs": [{"url": webhook, "send_resolved": True}]}],
    }


def prometheus_config(state, rules, every_secs):
    """The jobs and labels are those of a cluster (dashboards/README.md)."""
    def job(name, targets):
        configs = [{"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": NAMESPACE, **labels}}
                   for port, labels in targets if port]
        return {"job_name": name, "static_configs": configs}

    sidecars = {role: state.get("sidecars", {}).get(role, {}) for role in ROLES}
    own = [name for name in ("prometheus", "alertmanager", "logstore") if "port" in state.get(name, {})]
    return {
        "global": {"scrape_interval": f"{every_secs}s", "evaluation_interval": f"{every_secs}s"},
        "rule_files": [rules],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{state['alertmanager']['port']}"]}]}]},
        "scrape_configs": [
            job("wealth-companion", [(ports.get("app_port"), {"role": role}) for role, ports in sidecars.items()]),
            job("dapr-sidecar", [(ports.get("metrics_port"), {"role": role}) for role, ports in sidecars.items()]),
            job("kafka", [(state.get("kafka", {}).get("metrics_port"), {})]),
            *(job(name, [(state[name]["port"], {})]) for name in own),
        ],
    }


def urls(state):
    """What there is to look at, with the name of each."""
    shown = (("Prometheus", "prometheus", ""), ("Alertmanager", "alertmanager", ""), ("Jaeger", "jaeger", ""),
             ("logs", "logstore", "/select/vmui/"))
    return [(name, state[part]["url"] + path) for name, part, path in shown]
