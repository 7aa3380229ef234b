"""Toxiproxy, which stands between other parts and fails on request."""

from . import builds
from .part import Part
from .sidecars import answers


class Toxiproxy(Part):
    """Empty at its start: who wants a proxy asks for it over HTTP (`POST /proxies`)."""

    name = "toxiproxy"
    go_program = "toxiproxy"
    by_default = False

    def settle(self):
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.section.update(url=f"http://{self.host_port}")

    def command(self):
        return [str(builds.go_path(self.go_program)), "-host", "127.0.0.1", "-port", str(self.section["port"])]

    def is_ready(self):
        return answers(self.section["port"], "/version")
