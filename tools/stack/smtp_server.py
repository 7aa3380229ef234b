"""A mail server."""

import pathlib
import re
import sys

from .builds import cache, key, once, run_shown
from .part import Part, ask, new_password

HERE = pathlib.Path(__file__).resolve().parent / "smtp"
REQUIREMENTS = HERE / "requirements.txt"
USER = "wealth"


class Smtp(Part):
    """aiosmtpd, in an environment of Python's that is made once, with the certificate of the stack."""

    name = "smtp"
    # Whose settings make the certificate.
    needs = ("postgres",)
    ports = ("port", "tls_port")
    by_default = False

    def settle(self):
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.section.setdefault("password", new_password())
        self.python()
        login = f"{USER}:{self.section['password']}@localhost"
        self.section.update(url=f"smtp://{login}:{self.section['port']}", tls_url=f"smtps://{login}:{self.section['tls_port']}",
                            ca_file=str(self.stack.folder / "tls" / "ca.crt"), mails=str(self.folder / "mails"))

    def python(self):
        """The interpreter of an environment that has the server."""
        python = f"py{sys.version_info.major}.{sys.version_info.minor}"

        def build(folder):
            log = self.stack.log("install")
            run_shown([sys.executable, "-m", "venv", str(folder)], "making an environment for Python (python3-venv)", log)
            install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--no-deps", "--disable-pip-version-check",
                       "-r", str(REQUIREMENTS)]
            run_shown(install, f"installing aiosmtpd {self.version()}, once", log)

        made = once(cache() / "aiosmtpd" / key(f"{self.version()}-{python}", REQUIREMENTS) / "pyvenv.cfg", build)
        return made.with_name("bin") / "python"

    def command(self):
        return [str(self.python()), str(HERE / "server.py"), "--port", str(self.section["port"]), "--tls-port",
                str(self.section["tls_port"]), "--folder", "mails", "--tls", str(self.stack.folder / "tls")]

    def variables(self):
        return {"SMTP_USER": USER, "SMTP_PASSWORD": self.section["password"], "PYTHONDONTWRITEBYTECODE": "1"}

    def files(self):
        return (HERE / "server.py",)

    def is_ready(self):
        return ask(self.section["port"], b"", lambda answer: answer.startswith(b"220"))

    def version(self):
        return re.search(r"^aiosmtpd==(\S+)$", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE)[1]
