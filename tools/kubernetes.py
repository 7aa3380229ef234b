#!/usr/bin/env python3
"""A real Kubernetes of one node, for developers and tests: no virtual machine, no container service, no registry.

    kubernetes.py up                 build and install what is missing, start the cluster; again: what does not run
    kubernetes.py run -- kubectl get pods --all-namespaces
    kubernetes.py image wealth-companion:test --file Dockerfile --context . --network
                                     build an image and put it into the node
    kubernetes.py status             what runs; exit code 0 if all of it does
    kubernetes.py down               end all of it and forget it
    kubernetes.py build              only what `up` builds; `built`: exit code 0 if nothing is missing

It is Kubernetes 1.35 as it is anywhere: API server, controllers, scheduler, etcd; one node with kubelet, containerd and
kube-proxy; CoreDNS, metrics (so that a HorizontalPodAutoscaler has numbers), network policies that hold (kube-router),
Pod Security admission, and Dapr's control plane, whose sidecars satisfy `restricted`. Known are the resources of
the Prometheus operator, the Gateway API, KEDA and cert-manager: their definitions, not who acts on them.

All of it lives in a network of its own, out of which no way leads: `run` enters it, with KUBECONFIG and PATH set.
Images come from here, with imagePullPolicy Never or IfNotPresent; Dockerfiles find docker.io/library/debian:bookworm-slim
and docker.io/library/rust:VERSION-slim-bookworm, both made on this machine (the latter for its version of Rust).
State is in .cluster beside the code; what was built is in ~/.cache/wealth-companion.

Needs root, Debian 12, Go and 4 GiB of memory. Building everything takes half an hour on two cores, once; after that the
cluster is up in a minute.
"""

import argparse
import json
import os
import pathlib
import sys

sys.dont_write_bytecode = True

from kubernetes import cluster, images, programs  # noqa: E402
from stack.machine import StackError, ended, say  # noqa: E402


def parse_arguments():
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="kubernetes", description=__doc__, formatter_class=as_written)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name, about, more=None):
        return commands.add_parser(name, help=about, description=more or about)

    command("build", "install Debian's packages and build the programs that are missing")
    command("built", "exit code 0 if `build` has nothing to do; otherwise 1, and one line says what is missing")
    command("up", "build what is missing, start what does not run, install what is not installed")
    command("down", "end every process of the cluster and forget all of it; what was built stays in the cache")
    status = command("status", "what runs; exit code 0 if everything does and the node is ready")
    status.add_argument("--json", action="store_true", help="for programs")
    run = command("run", "run a command in the cluster's network, with KUBECONFIG and PATH set: run -- kubectl get nodes",
                  "Runs a command in the cluster's network, where services and pods can be reached by their addresses, with "
                  "kubectl and helm on the PATH and KUBECONFIG set. There is no way out of that network.")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="the command and its arguments")
    image = command("image", "build an image and put it into the node",
                    "Builds an image from a Dockerfile and puts it into the node, where pods find it under its name "
                    "(localhost/NAME for one without a registry) with imagePullPolicy Never or IfNotPresent.")
    image.add_argument("name", metavar="NAME[:TAG]")
    image.add_argument("--file", required=True, type=pathlib.Path, help="the Dockerfile")
    image.add_argument("--context", required=True, type=pathlib.Path, help="the folder that it copies from")
    image.add_argument("--build-arg", metavar="NAME=VALUE", action="append", default=[], type=name_and_value)
    image.add_argument("--network", action="store_true", help="RUN steps reach the registries of packages as this machine does")
    return parser.parse_args()


def name_and_value(text):
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def main():
    arguments = parse_arguments()
    return ended("kubernetes", lambda: globals()["do_" + arguments.command](arguments))


def do_build(_arguments):
    programs.build(images.default_log())


def do_built(_arguments):
    missing = programs.missing()
    if missing:
        say(f"missing: {', '.join(missing)} (tools/kubernetes.py build)")
    return 1 if missing else 0


def do_up(_arguments):
    cluster.up()


def do_down(_arguments):
    cluster.down()


def do_status(arguments):
    found = cluster.status()
    if arguments.json:
        json.dump(found, sys.stdout, indent=2)
        print()
    elif not found["processes"]:
        print("no cluster runs here")
    else:
        for row in found["processes"]:
            memory = f"{row['memory_mib']:>6} MiB" if row.get("memory_mib") else ""
            print(f"{row['name']:<19} {row['state']:<8} {row.get('pid', ''):>8} {memory}".rstrip())
        print(f"with {found['pods']} pods, of which {found['pods_ready']:>2} are ready {found['memory_mib']:>7} MiB")
    return 0 if found["ok"] else 1


def do_run(arguments):
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    if not words:
        raise StackError("a command is missing: tools/kubernetes.py run -- kubectl get nodes")
    command = cluster.command(words)
    os.execvp(command[0], command)


def do_image(arguments):
    name = arguments.name if "/" in arguments.name else f"localhost/{arguments.name}"
    name = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    cluster.command([])
    images.bases()
    images.build(name, arguments.file, arguments.context, dict(arguments.build_arg), arguments.network)
    images.load(name)
    print(name)


if __name__ == "__main__":
    sys.exit(main())
