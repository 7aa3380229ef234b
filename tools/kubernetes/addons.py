"""What runs in the cluster before anybody uses it: DNS, metrics, Dapr, and definitions of resources."""

import json

from stack import builds

from . import programs

HELM_SECS_MAX = 300


def dapr_values():
    image, placed = "localhost/dapr:local", ("dapr_operator", "dapr_placement", "dapr_sentry", "dapr_sidecar_injector")
    values = {name: {"image": {"name": image}} for name in placed}
    values["dapr_sidecar_injector"].update(
        injectorImage={"name": image}, sidecarImagePullPolicy="Never",
        # What a namespace that enforces `restricted` asks of every container, sidecars too.
        sidecarDropALLCapabilities=True)
    values["global"] = {"tag": builds.go_version("dapr-operator"), "imagePullPolicy": "Never", "scheduler": {"enabled": False}}
    return values


METRICS_VALUES = {
    "image": {"repository": "localhost/metrics-server", "tag": "local", "pullPolicy": "Never"},
    # The interval has to be longer than it waits for the kubelet.
    "args": ["--kubelet-insecure-tls", "--metric-resolution=10s", "--kubelet-request-timeout=5s"],
    "readinessProbe": {"initialDelaySeconds": 1, "periodSeconds": 1, "failureThreshold": 3},
}


def addons():
    """Name, and the command that installs it with what that reads, in this order. They wait until what they install works."""
    charts = programs.sources_path() / "charts"
    return [
        ("coredns", ["kubectl", "apply", "--filename", str(programs.HERE / "coredns.yaml")], ""),
        ("crds", ["kubectl", "apply", "--server-side", "--force-conflicts", "--filename",
                  str(programs.sources_path() / "crds.yaml")], ""),
        ("coredns-ready", ["kubectl", "--namespace=kube-system", "rollout", "status", "deployment/coredns"], ""),
        ("metrics-server", helm("metrics-server", "kube-system", charts / "metrics-server"), json.dumps(METRICS_VALUES)),
        ("dapr", helm("dapr", "dapr-system", charts / "dapr"), json.dumps(dapr_values())),
    ]


def helm(release, namespace, chart):
    return ["helm", "upgrade", "--install", release, str(chart), "--namespace", namespace, "--create-namespace", "--values", "-",
            "--wait", "--timeout", f"{HELM_SECS_MAX}s"]
