#!/usr/bin/env python3
"""Runs every command of the documentation, so that none of them is a promise only.

Each block fenced with ```sh in the given Markdown files is run by bash, in the order of the pages, beside a
server with an empty data folder on the default ports. With --stack it is each block fenced with ```sh stack, beside
the roles of `make run-stack`. Passed over are `make run` and `make run-stack`, which do not end, `make stack-stop`,
which would end what is needed, and `make test`, a stage of its own.

    run_docs.py --binary target/debug/wealth-companion README.md docs/*.md

Exit code: 0 all commands work, 1 one does not (it is shown with what it printed), 2 it could not be tried.
"""

import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

BLOCK = re.compile(r"^```(sh(?: stack)?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PASSED_OVER = re.compile(r"^make (run|run-stack|stack-stop|test)\b.*$", re.MULTILINE)
ROOT = pathlib.Path(__file__).resolve().parent.parent
START_SECS_MAX = 60
BLOCK_SECS_MAX = 600
STOP_SECS_MAX = 60


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, type=pathlib.Path, help="the server, built")
    parser.add_argument("--stack", action="store_true", help="the commands for the real parts, on the three roles")
    parser.add_argument("pages", nargs="+", type=pathlib.Path, help="Markdown files")
    args = parser.parse_args()
    binary = args.binary.resolve()
    if not binary.is_file():
        print(f"run_docs: there is no {binary}: build it first", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        return run_beside_server(binary, args.stack, args.pages, pathlib.Path(folder))


def run_beside_server(binary, stack, pages, folder):
    (folder / "bin").mkdir()
    (folder / "bin" / "wealth-companion").symlink_to(binary)
    environment = dict(os.environ, DATA_DIR=str(folder / "data"))
    environment["PATH"] = f"{folder / 'bin'}:{environment['PATH']}"
    command = [binary, "--data-dir", folder / "data"]
    if stack:
        command = [sys.executable, ROOT / "tools" / "stack.py", "run", "--binary", binary]
    with open(folder / "server.log", "wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        if not wait_until_ready(server, stack):
            print((folder / "server.log").read_text(errors="replace"), file=sys.stderr)
            print("run_docs: the server did not start", file=sys.stderr)
            return 2
        fence = "sh stack" if stack else "sh"
        failed = sum(not run(page, block, environment) for page in pages for block in blocks(page, fence))
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(STOP_SECS_MAX)
    if code != 0:
        print(f"run_docs: the server ended with {code}", file=sys.stderr)
        return 1
    return 1 if failed else 0


def wait_until_ready(server, stack):
    # Of the three roles only the api is at a known address.
    url = "http://127.0.0.1:8080/docs/" if stack else "http://127.0.0.1:9090/readyz"
    deadline = time.monotonic() + START_SECS_MAX
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    return False


def blocks(page, wanted):
    for fence, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        if fence != wanted:
            continue
        block = PASSED_OVER.sub("", block)
        if block.strip():
            yield block


def run(page, block, environment):
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=BLOCK_SECS_MAX, check=False,
    )
    first = block.strip().splitlines()[0]
    print(f"{'ok    ' if done.returncode == 0 else 'FAILED'} {page}: {first}", flush=True)
    if done.returncode != 0:
        print(block + done.stdout.decode(errors="replace") + f"\nexit code {done.returncode}")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
