#!/usr/bin/env python3
"""The real parts, for tests and for home: PostgreSQL, PgBouncer, Redis, Kafka, and a Dapr sidecar for each role.

    stack.py                     install what is missing, start what does not run (the same as `start`)
    stack.py start --only postgres,redis
    stack.py status              what runs; exit code 0 if all that was started does
    stack.py logs kafka -f       what a part says
    eval "$(stack.py env)"       DATABASE_URL and the like, for this shell; `env api`: all that a role is given
    stack.py observe             Jaeger, a log store, Prometheus and Alertmanager beside it, and where they are
    stack.py run                 the three roles of the product on it, until Ctrl-C
    stack.py stop                stop everything; `--wipe` also forgets the data
    stack.py compose-env         for those who have Docker: passwords for compose.yaml

Everything is private to one folder, .stack beside the code (WEALTH_STACK_DIR names another): data, logs,
passwords. It listens on 127.0.0.1 only, on ports that were free at the first start and are kept. No service of
the system is started or configured. daprd and Kafka are built once, into ~/.cache/wealth-companion.

Tests and tools read .stack/stack.json (mode 0600). A section is there once the part was started, and stays when it
is stopped:

    {
      "postgres":  {"host", "port", "user", "password",
                    "url": "postgres://…/postgres, a superuser, not through the pooler", "ca_file": "for TLS"},
      "pgbouncer": {"port", "url": "the same user, any database, pooled by transaction"},
      "redis":     {"port", "password", "url": "redis://:…@127.0.0.1:PORT/0"},
      "kafka":     {"port", "brokers": "127.0.0.1:PORT", "controller_port"},
      "daprd":     {"binary", "version", "config", "working_dir", "environment": {…}},
      "resources": "the folder dapr/local",
      "sidecars":  {"api": {"app_id", "app_port", "http_port", "grpc_port", "metrics_port", "internal_grpc_port"},
                    "projector": …, "notifier": …, "tokens": {"dapr_api_token", "app_api_token"}},
      "jaeger":    {"url": "pages and queries", "otlp_url", "agent": "HOST:PORT over UDP", …},
      "logstore":  {"url": "… + /insert takes what is pushed to Loki"},
      "smtp":      {"port", "tls_port", "url": "smtp://…, STARTTLS", "tls_url": "smtps://…", "ca_file",
                    "mails": "what came, in a folder for each address: tools/stack/smtp/server.py"},
      "toxiproxy": {"url": "takes proxies over HTTP, when somebody has asked for it"},
      "prometheus": {"url"}, "alertmanager": {"url", "webhook_port": "where alerts are sent to"},
      "folder": "where all this is", "folder_id": …
    }

Who starts a sidecar of their own takes `daprd.binary` with `--resources-path resources --config daprd.config`, in
the folder `daprd.working_dir` and with `daprd.environment`. `start --only daprd` builds it and starts nothing.

Needs Python 3.9 (with venv for the mail server), and installs on Debian: PostgreSQL, PgBouncer, Redis, openssl, Java 17 and Maven, Prometheus
and Alertmanager. Go to build daprd, Jaeger, the log store and Toxiproxy has to be there.
"""

import argparse
import json
import os
import sys

sys.dont_write_bytecode = True

from stack import compose, keeper, observers, roles  # noqa: E402
from stack.machine import StackError, ended  # noqa: E402

COLUMNS = ("part", "state", "port", "pid", "up", "memory", "version")


def parse_arguments():
    parser = argparse.ArgumentParser(prog="stack", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def only(command):
        command.add_argument("--only", metavar="PART,PART", default=[], type=lambda text: text.split(","),
                             help="postgres, pgbouncer, redis, kafka, daprd, smtp, sidecar-api, … or sidecars")

    start = commands.add_parser("start", help="install what is missing, start what does not run")
    only(start)
    start.add_argument("--no-install", action="store_true", help="say what is missing instead of installing it")
    status = commands.add_parser("status", help="what runs")
    status.add_argument("--json", action="store_true", help="for programs")
    stop = commands.add_parser("stop", help="stop everything")
    only(stop)
    stop.add_argument("--wipe", action="store_true", help="and remove the data, the passwords and the ports")
    logs = commands.add_parser("logs", help="what the parts said last")
    logs.add_argument("part", nargs="?", help="one of them; `install` for what installing and building said")
    logs.add_argument("-f", "--follow", action="store_true", help="and what they say from now on")
    logs.add_argument("-n", "--lines", type=int, default=40, help="of each (40)")
    env = commands.add_parser("env", help="settings for the product, as lines for a shell")
    env.add_argument("role", nargs="?", choices=roles.ROLES, help="all that this role is given beside its sidecar")
    observe = commands.add_parser("observe", help="start those who watch: Jaeger, a log store, Prometheus, Alertmanager")
    observe.add_argument("--json", action="store_true", help="print where they are for programs")
    run = commands.add_parser("run", help="the three roles on it, until Ctrl-C")
    run.add_argument("--binary", default="target/debug/wealth-companion", help="the product, built (%(default)s)")
    run.add_argument("--no-start", action="store_true", help="the parts run already: compose.yaml, for example")
    commands.add_parser("compose-env", help="write .env with passwords for compose.yaml, and stack.json for its ports")
    arguments = parser.parse_args(sys.argv[1:] or ["start"])
    if arguments.command is None:
        parser.error("a command is missing")
    if arguments.command == "stop" and arguments.wipe and arguments.only:
        parser.error("--wipe is for everything, not with --only")
    return arguments


def main():
    arguments = parse_arguments()
    stack = keeper.Stack(keeper.default_folder())
    do = globals()["do_" + arguments.command.replace("-", "_")]
    return ended("stack", lambda: do(stack, arguments))


def do_start(stack, arguments):
    stack.start(arguments.only, may_install=not arguments.no_install)


def do_observe(stack, arguments):
    stack.start([observer.name for observer in observers.OBSERVERS])
    found = observers.urls(stack.state)
    if arguments.json:
        json.dump({name.lower(): url for name, url in found}, sys.stdout, indent=2)
        print()
        return
    for name, url in found:
        print(f"{name:<13} {url}")
    print("now: make run-stack (roles that run already tell nothing of traces and logs until they start again)")


def do_stop(stack, arguments):
    stack.stop(arguments.only, arguments.wipe)


def do_status(stack, arguments):
    rows, good = stack.status()
    if arguments.json:
        json.dump({"folder": str(stack.folder), "ok": good, "parts": rows}, sys.stdout, indent=2)
        print()
        return 0 if good else 1
    table = [COLUMNS, *(shown(row) for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(COLUMNS))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    return 0 if good else 1


def shown(row):
    minutes, seconds = divmod(row.get("uptime_secs", 0), 60)
    up = f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if "uptime_secs" in row else ""
    memory = f"{row['memory_mib']} MiB" if row.get("memory_mib") else ""
    cells = (row["part"], row["state"], row["port"], row.get("pid"), up, memory, row.get("version"))
    return ["" if cell is None else str(cell) for cell in cells]


def do_logs(stack, arguments):
    folder = stack.folder / "logs"
    paths = [folder / f"{arguments.part}.log"] if arguments.part else sorted(folder.glob("*.log"))
    missing = [path for path in paths if not path.exists()]
    if missing or not paths:
        known = ", ".join(path.stem for path in sorted(folder.glob("*.log")))
        raise StackError(f"no log of {arguments.part or 'anything'} in {folder}" + (f": there are {known}" if known else ""))
    os.execvp("tail", ["tail", "-n", str(arguments.lines), *(["-F"] if arguments.follow else []), *map(str, paths)])


def do_env(stack, arguments):
    known = stack.state.get("sidecars", {}) if arguments.role else stack.state
    if not known or (arguments.role and "app_id" not in known.get(arguments.role, {})):
        raise StackError("nothing was started here yet (make stack)")
    settings = roles.role_settings(stack, arguments.role) if arguments.role else roles.direct_settings(stack)
    sys.stdout.write(roles.as_exports(settings))


def do_run(stack, arguments):
    if not os.access(arguments.binary, os.X_OK):
        raise StackError(f"there is no {arguments.binary}: build it first (make build)")
    return roles.run(stack, os.path.abspath(arguments.binary), start=not arguments.no_start)


def do_compose_env(stack, _arguments):
    compose.write_env(stack)


if __name__ == "__main__":
    sys.exit(main())
