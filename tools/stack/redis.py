"""Redis."""

from . import install
from .machine import write_private
from .part import Part, ask, first_number, new_password


class Redis(Part):
    """Redis, in memory only: it is a fast path, and must be one that can be lost."""

    name = "redis"
    commands = ("redis-server",)

    def settle(self):
        self.folder.mkdir(mode=0o700, exist_ok=True)
        password = self.section.setdefault("password", new_password())
        text = REDIS_CONF.format(port=self.section["port"], password=password)
        write_private(self.folder / "redis.conf", text)
        self.section.update(url=f"redis://:{password}@{self.host_port}/0")

    def command(self):
        return [install.find("redis-server"), "redis.conf"]

    def files(self):
        return (self.folder / "redis.conf",)

    def is_ready(self):
        question = f"AUTH {self.section['password']}\r\nPING\r\n".encode()
        return ask(self.section["port"], question, lambda answer: b"+PONG" in answer)

    def version(self):
        return first_number([install.find("redis-server"), "--version"])


REDIS_CONF = """\
# Written anew at each start by tools/stack.py.
bind 127.0.0.1
port {port}
requirepass {password}
# No snapshots.
save ""
appendonly no
dir .
"""
