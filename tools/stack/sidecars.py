"""daprd beside each role."""

import json
import os
import secrets
import urllib.error
import urllib.request

from . import builds
from .machine import free_port, read_json, write_private
from .part import PROBE_SECS_MAX, ROOT, Part, new_password
from .postgres import database_url

RESOURCES = ROOT / "dapr" / "local"
ROLES = ("api", "projector", "notifier")


class Daprd(Part):
    """The program of the sidecars: in the cache, nothing that runs."""

    name = "daprd"
    go_program = "daprd"
    ports = ()

    def settle(self):
        tokens = self.stack.state.setdefault("sidecars", {}).setdefault("tokens", {})
        for name in ("dapr_api_token", "app_api_token"):
            tokens.setdefault(name, new_password())
        self.section.update(
            binary=str(builds.go_path("daprd")), version=builds.go_version("daprd"), config=str(RESOURCES / "config.yaml"),
            working_dir=str(self.stack.folder), environment=self.sidecar_environment(),
        )
        self.stack.state["resources"] = str(RESOURCES)

    def sidecar_environment(self):
        """What the files in dapr/local ask for (secretstores.local.env), and the tokens."""
        state = self.stack.state
        tokens = state["sidecars"]["tokens"]
        values = {"DAPR_API_TOKEN": tokens["dapr_api_token"], "APP_API_TOKEN": tokens["app_api_token"]}
        if "kafka" in state:
            values["STACK_KAFKA_BROKERS"] = state["kafka"]["brokers"]
        if "redis" in state:
            values["STACK_REDIS_HOST"] = self.stack.part("redis").host_port
            values["STACK_REDIS_PASSWORD"] = state["redis"]["password"]
        return values


class Sidecar(Part):
    """daprd beside a role. It is up before the role is, which reads its secrets from it."""

    needs = ("daprd", "postgres", "pgbouncer", "redis", "kafka")
    ports = ("http_port", "grpc_port", "metrics_port", "internal_grpc_port")

    def __init__(self, stack, role):
        super().__init__(stack)
        self.role = role
        self.name = f"sidecar-{role}"

    @property
    def section(self):
        return self.stack.state.setdefault("sidecars", {}).setdefault(self.role, {})

    def choose_ports(self, runs):
        super().choose_ports(runs)
        # The role listens there, not we: whether somebody does is no sign of a stranger.
        self.section.setdefault("app_port", free_port(self.stack.ports()))

    def settle(self):
        self.section["app_id"] = f"wealth-companion-{self.role}"
        write_secrets(self.stack)

    def cwd(self):
        """Where secrets.json is."""
        return self.stack.folder

    def command(self):
        numbers = self.section
        return [
            str(builds.go_path("daprd")),
            "--app-id", numbers["app_id"], "--app-port", str(numbers["app_port"]), "--app-protocol", "http",
            "--dapr-http-port", str(numbers["http_port"]), "--dapr-grpc-port", str(numbers["grpc_port"]),
            "--dapr-listen-addresses", "127.0.0.1",
            "--dapr-internal-grpc-port", str(numbers["internal_grpc_port"]), "--dapr-internal-grpc-listen-address", "127.0.0.1",
            "--metrics-port", str(numbers["metrics_port"]), "--metrics-listen-address", "127.0.0.1",
            "--resources-path", str(RESOURCES), "--config", str(RESOURCES / "config.yaml"),
        ]

    def variables(self):
        return self.stack.part("daprd").sidecar_environment()

    def files(self):
        return (*sorted(RESOURCES.glob("*.yaml")), self.stack.folder / "secrets.json")

    def is_ready(self):
        """Publishing, state and secrets work; whether the role is there is another question."""
        return answers(self.section["http_port"], "/v1.0/healthz/outbound")

    def version(self):
        return builds.go_version("daprd")


def write_secrets(stack):
    """The secrets of the product, which roles read from their sidecar (dapr/local/secretstore.yaml)."""
    path, state = stack.folder / "secrets.json", stack.state
    kept = read_json(path) or {}
    four = {
        "DATABASE_URL": database_url(state["pgbouncer"]),
        "GEMINI_API_KEY": os.environ.get("GEMINI_API_KEY", kept.get("GEMINI_API_KEY", "")),
        "JWT_SECRET_KEY": kept.get("JWT_SECRET_KEY") or f"stack:{secrets.token_urlsafe(48)}",
        "REDIS_URL": state["redis"]["url"],
    }
    write_private(path, json.dumps({**four, "wealth-companion": four}, indent=2) + "\n")
    return four


def answers(port, path):
    """Whether a GET is answered with 2xx. Never through a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=PROBE_SECS_MAX):
            return True
    except (OSError, urllib.error.URLError):
        return False
