#!/usr/bin/env python3
"""Holds a running server to its own OpenAPI document, with all checks of schemathesis.

Starts the binary on an empty folder and free ports, registers somebody, and calls every operation of its /openapi.json with
what fits the schema and with what does not: there must be no 5xx, no status, header, media type or body that the document
does not have, nothing accepted that it forbids, nothing refused that it allows, nothing to be seen without signing in.
tools/contract/hooks.py has what it cannot know from the document.

    tools/contract.py --binary target/debug/wealth-companion                     # the short form, of CI
    tools/contract.py --binary target/debug/wealth-companion --examples 500 --seed 7

Left out: GET /v1/alerts/stream, which never ends by itself (tests/it/streams.rs).

schemathesis is installed once, from PyPI, into the cache outside the clone: it needs Python 3.11 or newer with venv. Exit
code: 0 all is well, 1 something is not, 2 it could not be checked.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

# The clone stays as it is: compiled modules would be left in it.
sys.dont_write_bytecode = True

from measure.databases import Sqlite  # noqa: E402
from measure.server import Server  # noqa: E402
from stack.builds import cache, key, once, run_shown  # noqa: E402
from stack.machine import StackError, ended  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent / "contract"
REQUIREMENTS = HERE / "requirements.txt"
ENDLESS = "stream_alerts"
EXAMPLES, SEED = 40, 1
PYTHON = (3, 11)
# Of one request: the server answers or gives up by itself long before.
REQUEST_SECS = 60


def schemathesis(log):
    """The interpreter of an environment that has it."""
    if sys.version_info < PYTHON:
        raise StackError(f"missing: Python {PYTHON[0]}.{PYTHON[1]} or newer for schemathesis, this is {sys.version.split()[0]}")
    version = re.search(r"^schemathesis==(\S+)$", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE)[1]
    python = f"py{sys.version_info.major}.{sys.version_info.minor}"

    def build(folder):
        run_shown([sys.executable, "-m", "venv", str(folder)], "making an environment for Python (python3-venv)", log)
        install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--no-deps", "--disable-pip-version-check",
                   "-r", str(REQUIREMENTS)]
        run_shown(install, f"installing schemathesis {version}, once", log)

    made = once(cache() / "schemathesis" / key(f"{version}-{python}", REQUIREMENTS) / "pyvenv.cfg", build)
    return made.with_name("bin") / "python"


def check(python, server, args, folder):
    url = f"http://{server.address}"
    command = [
        python, "-m", "schemathesis.cli", "--config-file", HERE / "schemathesis.toml", "run", f"{url}/openapi.json",
        "--checks", "all", "--exclude-checks", "positive_data_acceptance", "--exclude-operation-id", ENDLESS,
        "--max-examples", str(args.examples), "--seed", str(args.seed), "--request-timeout", str(REQUEST_SECS),
        "--warnings", "off", "--continue-on-failure",
    ]
    # It keeps what it has found, to begin with that: beside the data, so that a seed is always the same run.
    environment = {**os.environ, "CONTRACT_URL": url, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE),
                   "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([str(it) for it in command], cwd=folder, env=environment, check=False).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, type=pathlib.Path, help="the server, built")
    parser.add_argument("--examples", type=int, default=EXAMPLES, metavar="N", help="of each operation at the most [default: %(default)s]")
    parser.add_argument("--seed", type=int, default=SEED, metavar="N", help="what is tried follows from it [default: %(default)s]")
    args = parser.parse_args()
    binary = args.binary.resolve()
    if not binary.is_file():
        raise StackError(f"there is no {binary}: build it first")
    with tempfile.TemporaryDirectory(prefix="wealth-contract-") as folder:
        folder = pathlib.Path(folder)
        python = schemathesis(folder / "install.log")
        with Server(Sqlite(str(binary), folder / "data")) as server:
            found = check(python, server, args, folder)
    print(f"again: make contract ARGS=\"--examples {args.examples} --seed {args.seed}\"")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(ended("contract", main, failed=2))
