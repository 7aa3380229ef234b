"""For those who have Docker: what compose.yaml takes from .env, and the same stack.json as of the private parts."""

from .machine import StackError, say, write_private
from .part import ROOT, new_password
from .postgres import USER
from .sidecars import ROLES, write_secrets

ENV = ROOT / ".env"
# As in compose.yaml.
POSTGRES, PGBOUNCER, REDIS, KAFKA = 5432, 6432, 6379, 9092


def write_env(stack):
    """Passwords once made are kept: the data in the volumes knows them."""
    with stack.alone():
        running = [part.name for part in stack.parts if stack.runs(part)]
        if running:
            raise StackError(f"the private parts run in {stack.folder}: `stack stop` first")
        if (stack.folder / "postgres").exists():
            raise StackError(f"{stack.folder} has data of the private parts: `stack stop --wipe`, or another WEALTH_STACK_DIR")
        kept = read_env()
        password = kept.get("POSTGRES_PASSWORD") or new_password()
        redis = kept.get("REDIS_PASSWORD") or new_password()
        tokens = {name: kept.get(name.upper()) or new_password() for name in ("dapr_api_token", "app_api_token")}
        stack.state.clear()
        stack.state.update(
            postgres={"host": "127.0.0.1", "port": POSTGRES, "user": USER, "password": password,
                      "url": f"postgres://{USER}:{password}@127.0.0.1:{POSTGRES}/postgres"},
            pgbouncer={"port": PGBOUNCER, "url": f"postgres://{USER}:{password}@127.0.0.1:{PGBOUNCER}/postgres"},
            redis={"port": REDIS, "password": redis, "url": f"redis://:{redis}@127.0.0.1:{REDIS}/0"},
            kafka={"port": KAFKA, "brokers": f"127.0.0.1:{KAFKA}"},
            sidecars={role: ports(number, role) for number, role in enumerate(ROLES, 1)},
        )
        stack.state["sidecars"]["tokens"] = tokens
        stack.save()
        four = write_secrets(stack)
        values = {"POSTGRES_PASSWORD": password, "REDIS_PASSWORD": redis, "JWT_SECRET_KEY": four["JWT_SECRET_KEY"],
                  "GEMINI_API_KEY": four["GEMINI_API_KEY"], **{name.upper(): token for name, token in tokens.items()}}
        lines = [f"{name}={value}\n" for name, value in values.items()]
        write_private(ENV, "# For compose.yaml, made by tools/stack.py compose-env.\n" + "".join(lines))
    say(f"wrote {ENV} and {stack.folder / 'stack.json'}; now: docker compose up --wait")


def ports(number, role):
    return {"app_id": f"wealth-companion-{role}", "app_port": 9080 + number, "http_port": 3500 + number,
            "grpc_port": 50000 + number, "metrics_port": 9190 + number, "internal_grpc_port": 50010 + number}


def read_env():
    if not ENV.exists():
        return {}
    lines = ENV.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
