#!/usr/bin/env python3
"""Says what a cluster needs of dashboards/: the rules as objects for Prometheus' operator, the dashboards as ConfigMaps
for Grafana's sidecar. Nothing is copied by hand: the files in dashboards/ are the source.

    python3 tools/observability.py | kubectl apply --server-side -f -
"""

import argparse
import pathlib
import sys
import textwrap

DASHBOARDS = pathlib.Path(__file__).resolve().parent.parent / "dashboards"
NAME = "wealth-companion"


def text_of(path):
    return path.read_text(encoding="utf-8")


def head(api, kind, name, namespace, annotations="", labels=""):
    """What an object begins with. The label part-of finds all of them, to remove them."""
    return (f"apiVersion: {api}\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: {namespace}\n"
            f"  labels:\n    app.kubernetes.io/part-of: {NAME}-observability\n{labels}{annotations}")


def rule(path, namespace):
    """A rule file of Prometheus is the spec of such an object."""
    return head("monitoring.coreos.com/v1", "PrometheusRule", f"{NAME}-{path.stem}", namespace) + (
        "spec:\n" + textwrap.indent(text_of(path), "  "))


def dashboard(path, namespace):
    return head("v1", "ConfigMap", f"{NAME}-{path.stem}", namespace,
                labels='    grafana_dashboard: "1"\n',
                annotations="  annotations:\n    grafana_folder: Wealth Companion\n") + (
        f"data:\n  {NAME}-{path.name}: |\n" + textwrap.indent(text_of(path), "    "))


def objects(namespace):
    return [*(rule(path, namespace) for path in sorted((DASHBOARDS / "alerts").glob("*.yaml"))),
            *(dashboard(path, namespace) for path in sorted(DASHBOARDS.glob("*.json")))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--namespace", default="monitoring", help="where Prometheus and Grafana are (%(default)s)")
    sys.stdout.write("---\n".join(objects(parser.parse_args().namespace)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
