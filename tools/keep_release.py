#!/usr/bin/env python3
"""Keeps what this version of the server leaves in a database, for the versions after it to be tried on: the schema and
the books of one person, written by the server itself, as tests/it/releases/VERSION/{sqlite,postgres}.sql.

    make keep-release

The folder of a version that was released is never written again: raise `version` in Cargo.toml first. Until then the newest
folder follows the migrations; a test (`releases::`) tells when it is behind. Needs `make stack`.

Exit code: 0 both are written, 1 the server did not do what it was asked to, 2 something is missing.
"""

import argparse
import contextlib
import json
import pathlib
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error

from measure.databases import Postgres, Sqlite
from measure.server import Server, Somebody

ROOT = pathlib.Path(__file__).resolve().parent.parent
# As tests/it/releases.rs knows them.
PERSON = {"email": "ada@example.com", "password": "correct horse battery"}
DAY = "2026-03-10"
PATIENCE_SECS = 30


class Ada(Somebody):
    """Whose books are kept."""

    def __init__(self, address):
        self.address, self.token = address, None
        self.token = self.send("POST", "/v1/auth/register", {**PERSON, "currency": "USD"})["access_token"]

    def book(self, wallet, category, amount):
        body = {"wallet_id": wallet, "category_id": category, "type": "expense", "amount": amount, "date": DAY}
        return self.send("POST", "/v1/transactions", body)

    def live(self):
        """A wallet of 1000, a budget of 100 of which 120 and 5 are spent, and what else leaves rows."""
        wallet = self.send("POST", "/v1/wallets",
                           {"name": "Checking", "type": "bank", "currency": "USD", "opening_balance": "1000.00"})["id"]
        food = next(it["id"] for it in self.send("GET", "/v1/categories?limit=200")["items"] if it["name"] == "Groceries")
        self.send("POST", "/v1/budgets", {"name": "Food", "category_ids": [food], "amount": "100.00", "currency": "USD",
                                          "period": "monthly"})
        self.book(wallet, food, "120.00")
        self.book(wallet, food, "5.00")
        self.wait_for_alerts(2)

    def wait_for_alerts(self, count):
        deadline = time.monotonic() + PATIENCE_SECS
        while len(self.send("GET", "/v1/alerts")["items"]) < count:
            if time.monotonic() > deadline:
                raise SystemExit("keep_release: the alerts did not come")
            time.sleep(0.05)


def version():
    return re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(encoding="utf-8"), re.MULTILINE)[1]


def dump_of_sqlite(database):
    with contextlib.closing(sqlite3.connect(database.file)) as db:
        return "\n".join(db.iterdump()) + "\n"


def dump_of_postgres(database):
    command = ["pg_dump", "--no-owner", "--no-privileges", database.url]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    # What newer clients say to each other, and older ones do not know.
    return re.sub(r"^\\(un)?restrict .*\n", "", text, flags=re.MULTILINE)


def keep(database, dump, file):
    with contextlib.closing(database):
        with Server(database, arguments=[]) as server:
            Ada(server.address).live()
        file.write_text(dump(database), encoding="utf-8")
    print(file.relative_to(ROOT))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, type=pathlib.Path, help="the server")
    args = parser.parse_args()
    try:
        stack = json.loads((ROOT / ".stack" / "stack.json").read_text(encoding="utf-8"))
    except OSError:
        print("missing: run `make stack`", file=sys.stderr)
        return 2
    folder = ROOT / "tests" / "it" / "releases" / version()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        try:
            keep(Sqlite(args.binary, work / "sqlite"), dump_of_sqlite, folder / "sqlite.sql")
            keep(Postgres(args.binary, work / "postgres", stack["postgres"]["url"]), dump_of_postgres, folder / "postgres.sql")
        except (urllib.error.URLError, subprocess.CalledProcessError) as error:
            print(f"keep_release: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
