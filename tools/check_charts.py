#!/usr/bin/env python3
"""Checks helm/wealth-companion, strimzi/ and dapr/ without a cluster.

The chart is rendered in many ways; each rendering must be valid by the schemas of Kubernetes, pass kube-score and our own
rules: every container has limits, is not root and cannot become it; what names something names what is there; what
the pods are told agrees with what the roles listen to. The settings in it are given to the binary, which must like them.
Wrong values must be refused, with a sentence.

Needs Go (helm, kubectl, kubeconform and kube-score are built once: minutes) and PyYAML (apt-get install python3-yaml). With
--schemas, a folder with JSON Schemas of the operators' resources (KIND-GROUP-VERSION.json), Strimzi's are checked as
well. Exit code: 0 all is well, 1 something is not, 2 it could not be checked.
"""

import argparse
import concurrent.futures
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

# The clone stays as it is: compiled modules would be left in it.
sys.dont_write_bytecode = True

from kubernetes import programs  # noqa: E402
from manifests import documents  # noqa: E402
from stack import builds, install  # noqa: E402
from stack.builds import GoProgram, cache, key, once  # noqa: E402
from stack.machine import StackError  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHART = ROOT / "helm" / "wealth-companion"
NAMESPACE = "wealth-companion"
ROLES = ("api", "projector", "notifier")
KUBERNETES = "1.35.4"
builds.PROGRAMS.update({
    "kubeconform": GoProgram("github.com/yannh/kubeconform", "/cmd/kubeconform", [], [], "a minute",
                             programs.HERE / "kubeconform", static=True),
    "kube-score": GoProgram("github.com/zegl/kube-score", "/cmd/kube-score", [], [], "a minute",
                            programs.HERE / "kube-score", static=True),
})
# The bare names by which the binary takes secrets (src/config/keys.rs); whoever renames one breaks `check_settings`.
SECRET_VARIABLES = ("DATABASE_URL", "JWT_SECRET_KEY", "REDIS_URL", "GEMINI_API_KEY", "SMTP_URL")
TOOLS = ("helm", "kubectl", "kubeconform", "kube-score")

# Each is rendered with each: roles, ways in, ways of secrets, autoscaling, Dapr or not.
SECRETS = {
    "existing": {},
    "external": {"secrets.kind": "external", "secrets.external.store.name": "vault"},
    "values": {"secrets.kind": "values", "secrets.values.DATABASE_URL": "postgres://db/wealth",
               "secrets.values.JWT_SECRET_KEY": "k:" + "0123456789abcdef" * 3},
}
WAYS_IN = {
    "none": {},
    "ingress": {"route.kind": "ingress", "route.hosts[0]": "api.example.com", "route.ingress.className": "traefik",
                "route.clusterIssuer": "letsencrypt"},
    "gateway": {"route.kind": "httproute", "route.hosts[0]": "api.example.com", "route.hosts[1]": "wealth.example.com",
                "route.httproute.gatewayClassName": "cilium", "route.clusterIssuer": "letsencrypt"},
    "route": {"route.kind": "httproute", "route.hosts[0]": "api.example.com", "route.httproute.parentRefs[0].name": "shared"},
}
SCALING = {"none": {"autoscaling.kind": "none"}, "hpa": {"autoscaling.kind": "hpa", "autoscaling.inFlight": "20"},
           "keda": {"autoscaling.kind": "keda"}}
PROFILES = ("values.yaml", "values-dev.yaml", "values-production.yaml")
MORE = {
    "api alone": {"roles.projector.enabled": "false", "roles.notifier.enabled": "false"},
    "without api": {"roles.api.enabled": "false"},
    "certificates": {"certificates.secret": "authorities", "image.pullSecrets[0]": "registry",
                     "image.digest": "sha256:" + "ab" * 32},
    "monitors": {"monitoring.podMonitors": "true", "networkPolicy.enabled": "false", "migrate.enabled": "false",
                 "dapr.makeTokens": "false"},
    "placed": {"nodeSelector.pool": "system", "tolerations[0].key": "dedicated", "tolerations[0].operator": "Exists",
               "priorityClassName": "high", "podLabels.team": "money", "podAnnotations.note": "hello"},
    "own certificate": {"route.kind": "httproute", "route.hosts[0]": "api.example.com", "route.tlsSecret": "ours",
                        "route.httproute.gatewayClassName": "cilium", "networkPolicy.apiFrom[0].ipBlock.cidr": "10.0.0.0/8"},
    "long numbers": {"config.streams.per_user_max": "1000", "config.http.body_max_bytes": "20971520",
                     "config.data_dir": "/data"},
}
# What must be refused, and what must be said of it.
WRONG = (
    ({"image.tagg": "1"}, "additional properties 'tagg' not allowed"),
    ({"rolez.api.enabled": "true"}, "additional properties 'rolez' not allowed"),
    ({"secrets.kind": "default"}, "must be one of 'existing', 'external', 'values'"),
    ({"secrets.kind": "values"}, "secrets.values.DATABASE_URL: there is no default"),
    ({"secrets.kind": "external"}, "secrets.external.store.name: name the SecretStore"),
    ({"route.kind": "ingress"}, "route.hosts: name the hosts"),
    ({"route.kind": "httproute", "route.hosts[0]": "a.example.com"}, "name a Gateway"),
    ({"roles.projector.autoscaling.max": "13"}, "topics have 12 partitions"),
    ({"autoscaling.kind": "none", "roles.notifier.replicas": "20"}, "topics have 12 partitions"),
    ({"roles.api.autoscaling.min": "11"}, "min is above max"),
    ({"roles.api.resources.limits.cpu": "many"}, "does not match pattern"),
    ({"image.digest": "latest"}, "does not match pattern"),
    ({"roles.api.resources.limits.memory": "100Zz"}, "does not match pattern"),
    ({"config.bus.kind": "kafka"}, "config.bus.kind: kafka goes without TLS"),
    ({"podLabels.app\\.kubernetes\\.io/name": "other"}, "invalid propertyName"),
    ({"preStopSeconds": "0"}, "minimum"),
    ({"certificates.secret": "a", "certificates.configMap": "b"}, "not both"),
)
# Tests of kube-score that are not for us, and why.
NOT_FOR_US = {
    "container-image-pull-policy": "images have a version of their own and do not change",
    "container-security-context-user-group-id": "65532, as distroless images have it, not above 10000",
    "container-ephemeral-storage-request-and-limit": "nothing is written to disk",
    "deployment-replicas": "one is enough to try it out",
    "deployment-has-host-podantiaffinity": "spread by topologySpreadConstraints instead",
    "networkpolicy-targets-pod": "a rule of our own says which there must be",
    "pod-networkpolicy": "a rule of our own says which there must be",
    "pod-probes": "liveness and readiness ask two addresses of one port; hooks have none",
    "pod-topology-spread-constraints": "hooks run one pod; a rule of our own asks it of the roles",
}
# What the chart gives the sidecar to end after the role has.
GRACE_OF_SIDECAR_SECS = 10
# Annotations that there must be, and what they must say, where that is always the same.
OF_SIDECAR = {
    "app-token-secret": "wealth-companion-app-token", "api-token-secret": "wealth-companion-dapr-api-token",
    "config": "wealth-companion", "log-as-json": "true",
    "sidecar-cpu-request": None, "sidecar-memory-request": None, "sidecar-cpu-limit": None, "sidecar-memory-limit": None,
}
# Secrets and ConfigMaps that others make.
MADE_BY_OTHERS = {"wealth-companion", "wealth-companion-redis", "wealth-companion-kafka", "kafka-cluster-cluster-ca-cert",
                  "kube-root-ca.crt", "authorities", "wealth-companion-dapr-api-token", "wealth-companion-app-token"}


def tool(name):
    return str(builds.go_path(name))


def said_by(command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more)


# ---- Renderings -------------------------------------------------------------------------------------------------


def renderings():
    """Names, and what is set."""
    for profile, secrets, way, scaling in itertools.product(PROFILES, SECRETS, WAYS_IN, SCALING):
        yield f"{profile}, {secrets}, {way}, {scaling}", profile, {**SECRETS[secrets], **WAYS_IN[way], **SCALING[scaling]}
    for name, more in MORE.items():
        yield name, "values.yaml", more


def render(profile, set_values):
    arguments = [part for name, value in set_values.items() for part in ("--set", f"{name}={value}")]
    command = [tool("helm"), "template", "wealth-companion", CHART, "--namespace", NAMESPACE, "--values", CHART / profile]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


def check_rendering(name, profile, set_values, schemas):
    shown = render(profile, set_values)
    if shown.returncode:
        return [f"{name}: {shown.stderr.strip()}"]
    found = documents(shown.stdout)
    problems = [*valid(shown.stdout, schemas), *scored(shown.stdout), *by_our_rules(found), *complete(found, given(profile, set_values))]
    return [f"{name}: {problem}" for problem in problems]


def check_wrong_values():
    for set_values, wanted in WRONG:
        shown = render("values.yaml", set_values)
        if shown.returncode == 0:
            yield f"{set_values} is not refused"
        elif wanted not in shown.stderr:
            yield f"{set_values}: says {shown.stderr.strip()!r}, not {wanted!r}"


# ---- Schemas ----------------------------------------------------------------------------------------------------


def schemas_path():
    """A folder with the JSON Schemas of Kubernetes and of the operators' resources, out of their Go modules."""
    made_from = [programs.HERE / name / "go.mod" for name in ("kubernetes", "crds", "dapr")]
    path = cache() / "cluster-schemas" / key(KUBERNETES, *made_from, pathlib.Path(__file__)) / "schemas"
    return once(path, lambda folder: make_schemas(folder / "schemas"))


def make_schemas(folder):
    folder.mkdir()
    swagger = programs.module("kubernetes", programs.KUBERNETES) / "api" / "openapi-spec" / "swagger.json"
    definitions = json.loads(swagger.read_text(encoding="utf-8"))["definitions"]
    strict = {name: strictly(schema) for name, schema in definitions.items()}
    strict["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"type": ["string", "number"]}
    for name, schema in definitions.items():
        for kind in schema.get("x-kubernetes-group-version-kind", []):
            if "properties" in schema and not name.startswith("io.k8s.apimachinery"):
                text = json.dumps({**strict[name], "definitions": {it: strict[it] for it in named_by(strict, name, set())}})
                (folder / schema_name(kind["kind"], kind["group"], kind["version"])).write_text(text, encoding="utf-8")
    crds = documents((programs.sources_path() / "crds.yaml").read_text(encoding="utf-8"))
    for path in (programs.sources_path() / "charts" / "dapr" / "crds").glob("*.yaml"):
        crds += documents(path.read_text(encoding="utf-8"))
    for crd in crds:
        for version in crd["spec"]["versions"]:
            schema = strictly(version["schema"]["openAPIV3Schema"])
            # Every object has them; the definition leaves them out.
            schema["properties"].update(apiVersion={"type": "string"}, kind={"type": "string"}, metadata={"type": "object"})
            name = schema_name(crd["spec"]["names"]["kind"], crd["spec"]["group"], version["name"])
            (folder / name).write_text(json.dumps(schema), encoding="utf-8")


def named_by(schemas, name, seen):
    """What the schema refers to, and what that refers to."""
    parts = [schemas[name]]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            reference = str(part.get("$ref", "")).rpartition("/")[2]
            if reference and reference not in seen:
                seen.add(reference)
                named_by(schemas, reference, seen)
            parts += part.values()
        elif isinstance(part, list):
            parts += part
    return seen


def schema_name(kind, group, version):
    return f"{kind}-{group}-{version}.json".lower().replace("--", "-")


def strictly(schema):
    """The same, which takes no unknown fields."""
    if isinstance(schema, list):
        return [strictly(it) for it in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: strictly(value) for name, value in schema.items() if not name.startswith("x-kubernetes")}
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return {"type": ["string", "integer"]}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    return made


def valid(text, schemas):
    command = [tool("kubeconform"), "-strict", "-output", "json"]
    for folder in schemas:
        command += ["-schema-location", f"{folder}/{{{{.ResourceKind}}}}-{{{{.Group}}}}-{{{{.ResourceAPIVersion}}}}.json"]
        command += ["-schema-location", f"{folder}/{{{{.ResourceKind}}}}-{{{{.ResourceAPIVersion}}}}.json"]
    # Of no Go module: known by its documentation alone.
    command += ["-skip", "ExternalSecret,Kustomization" + ("" if len(schemas) > 1 else ",Kafka,KafkaNodePool,KafkaTopic,KafkaUser")]
    shown = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    try:
        told = json.loads(shown.stdout)["resources"]
    except ValueError:
        return [f"kubeconform: {shown.stderr.strip() or shown.stdout.strip()}"]
    return [f"{it['kind']} {it['name']}: {it['msg']}" for it in told if it["status"] not in ("statusValid", "statusSkipped")]


def scored(text):
    ignored = [part for name in NOT_FOR_US for part in ("--ignore-test", name)]
    command = [tool("kube-score"), "score", "--output-format", "ci", "--kubernetes-version", "v1.35", *ignored, "-"]
    shown = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if not shown.stdout.strip():
        return [f"kube-score: {shown.stderr.strip()}"]
    return [line for line in shown.stdout.splitlines() if line.startswith(("[CRITICAL]", "[WARNING]"))]


# ---- Our own rules ----------------------------------------------------------------------------------------------


def by_our_rules(found):
    for it in found:
        kind, name, spec = it["kind"], it["metadata"]["name"], it.get("spec", {})
        problems = []
        if it["metadata"].get("labels", {}).get("app.kubernetes.io/name") != "wealth-companion":
            problems.append("has not our labels")
        if kind in ("Deployment", "Job"):
            problems += of_pod(spec["template"], kind, found)
        if kind == "Pod":
            problems += of_pod(it, kind, found)
        if kind == "Deployment":
            problems += of_deployment(spec)
        if kind in ("HorizontalPodAutoscaler", "ScaledObject"):
            target = spec["scaleTargetRef"]["name"]
            if not any(other["kind"] == "Deployment" and other["metadata"]["name"] == target for other in found):
                problems.append(f"scales {target}, which is not there")
        if kind in ("Service", "PodDisruptionBudget"):
            selector = spec["selector"].get("matchLabels", spec["selector"])
            chosen = [pod for pod in pods(found) if selector.items() <= pod["metadata"]["labels"].items()]
            if not chosen:
                problems.append("chooses no pod")
            ports = {port["name"] for pod in chosen for port in pod["spec"]["containers"][0].get("ports", [])}
            problems += [f"leads to port {port['targetPort']}, which no pod has" for port in spec.get("ports", [])
                         if port["targetPort"] not in ports]
        if kind in ("HTTPRoute", "Ingress"):
            services = {other["metadata"]["name"] for other in found if other["kind"] == "Service"}
            problems += [f"leads to {service}, which is not there" for service in backends(it) if service not in services]
        if kind == "Secret":
            problems += [f"has {value!r} for {key}" for key, value in it.get("stringData", {}).items() if "change" in value.lower()]
        yield from (f"{kind} {name}: {problem}" for problem in problems)


def pods(found):
    return [it["spec"]["template"] for it in found if it["kind"] == "Deployment"]


def backends(route):
    if route["kind"] == "Ingress":
        return [path["backend"]["service"]["name"] for rule in route["spec"]["rules"] for path in rule["http"]["paths"]]
    return [ref["name"] for rule in route["spec"]["rules"] for ref in rule.get("backendRefs", [])]


def of_pod(pod, kind, found):
    spec = pod["spec"]
    if spec.get("automountServiceAccountToken") is not False:
        yield "mounts a token"
    context = spec["securityContext"]
    if not context.get("runAsNonRoot") or context.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "is not restricted"
    for container in (*spec.get("initContainers", []), *spec["containers"]):
        own = container["securityContext"]
        if own.get("allowPrivilegeEscalation") is not False or own.get("capabilities") != {"drop": ["ALL"]} \
                or not own.get("readOnlyRootFilesystem") or not own.get("runAsNonRoot"):
            yield f"{container['name']} is not restricted"
        resources = container["resources"]
        if not {"cpu", "memory"} <= resources.get("limits", {}).keys() & resources.get("requests", {}).keys():
            yield f"{container['name']} has no limits or no requests"
        if container["image"].endswith(":latest"):
            yield f"{container['name']} has an image that changes"
    known = {it["metadata"]["name"] for it in found if it["kind"] in ("Secret", "ConfigMap")} | MADE_BY_OTHERS
    yield from (f"asks for {name}, which nobody makes" for name in references(spec) if name not in known)
    if kind == "Deployment":
        yield from (f"{container['name']} is not asked by {probe} at {path}" for container in spec["containers"]
                    for probe, path in (("startupProbe", "/readyz"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz"))
                    if container.get(probe, {}).get("httpGet") != {"path": path, "port": "internal"})


def references(spec):
    for container in (*spec.get("initContainers", []), *spec["containers"]):
        for variable in container.get("env", []):
            yield variable["valueFrom"]["secretKeyRef"]["name"]
    for volume in spec.get("volumes", []):
        for part in (volume, *volume.get("projected", {}).get("sources", [])):
            if "configMap" in part:
                yield part["configMap"]["name"]
            if "secret" in part:
                yield part["secret"]["secretName"]


def of_deployment(spec):
    if spec["strategy"] != {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}:
        yield "is not updated one by one"
    template = spec["template"]
    container, annotations = template["spec"]["containers"][0], template["metadata"]["annotations"]
    ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
    leave = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    if annotations.get("dapr.io/enabled") == "true":
        if annotations["dapr.io/app-id"] != f"wealth-companion-{container['name']}":
            yield f"has the app id {annotations['dapr.io/app-id']}"
        if annotations["dapr.io/app-port"] != ports["internal"]:
            yield "its sidecar calls another port than the role's"
        if annotations["dapr.io/metrics-port"] in ports.values():
            yield "role and sidecar want the same port"
        sidecar = int(annotations["dapr.io/block-shutdown-duration"].removesuffix("s"))
        rest = int(annotations["dapr.io/graceful-shutdown-seconds"])
        drain = template["spec"]["terminationGracePeriodSeconds"] - GRACE_OF_SIDECAR_SECS - leave
        if sidecar < leave + drain:
            yield "its sidecar is gone before the role"
        if "dapr.io/enable-app-health-check" in annotations:
            yield "its sidecar may lose a topic when the role restarts (docs/adr/0018)"
        for name, wanted in OF_SIDECAR.items():
            if annotations.get(f"dapr.io/{name}") in (None, "") or wanted not in (None, annotations[f"dapr.io/{name}"]):
                yield f"has dapr.io/{name} {annotations.get(f'dapr.io/{name}')!r}"
        mounted = dict(it.split(":") for it in annotations["dapr.io/volume-mounts"].split(","))
        volumes = {it["name"] for it in template["spec"]["volumes"]}
        if "/var/run/secrets/kubernetes.io/serviceaccount" not in mounted.values() or not mounted.keys() <= volumes:
            yield "its sidecar has no token of Kubernetes, or volumes that are not there"
        if template["spec"]["terminationGracePeriodSeconds"] <= sidecar + rest:
            yield "its sidecar is killed before it has ended"


def given(profile, set_values):
    """The values of a rendering, as Helm puts them together."""
    merged = documents((CHART / "values.yaml").read_text(encoding="utf-8"))[0]
    merge(merged, documents((CHART / profile).read_text(encoding="utf-8"))[0])
    for name, value in set_values.items():
        place, keys = merged, name.split(".")
        for key_ in keys[:-1]:
            place = place.setdefault(key_, {})
        place[keys[-1]] = {"true": True, "false": False}.get(value, value)
    return merged


def merge(into, other):
    for name, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            merge(into[name], value)
        else:
            into[name] = value


def complete(found, values):
    """Nothing is missing of what these values ask for."""
    named = {(it["kind"], it["metadata"]["name"]): it for it in found}
    roles = [role for role in ROLES if values["roles"][role]["enabled"]]
    config = values["config"]
    uses_dapr = "dapr" in (config["bus"]["kind"], config["state"]["kind"]) or bool(config["dapr"]["secretstore"])
    scaler = {"hpa": "HorizontalPodAutoscaler", "keda": "ScaledObject"}.get(values["autoscaling"]["kind"])
    wanted = [(kind, f"wealth-companion-{role}") for role in roles for kind in ("Deployment", "PodDisruptionBudget", scaler) if kind]
    wanted += [("ServiceAccount", "wealth-companion")]
    wanted += [("Service", "wealth-companion-api"), ("Pod", "wealth-companion-test")] if "api" in roles else []
    wanted += [("Job", "wealth-companion-migrate")] if values["migrate"]["enabled"] else []
    wanted += [("Role", "wealth-companion"), ("RoleBinding", "wealth-companion")] if uses_dapr else []
    wanted += [("PodMonitor", "wealth-companion")] if values["monitoring"]["podMonitors"] else []
    if values["networkPolicy"]["enabled"]:
        wanted += [("NetworkPolicy", name) for name in ("wealth-companion", "wealth-companion-metrics")]
    yield from (f"{kind} {name} is missing" for kind, name in wanted if (kind, name) not in named)
    if policy := named.get(("NetworkPolicy", "wealth-companion")):
        ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule.get("ports", [])}
        needed = {53, 5432, 6379, 443, 465, 587, 4318, *((9093,) if uses_dapr else ())}
        if not needed <= ports or policy["spec"]["policyTypes"] != ["Ingress", "Egress"] or policy["spec"].get("ingress"):
            yield f"NetworkPolicy wealth-companion lets out to {sorted(ports)}, and in {policy['spec'].get('ingress')}"
        metrics = named.get(("NetworkPolicy", "wealth-companion-metrics"), {"spec": {"ingress": [{"ports": []}]}})
        if {port["port"] for port in metrics["spec"]["ingress"][0]["ports"]} != {9090, 9091}:
            yield "NetworkPolicy wealth-companion-metrics is about other ports"
    for role in roles:
        deployment = named.get(("Deployment", f"wealth-companion-{role}"))
        if deployment:
            yield from (f"Deployment {role}: {problem}" for problem in as_wanted(role, deployment["spec"], values, uses_dapr))
        if scaled := named.get(("ScaledObject", f"wealth-companion-{role}")):
            query = scaled["spec"]["triggers"][1]["metadata"]["query"]
            metric = {"api": "wealth_http_requests_in_flight{"}.get(role) or (
                f'kafka_consumergroup_lag{{consumergroup="wealth-companion-{role}"' if uses_dapr
                else f'wealth_consumer_lag_events{{consumer="{role}"')
            if metric not in query or f'namespace="{NAMESPACE}"' not in query:
                yield f"ScaledObject {role} asks for {query}"


def as_wanted(role, spec, values, uses_dapr):
    pod = spec["template"]["spec"]
    container, first = pod["containers"][0], pod["initContainers"][0]
    if ("replicas" in spec) != (values["autoscaling"]["kind"] == "none"):
        yield "says how many replicas there are where the autoscaler does, or does not where nobody else does"
    if pod["serviceAccountName"] != "wealth-companion":
        yield f"runs as {pod['serviceAccountName']}"
    file = "/etc/wealth-companion/config/config.toml"
    if container["args"] != ["--role", role, "--config", file] or first["args"] != ["config", "check", "--config", file]:
        yield f"runs {container['args']} after {first['args']}"
    for one in (container, first):
        if not any(file.startswith(mount["mountPath"] + "/") for mount in one["volumeMounts"]):
            yield f"{one['name']} has no settings"
    wanted = set() if values["config"]["dapr"]["secretstore"] else set(SECRET_VARIABLES)
    if not wanted <= {it["name"] for it in first.get("env", [])}:
        yield "checks its settings without the secrets"
    wanted |= {"DAPR_API_TOKEN", "APP_API_TOKEN"} if uses_dapr else set()
    if wanted != {it["name"] for it in container.get("env", [])}:
        yield f"has the variables {sorted(it['name'] for it in container.get('env', []))}"
    spread = {it["topologyKey"] for it in pod["topologySpreadConstraints"]}
    if spread != {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}:
        yield f"is spread over {spread}"
    chosen = {"app.kubernetes.io/name": "wealth-companion", "app.kubernetes.io/component": role}
    if any(it["labelSelector"]["matchLabels"] != chosen for it in pod["topologySpreadConstraints"]):
        yield "is spread beside other pods"


# ---- What the binary says ---------------------------------------------------------------------------------------


def check_settings(binary):
    """Each role likes the settings, and they say what the pods are told."""
    for profile in PROFILES:
        shown = render(profile, SECRETS["values"])
        if shown.returncode:
            yield f"{profile}: {shown.stderr.strip()}"
            continue
        found = documents(shown.stdout)
        text = next(it for it in found if it["kind"] == "ConfigMap" and it["metadata"]["name"] != "wealth-companion-migrate")
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "config.toml")
            file.write_text(text["data"]["config.toml"], encoding="utf-8")
            for deployment in (it for it in found if it["kind"] == "Deployment"):
                yield from (f"{profile}: {problem}" for problem in of_settings(binary, file, deployment["spec"]["template"]))


def of_settings(binary, file, pod):
    container = pod["spec"]["containers"][0]
    role, ports = container["name"], {port["name"]: port["containerPort"] for port in container["ports"]}
    # As the pod gives them, by the pod's names; where a store of Dapr tells the secrets, nobody knows them here.
    secrets = {"DATABASE_URL": "postgres://u:p@db/wealth", "JWT_SECRET_KEY": "k:" + "0123456789abcdef" * 3, "REDIS_URL": "redis://redis",
               "GEMINI_API_KEY": "key", "SMTP_URL": "smtps://u:p@mail", "DAPR_API_TOKEN": "token", "APP_API_TOKEN": "token"}
    variables = {it["name"] for it in container.get("env", [])}
    # Mail is from somebody whom no values can know.
    environment = {"PATH": os.environ["PATH"], "WEALTH__EMAIL__FROM": "a@example.com", "WEALTH__EMAIL__PUBLIC_URL": "https://a.example.com",
                   **{name: secrets.get(name, "") for name in variables}}
    checked = said_by([binary, "--role", role, "config", "check", "--config", file], env=environment)
    if checked.returncode:
        yield f"{role}: {checked.stdout.strip()}"
        return
    shown = said_by([binary, "--role", role, "config", "show", "--json", "--config", file], env=environment)
    heard = {it["source"] for it in json.loads(shown.stdout).values()}
    if not {f"environment {name}" for name in variables} <= heard:
        yield f"{role}: does not know all of {sorted(variables)}"
    settings = {key: it["value"] for key, it in json.loads(shown.stdout).items()}
    if settings["http.internal_addr"] != f"0.0.0.0:{ports['internal']}":
        yield f"{role}: listens at {settings['http.internal_addr']}, and its port `internal` is {ports['internal']}"
    if "http" in ports and settings["http.public_addr"] != f"0.0.0.0:{ports['http']}":
        yield f"{role}: listens at {settings['http.public_addr']}, and its port `http` is {ports['http']}"
    leave = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    if pod["spec"]["terminationGracePeriodSeconds"] * 1_000 <= leave * 1_000 + sum(
            settings[f"lifecycle.{part}"] for part in ("drain_pause_ms", "drain_deadline_ms")):
        yield f"{role}: is killed before it has drained"


# ---- Kafka and Dapr ---------------------------------------------------------------------------------------------


def kustomized(folder):
    shown = subprocess.run([tool("kubectl"), "kustomize", folder], capture_output=True, text=True, check=False)
    if shown.returncode:
        raise StackError(f"{folder.relative_to(ROOT)}: {shown.stderr.strip()}")
    return shown.stdout


def check_kafka_and_dapr(schemas):
    dapr = documents(kustomized(ROOT / "dapr"))
    by_name = {it["metadata"]["name"]: it for it in dapr}
    yield from (f"dapr: {problem}" for problem in valid(kustomized(ROOT / "dapr"), schemas))
    for overlay in ("dev", "production"):
        text = kustomized(ROOT / "strimzi" / "overlays" / overlay)
        found = documents(text)
        problems = [*valid(text, schemas), *of_kafka(found, by_name["pubsub"])]
        yield from (f"strimzi, {overlay}: {problem}" for problem in problems)
    app_ids = [f"wealth-companion-{role}" for role in ROLES]
    yield from (f"dapr: {it['kind']} {name} is for {it['scopes']}" for name, it in by_name.items()
                if it["kind"] != "Configuration" and sorted(it.get("scopes", [])) != sorted(app_ids))
    at_home = [it for path in (ROOT / "dapr" / "local").glob("*.yaml") for it in documents(path.read_text(encoding="utf-8"))]
    yield from (f"dapr: {name} has no counterpart in dapr/local" for name in by_name
                if name not in {it["metadata"]["name"] for it in at_home})
    for path in ("resiliency.yaml", "config.yaml"):
        there, here = (documents((folder / path).read_text(encoding="utf-8"))[0]["spec"] for folder in (ROOT / "dapr", ROOT / "dapr" / "local"))
        same = ("policies", "targets") if path == "resiliency.yaml" else ("api", "features", "metrics")
        yield from (f"dapr: {part} in {path} is not what it is in dapr/local" for part in same if there[part] != here[part])
    # What differs at home is where the brokers are and how one gets in, and nothing else.
    ways = {"brokers", "authType", "saslMechanism", "saslUsername", "saslPassword", "caCert"}
    both = [{it["name"]: it.get("value") for it in one["spec"]["metadata"] if it["name"] not in ways}
            for one in (by_name["pubsub"], next(it for it in at_home if it["metadata"]["name"] == "pubsub"))]
    if both[0] != both[1]:
        yield "dapr: pubsub is not what it is in dapr/local"
    rules = next(it for it in documents(render("values.yaml", {}).stdout) if it["kind"] == "Role")["rules"]
    asked = {it["secretKeyRef"]["name"] for one in by_name.values() if one["kind"] == "Component"
             for it in one["spec"].get("metadata") or [] if "secretKeyRef" in it}
    if not asked | {"wealth-companion"} == set(rules[0]["resourceNames"]):
        yield f"dapr: components ask for {sorted(asked)}, and the service account may get {sorted(rules[0]['resourceNames'])}"


def of_kafka(found, pubsub):
    kafka = next(it for it in found if it["kind"] == "Kafka")
    user = next(it for it in found if it["kind"] == "KafkaUser")
    if kafka["spec"]["kafka"]["version"] != builds.kafka_version():
        yield f"is Kafka {kafka['spec']['kafka']['version']}, and {builds.kafka_version()} is the one that is tested"
    metadata = {it["name"]: it.get("value", it.get("secretKeyRef")) for it in pubsub["spec"]["metadata"]}
    if metadata["saslUsername"] != user["metadata"]["name"] or metadata["saslPassword"]["name"] != user["metadata"]["name"]:
        yield "the sidecars are not the user"
    if metadata["caCert"]["name"] != f"{kafka['metadata']['name']}-cluster-ca-cert":
        yield "the sidecars trust another authority"
    host, _, port = metadata["brokers"].partition(":")
    listener = next((it for it in kafka["spec"]["kafka"]["listeners"] if str(it["port"]) == port), None)
    if host != f"{kafka['metadata']['name']}-kafka-bootstrap" or not listener or not listener["tls"]:
        yield f"the sidecars go to {metadata['brokers']}"
    pod = pods(documents(render("values.yaml", {}).stdout))[0]["metadata"]["labels"]
    if not any(peer["podSelector"]["matchLabels"].items() <= pod.items() for peer in listener["networkPolicyPeers"]):
        yield "the sidecars may not go where they go"
    allowed = [it["resource"]["name"] for it in user["spec"]["authorization"]["acls"] if it["resource"]["type"] == "topic"]
    topics = [it for it in found if it["kind"] == "KafkaTopic"]
    yield from (f"the sidecars may not use {it['metadata']['name']}" for it in topics
                if not it["metadata"]["name"].startswith(tuple(allowed)))
    replicas = next(it for it in found if it["kind"] == "KafkaNodePool")["spec"]["replicas"]
    for it in topics:
        if it["spec"]["replicas"] != min(3, replicas) or it["spec"]["config"]["min.insync.replicas"] != min(2, replicas):
            yield f"{it['metadata']['name']} does not fit {replicas} brokers"
        if it["spec"]["config"]["retention.ms"] != 604_800_000:
            yield f"{it['metadata']['name']} does not keep records for seven days"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, help="the server, to look at the settings")
    parser.add_argument("--schemas", type=pathlib.Path, help="JSON Schemas of the operators' resources")
    args = parser.parse_args()
    log = ROOT / "target" / "charts.log"
    try:
        documents("")
        log.parent.mkdir(exist_ok=True)
        install.require(["go"], log, may_install=False)
        for name in TOOLS:
            builds.build_go(name, install.find("go"), log)
        once(programs.sources_path(), lambda folder: programs.take_sources(folder / "sources"))
        schemas = [schemas_path(), *([args.schemas.resolve()] if args.schemas else [])]
        lint = said_by([tool("helm"), "lint", "--strict", "--quiet", CHART])
        problems = [] if lint.returncode == 0 else [lint.stdout.strip()]
        problems += check_wrong_values()
        problems += check_kafka_and_dapr(schemas)
        if args.binary:
            problems += check_settings(args.binary.resolve())
        rendered = list(renderings())
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as workers:
            results = workers.map(lambda it: check_rendering(*it, schemas), rendered)
            problems += itertools.chain.from_iterable(results)
    except StackError as error:
        print(f"check_charts: {error}", file=sys.stderr)
        return 2
    for problem in problems:
        print(problem, file=sys.stderr)
    without = "" if args.schemas else ", Strimzi's resources without a schema"
    print(f"{len(rendered)} renderings, {len(WRONG)} wrong values{without}: {len(problems) or 'no'} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
