"""What the machine has for a measurement."""

import json
import os
import pathlib
import socket

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def describe_stack():
    folder = pathlib.Path(os.environ.get("WEALTH_STACK_DIR", ROOT / ".stack"))
    try:
        return json.loads((folder / "stack.json").read_text())
    except FileNotFoundError:
        raise SystemExit("bench: run `make stack`: this needs its parts") from None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
