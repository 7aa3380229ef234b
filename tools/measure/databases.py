"""The databases that are measured: made, filled, and loaded with nothing but their own writes.

The baseline is what the same database does with the three writes of a booking (row, balance, event) and nothing
else: the same tables, keys and indexes, no check, no JSON, no HTTP.
"""

import contextlib
import datetime
import itertools
import math
import pathlib
import random
import re
import sqlite3
import subprocess
import time
import uuid

ENVELOPE_BYTES = 850
# Days over which bookings are spread: ten years.
DAYS = 3_650
FIRST_DAY = datetime.date(2016, 1, 1)
OTHER_PEOPLE = 1_000


def bookings(count, user, wallet, categories):
    """Expenses of one user, spread evenly over ten years: the columns of `transactions`."""
    now = "2026-01-01T00:00:00+00:00"
    for number in range(count):
        day = FIRST_DAY + datetime.timedelta(days=number * DAYS // count)
        category = categories[number % len(categories)]
        yield (recorded_on(day), user, wallet, "expense", 100 + number % 20_000, "USD", str(day), category,
               f"booking {number}", None, None, 1, now, now)


def recorded_on(day):
    """An id of RFC 9562, version 7, as the API gives them: what is recorded later has a greater one."""
    midnight = datetime.datetime.combine(day, datetime.time(), datetime.UTC)
    millis = int(midnight.timestamp() * 1_000) + random.randrange(86_400_000)
    return uuid.UUID(int=millis << 80 | 7 << 76 | random.getrandbits(12) << 64 | 2 << 62 | random.getrandbits(62))


# The same in SQL: the milliseconds over the first 48 bits of a random one, and a 7 for its 4.
RECORDED_ON = ("encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING substring(int8send("
               "(extract(epoch FROM day) * 1000 + random() * 86399999)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid")
# A tag that each tenth of them has, as they are kept.
TAG = "trip"
TAGGED = "description LIKE '%7'"
TAG_THEM = (f"""UPDATE transactions SET tags = '["{TAG}"]' WHERE {TAGGED}""",
            "INSERT INTO transaction_tags (user_id, tag, date, transaction_id) "
            f"SELECT user_id, '{TAG}', date, id FROM transactions WHERE {TAGGED}")
COLUMNS = ("id, user_id, wallet_id, type, amount_minor, currency, date, category_id, description, payee, notes, version, "
           "created_at, updated_at")


class Sqlite:
    """A file. All roles run in one process, as at home."""

    name, roles, other_roles = "sqlite", [], []

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.file = folder / "wealth.db"
        self.environment = {}
        folder.mkdir()

    def close(self):
        pass

    def fill(self, count, user, wallet, categories):
        with contextlib.closing(sqlite3.connect(self.file, isolation_level=None, timeout=60)) as db:
            db.execute("PRAGMA synchronous = OFF")
            db.execute("BEGIN IMMEDIATE")
            rows = bookings(count, user, wallet, categories)
            as_bytes = lambda row: [value.bytes if isinstance(value, uuid.UUID) else value for value in row]
            places = ", ".join("?" * 14)
            db.executemany(f"INSERT INTO transactions ({COLUMNS}) VALUES ({places})", map(as_bytes, rows))
            db.execute("UPDATE wallets SET balance_minor = opening_balance_minor - (SELECT COALESCE(SUM(amount_minor), 0) "
                       "FROM transactions WHERE wallet_id = wallets.id) WHERE id = ?", (wallet.bytes,))
            for text in TAG_THEM:
                db.execute(text)
            db.execute("COMMIT")
            db.execute("ANALYZE")

    def count(self):
        with contextlib.closing(sqlite3.connect(self.file, timeout=60)) as db:
            return db.execute("SELECT COUNT(*) FROM transactions").fetchone()[0]

    def cpu_secs(self):
        """What the database takes outside of the server's process."""
        return 0.0

    def flushes(self):
        return None

    def raw(self, seconds, _steady):
        """Each booking in a commit of its own. A loop of one has no rate but its own."""
        with contextlib.closing(sqlite3.connect(self.folder / "raw.db", isolation_level=None)) as db:
            db.executescript("""
                PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                CREATE TABLE wallets (id BLOB PRIMARY KEY, balance INTEGER);
                CREATE TABLE transactions (id BLOB PRIMARY KEY, user_id BLOB, wallet_id BLOB, category_id BLOB, amount INTEGER, date TEXT);
                CREATE INDEX t1 ON transactions (user_id, date, id); CREATE INDEX t2 ON transactions (wallet_id, date, id);
                CREATE INDEX t3 ON transactions (category_id, date, id);
                CREATE TABLE event_log (position INTEGER PRIMARY KEY AUTOINCREMENT, event_id BLOB UNIQUE, envelope TEXT);
            """)
            user, wallet, category = (uuid.uuid4().bytes for _ in range(3))
            db.execute("INSERT INTO wallets VALUES (?, 0)", (wallet,))
            envelope, count, begun = "x" * ENVELOPE_BYTES, 0, time.monotonic()
            while (took := time.monotonic() - begun) < seconds:
                count += 1
                db.execute("BEGIN IMMEDIATE")
                row = (uuid.uuid4().bytes, user, wallet, category, count, f"2026-{1 + count % 12:02}-{1 + count % 28:02}")
                db.execute("INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?)", row)
                db.execute("UPDATE wallets SET balance = balance - ? WHERE id = ?", (count, wallet))
                db.execute("INSERT INTO event_log (event_id, envelope) VALUES (?, ?)", (uuid.uuid4().bytes, envelope))
                db.execute("COMMIT")
        return {"baseline": "a program, one commit each", "per_second": count / took}

    def raw_reads(self, *_):
        """Nobody asks it from outside."""

    def vacuum(self):
        pass


class Postgres:
    """A database of the stack's server. The API runs alone, as in production."""

    name, roles, other_roles = "postgres", ["--role", "api"], ["projector", "notifier"]

    def __init__(self, binary, folder, admin_url):
        folder.mkdir()
        self.binary, self.folder, self.admin = binary, folder, admin_url
        self.database = f"bench_{uuid.uuid4().hex[:8]}"
        self.admin_sql(f"CREATE DATABASE {self.database}")
        self.url = f"{admin_url.rsplit('/', 1)[0]}/{self.database}?sslmode=disable"
        self.environment = {"DATABASE_URL": self.url, "JWT_SECRET_KEY": uuid.uuid4().hex * 2}
        subprocess.run([binary, "--data-dir", folder, "migrate", "up"], env=self.environment, check=True,
                       stdout=subprocess.DEVNULL)

    def close(self):
        self.admin_sql(f"DROP DATABASE {self.database} WITH (FORCE)")

    def admin_sql(self, text):
        subprocess.run(["psql", "-qX", self.admin, "-c", text], check=True)

    def sql(self, text, given=None):
        done = subprocess.run(["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", self.url, "-c", text], input=given, check=True,
                              stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    def fill(self, count, user, wallet, categories):
        as_text = lambda row: "\t".join("\\N" if value is None else str(value) for value in row) + "\n"
        copy = ["psql", "-qX", "-v", "ON_ERROR_STOP=1", self.url, "-c", f"COPY transactions ({COLUMNS}) FROM STDIN"]
        with subprocess.Popen(copy, stdin=subprocess.PIPE, text=True) as psql:
            rows = map(as_text, bookings(count, user, wallet, categories))
            while chunk := "".join(itertools.islice(rows, 10_000)):
                psql.stdin.write(chunk)
        if psql.returncode:
            raise SystemExit("bench: the bookings were not taken")
        self.sql("UPDATE wallets SET balance_minor = opening_balance_minor - (SELECT COALESCE(SUM(amount_minor), 0) "
                 f"FROM transactions WHERE wallet_id = wallets.id) WHERE id = '{wallet}'")
        for text in TAG_THEM:
            self.sql(text)
        self.sql("VACUUM ANALYZE")

    def fill_others(self, count):
        """Expenses of other people, each with a wallet and a category, booked one after the other as in life."""
        people = "SELECT n, gen_random_uuid() AS id, gen_random_uuid() AS wallet_id, gen_random_uuid() AS category_id"
        self.sql(f"CREATE TABLE others AS {people} FROM generate_series(1, {OTHER_PEOPLE}) n; "
                 "INSERT INTO users (id, email, password_hash, currency, time_zone, version, created_at, updated_at) "
                 "SELECT id, n || '@others.example.com', '', 'USD', 'UTC', 1, now(), now() FROM others; "
                 "INSERT INTO wallets (id, user_id, name, type, currency, opening_balance_minor, balance_minor, version, "
                 "created_at, updated_at) SELECT wallet_id, id, 'Bank', 'bank', 'USD', 0, 0, 1, now(), now() FROM others; "
                 "INSERT INTO categories (id, user_id, name, kind, version, created_at, updated_at) "
                 "SELECT category_id, id, 'Food', 'expense', 1, now(), now() FROM others")
        # Indexes are built after so many rows, and nobody is asked whether there is such a user: with both it took half an
        # hour.
        indexes = self.sql("SELECT indexname || ';' || indexdef FROM pg_indexes JOIN pg_class ON relname = indexname "
                           "JOIN pg_index ON indexrelid = pg_class.oid WHERE tablename = 'transactions' AND NOT indisunique")
        indexes = [line.split(";") for line in indexes.splitlines()]
        for name, _ in indexes:
            self.sql(f"DROP INDEX {name}")
        self.sql("SET session_replication_role = replica; "
                 f"INSERT INTO transactions ({COLUMNS}) SELECT {RECORDED_ON}, others.id, wallet_id, 'expense', "
                 "100 + number % 20000, 'USD', day, category_id, 'booking ' || number, NULL, NULL, 1, now(), now() "
                 f"FROM generate_series(0, {count // OTHER_PEOPLE - 1}) number, "
                 f"LATERAL (SELECT DATE '{FIRST_DAY}' + number * {DAYS} / {count // OTHER_PEOPLE} AS day) days, "
                 "LATERAL (SELECT * FROM others OFFSET 0) others")
        for _, definition in indexes:
            self.sql(definition)
        self.sql("UPDATE wallets SET balance_minor = -spent FROM (SELECT wallet_id, SUM(amount_minor) AS spent FROM transactions "
                 "GROUP BY wallet_id) sums WHERE wallet_id = id AND id IN (SELECT wallet_id FROM others); DROP TABLE others")
        self.sql("VACUUM ANALYZE")

    def count(self):
        return int(self.sql("SELECT COUNT(*) FROM transactions"))

    def vacuum(self):
        """What autovacuum does in time, and would do while something is measured."""
        self.sql("VACUUM ANALYZE")

    def cpu_secs(self):
        """Of all processes of the server: those that have ended count with the one that started them."""
        pid = int(self.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"))
        parent = stat(pid)[1]
        ours = [process for process in map(stat, processes()) if process and parent in (process[0], process[1])]
        return sum(secs for _, _, secs in ours)

    def flushes(self):
        return int(self.sql("SELECT wal_sync FROM pg_stat_wal"))

    def raw(self, seconds, steady, clients=64):
        """pgbench with the three writes as one prepared statement, on a database of its own: as fast as it goes, and at
        the given part of that."""
        raw = Postgres(self.binary, self.folder / "raw", self.admin)
        try:
            raw.sql("CREATE TABLE bench_wallets (number int PRIMARY KEY, id uuid NOT NULL, user_id uuid NOT NULL)")
            raw.sql("INSERT INTO bench_wallets SELECT n, gen_random_uuid(), gen_random_uuid() "
                    f"FROM generate_series(1, {clients}) n")
            raw.sql("INSERT INTO users (id, email, password_hash, currency, time_zone, version, created_at, updated_at) "
                    "SELECT user_id, number || '@example.com', '', 'USD', 'UTC', 1, now(), now() FROM bench_wallets")
            raw.sql("INSERT INTO wallets (id, user_id, name, type, currency, opening_balance_minor, balance_minor, version, "
                    "created_at, updated_at) SELECT id, user_id, 'Bench', 'bank', 'USD', 0, 0, 1, now(), now() FROM bench_wallets")
            script = self.folder / "raw.sql"
            script.write_text(f"""\\set number random(1, {clients})
WITH moved AS (UPDATE wallets SET balance_minor = balance_minor + 100
  WHERE id = (SELECT id FROM bench_wallets WHERE number = :number) RETURNING id, user_id),
booked AS (INSERT INTO transactions ({COLUMNS})
  SELECT gen_random_uuid(), user_id, id, 'income', 100, 'USD', '2026-02-10', NULL, NULL, NULL, NULL, 1, now(), now()
  FROM moved RETURNING user_id)
INSERT INTO event_log (event_id, type, user_id, envelope, created_at)
SELECT gen_random_uuid(), 'finance.transaction.created', user_id, repeat('x', {ENVELOPE_BYTES}), now() FROM booked;
""")
            command = ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(seconds), "-f", script]
            done = subprocess.run([*command, raw.url], check=True, capture_output=True, text=True)
            top = float(re.search(r"tps = ([\d.]+)", done.stdout)[1])
            late = pgbench_late(command, steady * top, seconds, self.folder, raw.url)
            return {"baseline": "pgbench, one statement each", "per_second": top,
                    "steady": late}
        finally:
            raw.close()

    def raw_reads(self, user, seconds, rate, clients):
        """pgbench with the rows of the user's first page."""
        script = self.folder / "read.sql"
        script.write_text(f"SELECT * FROM transactions WHERE user_id = '{user}' ORDER BY date DESC, id DESC LIMIT 51;\n")
        command = ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(math.ceil(seconds)), "-f", script]
        return pgbench_late(command, rate, math.ceil(seconds), self.folder, self.url)


def pgbench_late(command, rate, seconds, folder, url):
    """How late pgbench is through with what was due, at a rate."""
    logs = folder / "pgbench"
    for log in folder.glob(f"{logs.name}.*"):
        log.unlink()
    subprocess.run([*command, "-R", str(rate), "-l", "--log-prefix", logs, url], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = itertools.chain.from_iterable(log.open() for log in folder.glob(f"{logs.name}.*"))
    # Of a line's columns the third: how long after it was due it was through.
    latencies = sorted(int(line.split()[2]) / 1_000 for line in lines)
    late = {f"p{at}_ms": latencies[len(latencies) * at // 100] for at in (50, 95, 99)}
    return {"per_second": len(latencies) / seconds, **late}


def processes():
    return [int(path.name) for path in pathlib.Path("/proc").iterdir() if path.name.isdigit()]


def stat(pid):
    """A process's id, its parent's, and the seconds of processor that it and its ended children took."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    ticks = sum(int(field) for field in fields[11:15])
    return pid, int(fields[1]), ticks / 100
