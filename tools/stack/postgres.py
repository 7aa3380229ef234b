"""PostgreSQL, and PgBouncer in front of it."""

import contextlib
import os
import pathlib
import signal
import subprocess
import tempfile

from . import install
from .machine import StackError, environment, may_enter, remove, say, server_account, write_private
from .part import PROBE_SECS_MAX, Part, first_number, made_whole, new_password, run

USER = "wealth"
DATABASE = "wealth"


class Postgres(Part):
    """PostgreSQL as in production: passwords by SCRAM, TLS for who wants it, and commits that reach the disk."""

    name = "postgres"
    commands = ("initdb", "postgres", "psql", "openssl")
    # Fast shutdown: it does not wait until every client has left.
    stop_signal = signal.SIGINT
    # After a crash it looks at every file of every database first, and tests leave many.
    start_secs = 300

    def __init__(self, stack):
        super().__init__(stack)
        self.account = server_account()

    @property
    def data(self):
        return self.folder / "data"

    def cwd(self):
        return self.data

    def program(self, name):
        """Of the version that made the data, or the newest."""
        try:
            major = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        except OSError:
            return install.find(name)
        for found in (f"/usr/lib/postgresql/{major}/bin/{name}", install.find(name)):
            if found and os.access(found, os.X_OK) and first_number([found, "--version"]).split(".")[0] == major:
                return found
        raise StackError(f"the data is of PostgreSQL {major}, which is not installed (`stop --wipe` forgets the data)")

    def settle(self):
        own_folder(self.folder, self.account)
        self.make_certificates()
        if "password" not in self.section:
            if self.data.exists():
                raise StackError(f"the password of the data in {self.folder} is lost (`stack stop --wipe` forgets it)")
            self.section["password"] = new_password()
            # Before there is data that knows it.
            self.stack.save()
        password = self.section["password"]
        if not self.data.exists():
            self.init(password)
        port = self.section["port"]
        write_private(self.data / "postgresql.conf", POSTGRES_CONF.format(port=port), self.account)
        for name in ("server.crt", "server.key"):
            text = (self.stack.folder / "tls" / name).read_text(encoding="ascii")
            write_private(self.data / name, text, self.account)
        self.section.update(
            host="127.0.0.1", user=USER, url=f"postgres://{USER}:{password}@{self.host_port}/postgres",
            ca_file=str(self.stack.folder / "tls" / "ca.crt"),
        )

    def init(self, password):
        """A database cluster."""
        write_private(self.folder / "password", password, self.account)
        locale = "C.UTF-8" if os.uname().sysname == "Linux" else "en_US.UTF-8"
        try:
            with made_whole(self.data) as part:
                self.run([self.program("initdb"), f"--pgdata={part.name}", f"--username={USER}", "--pwfile=password",
                          "--auth=scram-sha-256", "--encoding=UTF8", f"--locale={locale}", "--data-checksums"])
        finally:
            remove(self.folder / "password")

    def make_certificates(self):
        """A CA of our own, and with it a certificate for localhost and 127.0.0.1."""
        if (self.stack.folder / "tls").exists():
            return
        openssl = install.find("openssl")
        key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -config openssl.cnf"
        with made_whole(self.stack.folder / "tls") as folder:
            folder.mkdir(mode=0o700)
            (folder / "openssl.cnf").write_text(OPENSSL_CONF, encoding="ascii")
            for options in (
                f"req -x509 -days 3650 {key} -extensions ca -keyout ca.key -out ca.crt -subj /CN=stack",
                f"req {key} -keyout server.key -out server.csr -subj /CN=localhost",
                "x509 -req -days 3650 -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt"
                " -extfile openssl.cnf -extensions server",
            ):
                run([openssl, *options.split()], folder)

    def command(self):
        return [self.program("postgres"), "-D", "."]

    def variables(self):
        return {"LC_ALL": "C"}

    def files(self):
        return (self.data / "postgresql.conf", self.data / "server.crt")

    def run(self, command):
        run(command, self.folder, self.account, environment(**self.variables()))

    def psql(self, sql, port=None, database="postgres"):
        """What a query answers, or None when it could not be asked."""
        values = environment(PGPASSWORD=self.section["password"], PGCONNECT_TIMEOUT=str(PROBE_SECS_MAX))
        command = [self.program("psql"), "-XAtqw", "-h", "127.0.0.1", "-p", str(port or self.section["port"]),
                   "-U", USER, "-d", database, "-c", sql]
        done = subprocess.run(command, env=values, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def before_launch(self):
        """After a crash of the machine the pid in its lock file may be anybody's: then it would not start."""
        lock = self.data / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int(lock.read_text(encoding="ascii").split()[0])
            shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
            if "postgres" not in shown.stdout:
                lock.unlink()

    def is_ready(self):
        return self.psql("SELECT 1") == "1"

    def finish(self):
        if self.psql(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'") != "1":
            if self.psql(f"CREATE DATABASE {DATABASE}") is None:
                raise StackError(f"cannot create the database {DATABASE}: see {self.stack.log(self.name)}")

    def version(self):
        return first_number([self.program("postgres"), "--version"])


POSTGRES_CONF = """\
# Written anew at each start by tools/stack.py.
listen_addresses = '127.0.0.1'
port = {port}
# In this folder, however long the path to it is.
unix_socket_directories = '.'
max_connections = 400
password_encryption = 'scram-sha-256'
# Plain connections are taken as well: see pg_hba.conf.
ssl = on
ssl_cert_file = 'server.crt'
ssl_key_file = 'server.key'
# A commit is on the disk when it is answered: what the product promises hangs on it.
fsync = on
synchronous_commit = on
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %u@%d '
"""

OPENSSL_CONF = """\
[req]
distinguished_name = name
prompt = no
[name]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
"""


class PgBouncer(Part):
    """The pooler by transaction which clouds put in front of PostgreSQL. Any database; the same user and password."""

    name = "pgbouncer"
    needs = ("postgres",)
    commands = ("pgbouncer", "psql")

    def __init__(self, stack):
        super().__init__(stack)
        self.account = server_account()

    @property
    def folder(self):
        """PostgreSQL's: it runs under the same account."""
        return self.stack.folder / "postgres"

    def settle(self):
        postgres = self.stack.state["postgres"]
        write_private(self.folder / "users.txt", f'"{USER}" "{postgres["password"]}"\n', self.account)
        text = PGBOUNCER_INI.format(port=self.section["port"], postgres=postgres["port"], user=USER)
        write_private(self.folder / "pgbouncer.ini", text, self.account)
        self.section.update(url=f"postgres://{USER}:{postgres['password']}@{self.host_port}/postgres")

    def command(self):
        return [install.find("pgbouncer"), "pgbouncer.ini"]

    def files(self):
        return (self.folder / "pgbouncer.ini", self.folder / "users.txt")

    def is_ready(self):
        return self.stack.part("postgres").psql("SELECT 1", self.section["port"]) == "1"

    def version(self):
        return first_number([install.find("pgbouncer"), "--version"])


PGBOUNCER_INI = """\
; Written anew at each start by tools/stack.py.
[databases]
* = host=127.0.0.1 port={postgres}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = users.txt
admin_users = {user}
pool_mode = transaction
ignore_startup_parameters = extra_float_digits
max_client_conn = 1000
; Connections to the server, of each database.
default_pool_size = 20
; Seconds until an idle one is closed: tests make many databases, and drop them.
server_idle_timeout = 60
log_connections = 0
log_disconnections = 0
log_stats = 0
"""


def database_url(section):
    """The product's database, by PostgreSQL or PgBouncer."""
    return section["url"].rpartition("/")[0] + f"/{DATABASE}"


def own_folder(folder, account):
    """A folder for a server that runs under that account, which has to get to it through all folders above."""
    if folder.exists():
        return
    # A link to a place that somebody has cleared.
    remove(folder)
    if account is None:
        folder.mkdir(mode=0o700)
        return
    above = folder.parent
    above.chmod(0o711)
    if may_enter(account, above):
        folder.mkdir(mode=0o700)
    else:
        elsewhere = pathlib.Path(tempfile.mkdtemp(prefix="wealth-stack-", dir="/var/tmp"))
        say(f"{account.pw_name} may not enter {above}: the data of PostgreSQL is in {elsewhere}")
        folder.symlink_to(elsewhere)
    os.chown(folder, account.pw_uid, account.pw_gid)
