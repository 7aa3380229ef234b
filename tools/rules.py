#!/usr/bin/env python3
"""Wraps the rule files of dashboards/alerts as resources of the Prometheus operator, in helm/observability/rules.yaml.

    rules.py            writes the file
    rules.py --check    fails when it is not what would be written
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WRAPPED = ROOT / "helm" / "observability" / "rules.yaml"
HEAD = """\
# Made from dashboards/alerts/*.yaml by tools/rules.py: change those, and run it.
"""
RESOURCE = """\
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: wealth-companion-{name}
spec:
"""


def wrapped():
    text = HEAD
    for file in sorted((ROOT / "dashboards" / "alerts").glob("*.yaml")):
        lines = file.read_text(encoding="utf-8").splitlines()
        text += RESOURCE.format(name=file.stem) + "".join(f"  {line}".rstrip() + "\n" for line in lines)
    return text


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    if not sys.argv[1:]:
        WRAPPED.write_text(wrapped(), encoding="utf-8")
    elif not WRAPPED.exists() or WRAPPED.read_text(encoding="utf-8") != wrapped():
        print(f"rules: {WRAPPED.relative_to(ROOT)} is out of date: run tools/rules.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
