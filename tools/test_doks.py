#!/usr/bin/env python3
"""Stories of tools/doks, against doubles of doctl, kubectl, helm and docker: `python3 tools/test_doks.py`.

A double refuses flags and arguments that the real program does not have (tools/doks_flags.json), answers in its shapes,
remembers what was made, and writes down each call. No network, no account. After every run the tests look for secrets
in all that was said and in every command line.
"""

import copy
import json
import os
import pathlib
import re
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = pathlib.Path(__file__).resolve().parent
DOKS = HERE / "doks"
PYTHON = sys.executable

FLAGS = json.loads((HERE / "doks_flags.json").read_text(encoding="utf-8"))
CHANGES = (
    "create",
    "delete",
    "delete-selective",
    "append",
    "add",
    "save",
    "login",
    "apply",
    "upgrade",
    "create secret generic",
    "build",
    "push",
)

# A double is a shell script: it hands its arguments and its standard input over, and says what comes back.
CLIENT = r"""#!/bin/bash
input=
case " $* " in *" - "* | *=/dev/stdin*) IFS= read -r -d '' input ;; esac
exec 3<>"/dev/tcp/127.0.0.1/$DOUBLE_PORT"
printf '%s\0' "$(($# + 2))" "${0##*/}" "$@" "$input" >&3
IFS= read -r -d '' code <&3 && IFS= read -r -d '' out <&3 && IFS= read -r -d '' err <&3
printf '%s' "$out"
printf '%s' "$err" >&2
exit "$code"
"""


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        def read():
            text = bytearray()
            while (byte := self.rfile.read(1)) not in (b"\0", b""):
                text += byte
            return text.decode()

        program, *argv, stdin = [read() for _ in range(int(read()))]
        answer = self.server.world.call(program, argv, stdin)
        self.wfile.write("".join(f"{it}\0" for it in answer).encode())


class Refused(Exception):
    pass


def parse(spec, argv):
    """The command, its flags and its arguments, or the reason why the real program would refuse them."""
    words, options, rest = [], {}, list(argv)
    path = None
    known = dict(spec["global"])
    while rest:
        it = rest.pop(0)
        if it.startswith("--"):
            name, equals, value = it[2:].partition("=")
            if name not in known:
                raise Refused("unknown flag: --" + name + " of " + str(path))
            if known[name]["takes"] == "value" and not equals:
                if not rest:
                    raise Refused("flag needs an argument: --" + name)
                value = rest.pop(0)
            options.setdefault(name, []).append(value if known[name]["takes"] == "value" else (value or "true"))
            continue
        if it.startswith("-") and it != "-":
            raise Refused("short flags are not for programs: " + it)
        words.append(it)
        for length in range(len(words), 0, -1):
            candidate = " ".join(words[:length])
            if candidate in spec["commands"] and path != candidate and (path is None or len(candidate) > len(path)):
                path = candidate
                known = {**spec["global"], **spec["commands"][path]["flags"]}
                break
    if path is None:
        raise Refused("unknown command: " + " ".join(words))
    arguments = words[len(path.split()) :]
    wanted = spec["commands"][path]["arguments"]
    good = {"1+": len(arguments) >= 1, "0-1": len(arguments) <= 1}.get(wanted, len(arguments) == wanted)
    if not good:
        raise Refused(path + ": wrong number of arguments: " + " ".join(arguments))
    for name, flag in spec["commands"][path]["flags"].items():
        if flag.get("required") and name not in options:
            raise Refused(path + ": command is missing required arguments: --" + name)
    return path, options, arguments


class Ended(Exception):
    """The program ends with an exit code."""


class World:
    """What doctl, kubectl, helm and docker act on. JSON is as godo v1.168 has it, and as doctl prints it: lists of things
    as arrays, and errors on standard output when JSON was asked for."""

    def __init__(self):
        self.state = {}
        self.calls = []

    def call(self, program, argv, stdin):
        self.program, self.stdin, self.options = program, stdin, {}
        self.out, self.err = [], []
        entry = {"argv": [program, *argv], "changes": False}
        self.calls.append(entry)
        try:
            path, self.options, arguments = parse(FLAGS[program], argv)
            entry["changes"] = path in CHANGES or path.split()[-1] in CHANGES
            for pattern, text in self.state["fail"].items():
                if pattern in " ".join(entry["argv"]):
                    self.fail(text)
            getattr(self, program)(path, arguments)
            code = 0
        except Refused as refused:
            entry["refused"] = str(refused)
            self.tell("Error: " + str(refused))
            code = 1
        except Ended as ended:
            code = ended.args[0]
        return code, "".join(it + "\n" for it in self.out), "".join(it + "\n" for it in self.err)

    def say(self, text):
        self.out.append(text)

    def tell(self, text):
        self.err.append(text)

    def fail(self, text, code=1):
        if self.program == "doctl" and self.options.get("output") == ["json"]:
            self.answer({"errors": [{"detail": text}]})
        else:
            self.tell(("error: " if self.program == "kubectl" else "Error: ") + text)
        raise Ended(code)

    def answer(self, value):
        self.say(json.dumps(value))

    def one(self, name):
        values = self.options.get(name)
        return values[-1] if values else None

    # ---- doctl

    def doctl(self, path, arguments):
        state = self.state
        if not state["logged_in"]:
            self.fail("Unable to initialize DigitalOcean API client: access token is required. (hint: run 'doctl auth init')")
        if self.one("output") != "json" and path.split()[-1] in ("get", "list", "list-tags", "connection"):
            raise Refused("a program asks for JSON: " + path)
        getattr(self, "doctl_" + path.replace(" ", "_").replace("-", "_"))(arguments)

    def doctl_account_get(self, _):
        self.answer({"droplet_limit": 25, "email": "ada@example.com", "uuid": "a", "email_verified": True, "status": "active"})

    def doctl_vpcs_list(self, _):
        self.answer(self.state["vpcs"])

    def doctl_vpcs_create(self, _):
        self.state["vpcs"].append(
            {
                "id": "vpc-1",
                "urn": "do:vpc:vpc-1",
                "name": self.one("name"),
                "ip_range": "10.114.0.0/20",
                "region": self.one("region"),
                "created_at": "2026-01-01T00:00:00Z",
            }
        )
        self.answer(self.state["vpcs"][-1:])

    def doctl_vpcs_delete(self, arguments):
        if self.state["vpc_busy"] > 0:
            self.state["vpc_busy"] -= 1
            self.fail("DELETE https://api.digitalocean.com/v2/vpcs/vpc-1: 403 Can not delete VPC with members")
        self.state["vpcs"] = [it for it in self.state["vpcs"] if it["id"] != arguments[0]]

    def doctl_registry_get(self, _):
        if not self.state["registry"]:
            self.fail('GET https://api.digitalocean.com/v2/registry: 404 (request "r") registry does not exist')
        self.answer([{"name": self.state["registry"], "created_at": "2026-01-01T00:00:00Z", "region": "fra1"}])

    def doctl_registry_create(self, arguments):
        self.state["registry"] = arguments[0]
        self.answer([{"name": arguments[0]}])

    def doctl_registry_delete(self, _):
        self.state["registry"] = None

    def doctl_registry_login(self, _):
        self.say("Logging Docker in to registry.digitalocean.com")

    def doctl_registry_repository_list_tags(self, arguments):
        if not self.state["tags"]:
            self.fail(
                'GET https://api.digitalocean.com/v2/registry/x/repositories/y/tags: 404 (request "r") repository not found'
            )
        self.answer(
            [{"registry_name": self.state["registry"], "repository": arguments[0], "tag": it} for it in self.state["tags"]]
        )

    def database(self, ident):
        return next((it for it in self.state["databases"] if it["id"] == ident), None) or self.fail(
            '404 (request "r") not found'
        )

    def doctl_databases_list(self, _):
        self.answer(self.state["databases"])

    def doctl_databases_create(self, arguments):
        engine = self.one("engine")
        if not any(it["id"] == self.one("private-network-uuid") for it in self.state["vpcs"]):
            self.fail("422 no such VPC")
        scheme, user, port, path = {
            "pg": ("postgresql", "doadmin", 25060, "/defaultdb?sslmode=require"),
            "valkey": ("rediss", "default", 25061, ""),
        }[engine]
        host = "private-" + arguments[0] + ".db.ondigitalocean.com"
        password = "AVNS_" + engine + "S3CR3T"
        connection = {
            "protocol": scheme,
            "uri": f"{scheme}://{user}:{password}@{host}:{port}{path}",
            "host": host,
            "port": port,
            "user": user,
            "password": password,
            "ssl": True,
        }
        self.state["databases"].append(
            {
                "id": "db-" + engine,
                "name": arguments[0],
                "engine": engine,
                "version": self.one("version"),
                "connection": connection,
                "private_connection": connection,
                "num_nodes": int(self.one("num-nodes")),
                "size": self.one("size"),
                "region": self.one("region"),
                "status": "creating",
                "private_network_uuid": self.one("private-network-uuid"),
            }
        )
        self.tell("Notice: Database created")
        self.answer(self.state["databases"][-1:])

    def doctl_databases_get(self, arguments):
        database = self.database(arguments[0])
        self.answer([database])
        database["status"] = "online"

    def doctl_databases_delete(self, arguments):
        self.state["databases"].remove(self.database(arguments[0]))

    def doctl_databases_connection(self, arguments):
        self.answer(self.database(arguments[0])["private_connection" if self.one("private") else "connection"])

    def doctl_databases_get_ca(self, arguments):
        self.database(arguments[0])
        self.answer({"certificate": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg=="})

    def doctl_databases_firewalls_list(self, arguments):
        self.answer([it for it in self.state["rules"] if it["cluster_uuid"] == arguments[0]])

    def doctl_databases_firewalls_append(self, arguments):
        if self.database(arguments[0])["status"] != "online":
            self.fail("412 the database is not online")
        kind, _, value = self.one("rule").partition(":")
        self.state["rules"].append({"uuid": "r", "cluster_uuid": arguments[0], "type": kind, "value": value})

    def cluster(self, name):
        for it in self.state["clusters"]:
            if name in (it["id"], it["name"]):
                return it
        self.fail('no cluster goes by the name "' + name + '"')

    def doctl_kubernetes_cluster_list(self, _):
        for it in [it for it in self.state["clusters"] if it["status"]["state"] == "deleting"]:
            if it.pop("once_more", None) is None:
                self.state["clusters"].remove(it)
        self.answer(self.state["clusters"])

    def doctl_kubernetes_cluster_get(self, arguments):
        cluster = self.cluster(arguments[0])
        self.answer([cluster])
        if cluster["status"]["state"] == "provisioning":
            cluster["status"]["state"] = "running"
            cluster["endpoint"] = "https://cluster-1.k8s.ondigitalocean.com"

    def pool(self, settings):
        known = {"name", "size", "count", "tag", "label", "taint", "auto-scale", "min-nodes", "max-nodes"}
        unknown = set(settings) - known
        if unknown:
            raise Refused("unknown setting of a node pool: " + " ".join(unknown))
        pool = {
            "id": "pool-" + settings["name"],
            "name": settings["name"],
            "size": settings["size"],
            "count": int(settings["count"]),
        }
        if settings.get("auto-scale") == "true":
            pool.update(auto_scale=True, min_nodes=int(settings["min-nodes"]), max_nodes=int(settings["max-nodes"]))
        if "taint" in settings:
            key, _, effect = settings["taint"].rpartition(":")
            pool["taints"] = [{"Key": key.split("=")[0], "Value": key.split("=")[1], "Effect": effect}]
        return pool

    def doctl_kubernetes_cluster_create(self, arguments):
        if any(it["name"] == arguments[0] for it in self.state["clusters"]):
            self.fail("422 a cluster with this name already exists")
        if not any(it["id"] == self.one("vpc-uuid") for it in self.state["vpcs"]):
            self.fail("422 no such VPC")
        # A list of strings: what has a comma would be two pools.
        pools = [
            self.pool(dict(part.split("=", 1) for part in it.split(";")))
            for spec in self.options["node-pool"]
            for it in spec.split(",")
        ]
        day, _, at = self.one("maintenance-window").partition("=")
        self.state["clusters"].append(
            {
                "id": "cluster-1",
                "name": arguments[0],
                "region": self.one("region"),
                "version": "1.35.1-do.0",
                "vpc_uuid": self.one("vpc-uuid"),
                "cluster_subnet": self.one("cluster-subnet"),
                "service_subnet": self.one("service-subnet"),
                "ha": self.one("ha") == "true",
                "auto_upgrade": self.one("auto-upgrade") == "true",
                "surge_upgrade": self.one("surge-upgrade") == "true",
                "node_pools": pools,
                "maintenance_policy": {"start_time": at, "duration": "4h0m0s", "day": day},
                "status": {"state": "provisioning"},
            }
        )
        self.answer(self.state["clusters"][-1:])

    def doctl_kubernetes_cluster_delete(self, arguments):
        cluster = self.cluster(arguments[0])
        if self.one("force") != "true":
            raise Refused("would ask")
        cluster["status"]["state"] = "deleting"
        cluster["once_more"] = True
        if self.one("dangerous"):
            self.state["volumes"], self.state["balancers"] = [], []

    def doctl_kubernetes_cluster_delete_selective(self, arguments):
        self.doctl_kubernetes_cluster_delete(arguments)
        gone = self.one("load-balancers").split(",")
        self.state["balancers"] = [it for it in self.state["balancers"] if it["id"] not in gone]

    def doctl_kubernetes_cluster_list_associated_resources(self, arguments):
        self.cluster(arguments[0])
        self.answer({"volumes": self.state["volumes"], "volume_snapshots": [], "load_balancers": self.state["balancers"]})

    def doctl_kubernetes_cluster_node_pool_list(self, arguments):
        self.answer(self.cluster(arguments[0])["node_pools"])

    def doctl_kubernetes_cluster_node_pool_create(self, arguments):
        settings = {name: values[-1] for name, values in self.options.items() if name != "output"}
        self.cluster(arguments[0])["node_pools"].append(self.pool(settings))
        self.answer([])

    def doctl_kubernetes_cluster_registry_add(self, arguments):
        self.cluster(arguments[0])["registry_enabled"] = True

    def doctl_kubernetes_cluster_kubeconfig_save(self, arguments):
        cluster = self.cluster(arguments[0])
        self.state["contexts"]["do-" + cluster["region"] + "-" + cluster["name"]] = cluster["endpoint"]
        self.tell("Notice: Adding cluster credentials to kubeconfig file")

    # ---- kubectl

    def kubectl(self, path, arguments):
        if path == "config view":
            contexts = self.state["contexts"]
            self.answer(
                {
                    "kind": "Config",
                    "clusters": [{"name": it, "cluster": {"server": at}} for it, at in contexts.items()] or None,
                    "contexts": [{"name": it, "context": {"cluster": it, "user": "u"}} for it in contexts] or None,
                }
            )
            return
        if path == "kustomize":
            self.say("kind: List # of " + arguments[0])
            return
        self.reach("context")
        getattr(self, "kubectl_" + path.replace(" ", "_"))(arguments)

    def reach(self, flag):
        context = self.one(flag)
        if context is None:
            raise Refused("no context is named: it would go to whatever cluster is current")
        server = self.state["contexts"].get(context)
        if not server:
            self.fail('context "' + context + '" does not exist')
        if not any(it.get("endpoint") == server and it["status"]["state"] == "running" for it in self.state["clusters"]):
            self.fail("Unable to connect to the server")

    def need_namespace(self, code=1):
        namespace = self.one("namespace")
        if namespace not in (None, "kube-system") and namespace not in self.state["namespaces"]:
            self.fail('namespaces "' + namespace + '" not found', code)

    def source(self):
        if self.one("kustomize"):
            return "kustomize " + self.one("kustomize")
        if self.one("filename") == "-":
            return self.stdin
        return self.one("filename")

    def kubectl_diff(self, _):
        self.need_namespace(2)
        raise Ended(0 if self.source() in self.state["applied"] else 1)

    def kubectl_apply(self, _):
        self.need_namespace()
        if not self.stdin and self.one("filename") == "-":
            self.fail("no objects passed to apply")
        source = self.source()
        self.state["applied"].append(source)
        with_json = None
        try:
            with_json = json.loads(self.stdin)
        except ValueError:
            pass
        for it in (with_json or {}).get("items", [with_json] if with_json else []):
            if it["kind"] == "Namespace":
                self.state["namespaces"][it["metadata"]["name"]] = it["metadata"]["labels"]
            self.state["objects"].append(it["kind"].lower() + "/" + it["metadata"]["name"])
            self.state["content"][it["kind"].lower() + "/" + it["metadata"]["name"]] = it
        if "gateway-api" in source:
            self.state["objects"].append("crd/httproutes.gateway.networking.k8s.io")
        self.say("applied/" + source[:20])

    def kubectl_create_secret_generic(self, arguments):
        self.need_namespace()
        name = "secret/" + arguments[0]
        if name in self.state["objects"]:
            self.fail('secrets "' + arguments[0] + '" already exists')
        if self.options["from-env-file"] != ["/dev/stdin"]:
            raise Refused("a secret that is not from standard input")
        self.state["objects"].append(name)
        self.state["secrets"][arguments[0]] = dict(it.split("=", 1) for it in self.stdin.splitlines())

    def kubectl_get(self, arguments):
        kind = arguments[0]
        if kind == "nodes":
            pools = [pool for it in self.state["clusters"] for pool in it["node_pools"]]
            total = sum(it["count"] for it in pools)
            ready = min(total, self.state["nodes_ready"])
            self.state["nodes_ready"] += 3
            self.answer(
                {
                    "items": [
                        {
                            "kind": "Node",
                            "status": {"conditions": [{"type": "Ready", "status": "True" if n < ready else "False"}]},
                        }
                        for n in range(total)
                    ]
                }
            )
        elif kind.startswith("kafkas."):
            self.need_namespace()
            ready = str(self.state["kafka_looks"] > 0)
            self.state["kafka_looks"] += 1
            self.answer(
                {
                    "items": [
                        {
                            "kind": kind,
                            "metadata": {"name": name},
                            "status": {"conditions": [{"type": "Ready", "status": ready}]},
                        }
                        for kind, name in (("Kafka", "kafka-cluster"), ("KafkaUser", "u"), ("KafkaTopic", "t"))
                    ]
                }
            )
        elif kind == "secrets":
            enabled = any(it.get("registry_enabled") for it in self.state["clusters"])
            if enabled:
                self.say("secret/" + self.state["registry"])
        else:
            if self.options.get("ignore-not-found") != ["true"] or self.options.get("output") != ["name"]:
                raise Refused("asks for more than a name: " + kind)
            if kind + "/" + arguments[1] in self.state["objects"]:
                self.say(kind + "/" + arguments[1])

    # ---- helm, docker

    def helm(self, path, arguments):
        if path == "show crds":
            self.say("kind: CustomResourceDefinition # of " + arguments[0])
            return
        self.reach("kube-context")
        release = self.state["releases"].get(arguments[0])
        if path == "history":
            if not release:
                self.fail("release: not found")
            self.answer([release])
        elif path == "get values":
            if not release:
                self.fail("release: not found")
            self.answer(release["values"])
        elif path == "upgrade":
            self.need_namespace()
            chart, version = arguments[1].rsplit("/", 1)[-1], self.one("version") or "0.1.0"
            for it in self.options.get("values", []):
                if not os.path.exists(it):
                    self.fail("open " + it + ": no such file or directory")
            tag = next((it.split("=", 1)[1] for it in self.options.get("set-string", []) if it.startswith("image.tag=")), None)
            self.state["releases"][arguments[0]] = {
                "revision": (release or {"revision": 0})["revision"] + 1,
                "updated": "2026-01-01T00:00:00Z",
                "status": "deployed",
                "chart": chart + "-" + version,
                "app_version": version,
                "description": self.one("description"),
                "values": {"image": {"tag": tag}} if tag else None,
            }

    def docker(self, path, arguments):
        if path == "push":
            self.state["tags"].append(arguments[0].rsplit(":", 1)[1])


NOTHING = {
    "logged_in": True,
    "vpcs": [],
    "vpc_busy": 0,
    "registry": None,
    "tags": ["v1", "v2"],
    "databases": [],
    "rules": [],
    "clusters": [],
    "contexts": {},
    "namespaces": {},
    "objects": [],
    "content": {},
    "secrets": {},
    "applied": [],
    "releases": {},
    "fail": {},
    "nodes_ready": 3,
    "kafka_looks": 0,
    "volumes": [],
    "balancers": [],
}
SECRETS = {
    "DATABASE_URL": "postgres://ada:pg%2FS3CR3T@db.example.com:5432/wealth?sslmode=require",
    "REDIS_URL": "rediss://default:redis%2FS3CR3T@cache.example.com:6380/0",
    "JWT_SECRET_KEY": "k2:second-jwt-S3CR3T,k1:first-jwt-S3CR3T",
    "GEMINI_API_KEY": "gemini-S3CR3T=",
    "SMTP_URL": "smtps://ada:smtp%2FS3CR3T@mail.example.com",
    "ALERT_PAGES_URL": "https://hooks.example.com/pages-S3CR3T",
    "ALERT_TICKETS_URL": "https://hooks.example.com/tickets-S3CR3T",
    "ALERT_HEARTBEAT_URL": "https://hooks.example.com/heartbeat-S3CR3T",
}
UP = ("up", "--image-tag", "v1")


def checkout(folder):
    """A checkout with what doks applies: its own files alone, so that the tests hold while others change."""
    for path, text in {
        "helm/wealth-companion/Chart.yaml": "name: wealth-companion\n",
        "helm/wealth-companion/values-production.yaml": "{}\n",
        "helm/observability/kustomization.yaml": "resources: []\n",
        "helm/observability/kube-prometheus-stack.values.yaml": "{}\n",
        "helm/observability/loki.values.yaml": "{}\n",
        "helm/observability/alloy.values.yaml": "{}\n",
        "strimzi/overlays/production/kustomization.yaml": "resources: []\n",
        "dapr/kustomization.yaml": "resources: []\n",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    (folder / "tools").mkdir()
    shutil.copy(DOKS, folder / "tools" / "doks")


class Story(unittest.TestCase):
    made = None  # what the world is after `up`, for those who begin there

    @classmethod
    def setUpClass(cls):
        cls.base = pathlib.Path(tempfile.mkdtemp(prefix="test-doks-"))
        cls.addClassCleanup(shutil.rmtree, cls.base)
        checkout(cls.base / "checkout")
        programs = cls.base / "bin"
        programs.mkdir()
        for name in ("doctl", "kubectl", "helm", "docker"):
            (programs / name).write_text(CLIENT, encoding="utf-8")
            (programs / name).chmod(0o755)
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        cls.server = server
        cls.addClassCleanup(server.server_close)
        cls.addClassCleanup(server.shutdown)

    def setUp(self):
        self.world = self.server.world = World()
        self.set(**NOTHING)
        self.environment = dict(SECRETS)

    # ---- Tools of the stories

    @property
    def state(self):
        return copy.deepcopy(self.world.state)

    def set(self, **changes):
        self.world.state.update(copy.deepcopy(changes))

    def changes(self):
        return [" ".join(it["argv"]) for it in self.world.calls if it["changes"]]

    def doks(self, *argv, code=0, answer="", path=None):
        """Runs it. Whatever the story: no secret is seen anywhere, and no program refuses what it is told."""
        self.world.calls.clear()
        argv = (argv[0], "--poll", "0.01", *argv[1:])
        environment = {
            "PATH": path or f"{self.base / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.base),
            "DOUBLE_PORT": str(self.server.server_address[1]),
            "LC_ALL": "C.UTF-8",
            **self.environment,
        }
        done = subprocess.run(
            [PYTHON, "-IS", str(self.base / "checkout" / "tools" / "doks"), *argv],
            input=answer,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        seen = done.stdout + done.stderr + "".join(" ".join(it["argv"]) for it in self.world.calls)
        self.assertNotIn("S3CR3T", seen)
        for made in self.state["secrets"].values():
            for value in made.values():
                if (
                    len(value) > 12
                    and "example.com:" not in value
                    and "ondigitalocean" not in value
                    and value != "http://127.0.0.1:9/"
                ):
                    self.assertNotIn(value, seen)
        self.assertEqual([it["refused"] for it in self.world.calls if "refused" in it], [])
        return done

    def begin_made(self):
        """The world as `up` leaves it."""
        if Story.made is None:
            self.doks(*UP)
            Story.made = self.state
        self.set(**Story.made)

    def assertOneLine(self, done, *words):
        lines = [it for it in done.stderr.splitlines() if it.startswith("doks: ")]
        self.assertEqual(len(lines), 1, done.stderr)
        for word in words:
            self.assertIn(word, lines[0])


class Up(Story):
    def test_from_nothing_and_then_again(self):
        done = self.doks(*UP)
        state = self.state
        cluster = state["clusters"][0]
        self.assertEqual(
            (cluster["ha"], cluster["auto_upgrade"], cluster["surge_upgrade"], cluster["vpc_uuid"]), (True, True, True, "vpc-1")
        )
        self.assertEqual(cluster["maintenance_policy"]["day"], "sunday")
        system, kafka = cluster["node_pools"]
        self.assertEqual((system["size"], system["count"], system["min_nodes"], system["max_nodes"]), ("s-4vcpu-8gb", 3, 3, 6))
        self.assertEqual(kafka["taints"], [{"Key": "dedicated", "Value": "kafka", "Effect": "NoSchedule"}])
        self.assertEqual(state["namespaces"]["wealth-companion"], {"pod-security.kubernetes.io/enforce": "restricted"})
        self.assertEqual(
            list(state["releases"]),
            [
                "metrics-server",
                "cert-manager",
                "kube-prometheus-stack",
                "loki",
                "alloy",
                "strimzi",
                "dapr",
                "keda",
                "wealth-companion",
            ],
        )
        self.assertEqual(
            state["secrets"]["wealth-companion"],
            {it: SECRETS[it] for it in ("DATABASE_URL", "REDIS_URL", "JWT_SECRET_KEY", "GEMINI_API_KEY", "SMTP_URL")},
        )
        self.assertEqual(
            state["secrets"]["wealth-companion-redis"],
            {"host": "cache.example.com:6380", "password": "redis/S3CR3T", "tls": "true"},
        )
        self.assertEqual(state["secrets"]["alertmanager-receivers"]["pages-url"], SECRETS["ALERT_PAGES_URL"])
        product = self.changes()[-1]
        self.assertIn("helm upgrade --install wealth-companion helm/wealth-companion", product)
        for part in (
            "--values helm/wealth-companion/values-production.yaml",
            "--set-string image.tag=v1",
            "--atomic --timeout 10m",
            "--set image.repository=registry.digitalocean.com/wealth-companion/wealth-companion",
            "--set image.pullSecrets={wealth-companion}",
            "--set route.kind=none",
        ):
            self.assertIn(part, product)
        order = [
            self.find(it)
            for it in (
                "vpcs create",
                "registry create",
                "cluster create",
                "registry add",
                "kubeconfig save",
                "secret generic",
                "strimzi-kafka-operator",
                "overlays/production",
                "--install dapr",
                "--kustomize dapr/",
                "--install keda",
                "--install wealth-companion",
            )
        ]
        self.assertEqual(order, sorted(order))
        # Each command was told before it ran, and waiting was seen.
        for call in self.world.calls:
            self.assertIn(" ".join(call["argv"][:4]).replace("'", ""), done.stdout.replace("'", ""))
        self.assertIn("provisioning", done.stdout)

        Story.made = self.state
        done = self.doks(*UP)
        self.assertEqual(self.changes(), [])
        self.assertIn("Nothing had to be done.", done.stdout)

    def find(self, part):
        return next(number for number, it in enumerate(self.changes()) if part in it)

    def test_what_plan_tells_is_what_up_does(self):
        planned = json.loads(self.doks("plan", "--image-tag", "v1", "--json").stdout)
        self.assertEqual(self.changes(), [])
        self.assertTrue(planned["looked"])
        told = [" ".join(argv) for step in planned["steps"] for argv in step["commands"]]
        self.doks(*UP)
        known = {"<VPC-ID>": "vpc-1", "<CLUSTER-ID>": "cluster-1", "{<PULL-SECRET>}": "{wealth-companion}"}
        for name, value in known.items():
            told = [it.replace(name, value) for it in told]
        done = [re.sub(r"(install wealth-companion .*)doks:\w+", r"\1doks:<DIGEST>", it) for it in self.changes()]
        self.assertEqual(told, done)
        # And a plan afterwards has nothing to do.
        planned = json.loads(self.doks("plan", "--image-tag", "v1", "--json").stdout)
        self.assertEqual([it["step"] for it in planned["steps"] if not it["there"]], [])
        self.assertIn("Nothing to do.", self.doks("plan", "--image-tag", "v1").stdout)

    def test_interrupted_after_the_cluster_it_goes_on(self):
        self.set(fail={"kubeconfig save": "the network is gone"})
        done = self.doks(*UP, code=1)
        self.assertOneLine(done, "kubeconfig", "the network is gone", "it goes on here")
        self.set(fail={})
        # While the cluster was left alone it was provisioned again, say: its state is looked at anew.
        self.set(clusters=[{**self.state["clusters"][0], "status": {"state": "provisioning"}}])
        self.doks(*UP)
        self.assertFalse([it for it in self.changes() if "vpcs create" in it or "cluster create" in it or "registry add" in it])
        self.assertEqual(self.state["releases"]["wealth-companion"]["status"], "deployed")

    def test_a_pool_that_is_missing_is_made(self):
        self.begin_made()
        cluster = self.state["clusters"][0]
        self.set(clusters=[{**cluster, "node_pools": cluster["node_pools"][:1]}])
        self.doks(*UP)
        self.assertEqual(
            self.changes(),
            [
                "doctl kubernetes cluster node-pool create wealth-companion --name kafka --size s-4vcpu-8gb --count 3 "
                "--taint dedicated=kafka:NoSchedule --output json"
            ],
        )

    def test_managed_databases_answer_the_cluster_alone_and_are_verified(self):
        for name in ("DATABASE_URL", "REDIS_URL"):
            del self.environment[name]
        self.doks(*UP, "--postgres", "--valkey")
        state = self.state
        certificates = "/etc/wealth-companion/certificates"
        self.assertEqual(
            state["secrets"]["wealth-companion"]["DATABASE_URL"],
            "postgresql://doadmin:AVNS_pgS3CR3T@private-wealth-companion-postgres.db.ondigitalocean.com:25060/defaultdb"
            f"?sslmode=verify-full&sslrootcert={certificates}/postgres.crt",
        )
        self.assertEqual(state["secrets"]["wealth-companion-redis"]["tls"], "true")
        self.assertEqual(
            [(it["cluster_uuid"], it["type"], it["value"]) for it in state["rules"]],
            [("db-pg", "k8s", "cluster-1"), ("db-valkey", "k8s", "cluster-1")],
        )
        self.assertEqual(sorted(state["content"]["configmap/wealth-companion-ca"]["data"]), ["postgres.crt", "valkey.crt"])
        self.assertIn("--set certificates.configMap=wealth-companion-ca", self.changes()[-1])
        self.doks(*UP, "--postgres", "--valkey")
        self.assertEqual(self.changes(), [])

    def test_a_domain_gets_a_route_and_a_certificate(self):
        self.begin_made()
        self.doks(*UP, "--domain", "api.example.org", "--acme-email", "ops@example.org")
        self.assertEqual(self.state["content"]["clusterissuer/letsencrypt"]["spec"]["acme"]["email"], "ops@example.org")
        self.assertEqual(len(self.changes()), 2)
        self.assertIn("--set route.hosts={api.example.org} --set route.clusterIssuer=letsencrypt", self.changes()[-1])
        # Who asks is told from who asks in between: the pods' range and the nodes'.
        self.assertIn("--set config.http.trusted_proxies=192.168.0.0/20\\,10.114.0.0/20 ", self.changes()[-1])

    def test_another_tag_changes_the_product_and_nothing_else(self):
        self.begin_made()
        self.doks("up", "--image-tag", "v2")
        self.assertEqual(len(self.changes()), 1)
        self.assertEqual(self.state["releases"]["wealth-companion"]["values"]["image"]["tag"], "v2")
        self.doks("up")  # without a tag, what runs stays
        self.assertEqual(self.changes(), [])

    def test_changed_values_are_applied(self):
        self.begin_made()
        values = self.base / "checkout/helm/observability/loki.values.yaml"
        before = values.read_text(encoding="utf-8")
        self.addCleanup(values.write_text, before, encoding="utf-8")
        values.write_text("loki: {}\n", encoding="utf-8")
        self.doks(*UP)
        self.assertEqual([it.split()[3] for it in self.changes()], ["loki"])

    def test_a_newer_operator_brings_its_definitions_first(self):
        self.begin_made()
        releases = self.state["releases"]
        releases["strimzi"].update(chart="strimzi-kafka-operator-1.1.0", description="Install complete")
        releases["keda"].update(chart="keda-2.18.0", description="Install complete")
        self.set(releases=releases)
        done = self.doks(*UP)
        self.assertEqual([re.sub(r" -.*", "", it) for it in self.changes()], ["kubectl", "helm upgrade", "helm upgrade"])
        self.assertIn("helm show crds oci://quay.io/strimzi-helm/strimzi-kafka-operator --version 1.2.0 | kubectl", done.stdout)

    def test_what_the_cluster_brings_is_left_alone(self):
        self.set(objects=["crd/httproutes.gateway.networking.k8s.io", "apiservice/v1beta1.metrics.k8s.io"])
        self.doks(*UP)
        self.assertFalse([it for it in self.changes() if "gateway-api" in it or "metrics-server" in it])

    def test_another_registry_is_not_made(self):
        self.doks("up", "--image-tag", "v1", "--image-repository", "ghcr.io/example/wealth-companion")
        self.assertFalse([it for it in self.changes() if "registry" in it])
        self.assertNotIn("pullSecrets", self.changes()[-1])

    def test_an_image_that_is_missing_is_built_when_asked_for(self):
        done = self.doks("up", "--image-tag", "v3", code=1)
        self.assertOneLine(done, "image", "registry.digitalocean.com/wealth-companion/wealth-companion:v3", "--build")
        self.assertEqual(self.state["clusters"], [])
        self.doks("up", "--image-tag", "v3", "--build")
        self.assertIn("docker push registry.digitalocean.com/wealth-companion/wealth-companion:v3", self.changes())


class Trouble(Story):
    def test_a_command_that_fails_is_told_in_one_line(self):
        self.set(fail={"--install dapr": "UPGRADE FAILED: context deadline exceeded"})
        done = self.doks(*UP, code=1)
        self.assertOneLine(done, "dapr", "context deadline exceeded", "--namespace dapr-system get pods")
        self.assertNotIn("keda", self.state["releases"])

    def test_what_doctl_says_is_found_in_its_json(self):
        self.set(
            fail={
                "cluster create": 'POST https://api.digitalocean.com/v2/kubernetes/clusters: 422 (request "r") droplet limit exceeded'
            }
        )
        self.assertOneLine(self.doks(*UP, code=1), "droplet limit exceeded", "DropletLimit")

    def test_a_secret_in_an_error_is_not_repeated(self):
        self.set(
            fail={"create secret generic wealth-companion ": "cannot keep " + SECRETS["DATABASE_URL"] + " nor first-jwt-S3CR3T"}
        )
        self.assertOneLine(self.doks(*UP, code=1), "cannot keep ***")

    def test_doctl_is_not_logged_in(self):
        self.set(logged_in=False)
        self.assertOneLine(self.doks(*UP, code=2), "not logged in", "doctl auth init")
        self.assertOneLine(self.doks("down", "--yes", code=2), "doctl auth init")
        self.assertEqual(self.changes(), [])
        plan = self.doks("plan", "--image-tag", "v1").stdout
        self.assertIn("Nothing was looked at", plan)
        self.assertIn("doctl kubernetes cluster create", plan)

    def test_no_programs_at_all(self):
        plan = json.loads(self.doks("plan", "--json", path="/nonexistent").stdout)
        self.assertEqual((plan["looked"], {it["there"] for it in plan["steps"]}), (False, {None}))
        self.assertOneLine(self.doks(*UP, code=2, path="/nonexistent"), "missing: doctl, kubectl, helm")

    def test_secrets_that_are_missing_are_told_before_anything_is_made(self):
        self.environment = {"REDIS_URL": SECRETS["REDIS_URL"]}
        done = self.doks(*UP, code=2)
        self.assertOneLine(done, "ALERT_HEARTBEAT_URL, ALERT_PAGES_URL, ALERT_TICKETS_URL, DATABASE_URL, JWT_SECRET_KEY")
        self.assertEqual(self.changes(), [])
        self.assertIn("To be set in the environment: ALERT", self.doks("plan").stdout)

    def test_secrets_that_are_in_the_cluster_are_not_asked_for(self):
        self.begin_made()
        self.environment = {}
        self.doks(*UP)
        self.assertEqual(self.changes(), [])

    def test_alerts_for_nobody_have_to_be_asked_for(self):
        for name in list(self.environment):
            if name.startswith("ALERT"):
                del self.environment[name]
        self.doks(*UP, "--no-receivers")
        self.assertEqual(set(self.state["secrets"]["alertmanager-receivers"].values()), {"http://127.0.0.1:9/"})

    def test_no_tag_and_nothing_that_runs(self):
        self.assertOneLine(self.doks("up", code=2), "--image-tag is missing")
        self.assertEqual(self.changes(), [])

    def test_a_release_that_somebody_is_at(self):
        self.begin_made()
        releases = self.state["releases"]
        releases["loki"]["status"] = "pending-upgrade"
        self.set(releases=releases)
        self.assertOneLine(self.doks(*UP, code=1), "loki is pending-upgrade", "rollback loki")

    def test_names_that_are_taken(self):
        self.set(registry="other")
        self.assertOneLine(self.doks(*UP, code=2), "give --registry other")
        self.set(registry=None, vpcs=[{"id": "v", "name": "wealth-companion", "region": "nyc1"}])
        self.assertOneLine(self.doks(*UP, code=2), "give --region nyc1")
        self.assertEqual(self.changes(), [])

    def test_wrong_arguments(self):
        for argv in (
            ("up", "--nodes", "0"),
            ("up", "--nodes", "7"),
            ("up", "--acme-email", "a@b.c"),
            ("up", "--maintenance-window", "noon"),
            ("down", "--also", "everything"),
            ("sideways",),
        ):
            self.doks(*argv, code=2)
        self.assertEqual(self.world.calls, [])


class Down(Story):
    def setUp(self):
        super().setUp()
        self.begin_made()
        self.set(balancers=[{"id": "lb-1", "name": "a"}], volumes=[{"id": "vol-1", "name": "pvc-1"}], vpc_busy=2)

    def test_it_asks_for_the_name(self):
        for answer in ("", "y\n", "wealth\n"):
            self.assertOneLine(self.doks("down", code=2, answer=answer), "nothing was destroyed")
            self.assertEqual(self.changes(), [])
        done = self.doks("down", answer="wealth-companion\n")
        self.assertEqual(
            self.changes(),
            [
                "doctl kubernetes cluster delete-selective cluster-1 --load-balancers lb-1 --force",
                *["doctl vpcs delete vpc-1 --force"] * 3,
            ],
        )
        self.assertIn("Stays, and costs: 1 volumes", done.stdout)
        state = self.state
        self.assertEqual((state["clusters"], state["vpcs"], state["balancers"], len(state["volumes"])), ([], [], [], 1))
        self.assertEqual(state["registry"], "wealth-companion")
        self.assertIn("Nothing to destroy.", self.doks("down", "--yes").stdout)

    def test_data_goes_only_when_told(self):
        base = {"id": "db-pg", "name": "wealth-companion-postgres", "engine": "pg", "status": "online"}
        self.set(databases=[base, {**base, "id": "x", "name": "somebody-elses"}])
        self.doks("down", "--yes")
        self.assertFalse([it for it in self.changes() if "databases" in it or "vpcs" in it])
        self.doks("down", "--yes", "--also", "databases,registry")
        self.assertEqual([it["name"] for it in self.state["databases"]], ["somebody-elses"])
        self.assertEqual((self.state["registry"], self.state["vpcs"]), (None, []))

    def test_volumes_go_with_the_cluster_when_told(self):
        self.doks("down", "--yes", "--also", "volumes")
        self.assertIn("doctl kubernetes cluster delete cluster-1 --dangerous --force", self.changes())
        self.assertEqual(self.state["volumes"], [])


class Doubles(Story):
    """The doubles are as strict as what they stand for, or the stories above would prove nothing."""

    def refused(self, program, *argv):
        self.world.calls.clear()
        code, _, _ = self.world.call(program, argv, "")
        self.assertNotEqual(code, 0)
        return self.world.calls[0].get("refused", "")

    def test_they_refuse_what_the_programs_refuse(self):
        for argv, why in (
            (("vpcs", "create", "--name", "a"), "--region"),
            (("vpcs", "create", "--name", "a", "--region", "b", "--cidr", "c"), "unknown flag: --cidr"),
            (("vpcs", "list"), "asks for JSON"),
            (("vpcs", "destroy"), "unknown command"),
            (("kubernetes", "cluster", "get", "--output", "json"), "number of arguments"),
            (("kubernetes", "cluster", "node-pool", "create", "a", "--name", "b", "--size", "c"), "--count"),
            (("databases", "list", "-o", "json"), "short flags"),
            (("registry", "create", "a"), "--subscription-tier"),
        ):
            self.assertIn(why, self.refused("doctl", *argv))
        self.assertIn("no context", self.refused("kubectl", "get", "secret", "a"))
        self.assertIn("no context", self.refused("helm", "history", "a"))
        self.assertIn("unknown flag", self.refused("helm", "upgrade", "a", "b", "--kube-context", "c", "--wait-long"))

    def test_whose_flags_they_know_is_written_down(self):
        for program in ("doctl", "kubectl", "helm"):
            self.assertTrue(FLAGS[program]["version"] and FLAGS[program]["from"])

    def test_doks_can_be_run(self):
        self.assertTrue(os.access(DOKS, os.X_OK))


if __name__ == "__main__":
    unittest.main()
