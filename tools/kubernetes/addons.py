"""What runs in the cluster before anybody uses it: DNS, metrics, Dapr, and definitions of resources."""

import json

from stack import builds

from . import programs

SECS_MAX = 300


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
    """Name, and the command that installs it with what that reads, in this order."""
    charts = programs.sources_path() / "charts"
    return [
        ("coredns", apply(programs.HERE / "coredns.yaml"), ""),
        ("crds", apply(programs.sources_path() / "crds.yaml"), ""),
        ("metrics-server", helm("metrics-server", "kube-system", charts / "metrics-server"), json.dumps(METRICS_VALUES)),
        ("dapr-crds", ["kubectl", "wait", "--for=condition=established", "crd/configurations.dapr.io"], ""),
        ("dapr-config", apply(programs.HERE / "dapr.yaml"), ""),
        ("dapr", [*helm("dapr", "dapr-system", charts / "dapr"), "--wait", f"--timeout={SECS_MAX}s"],
         json.dumps(dapr_values())),
    ]


def apply(file):
    return ["kubectl", "apply", "--server-side", "--force-conflicts", f"--filename={file}"]


def helm(release, namespace, chart):
    return ["helm", "upgrade", "--install", "--take-ownership", release, str(chart), f"--namespace={namespace}", "--values=-"]
