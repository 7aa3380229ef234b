"""A mail server that keeps what it is given: aiosmtpd with TLS and a password, on one port by STARTTLS, on the other from the
first byte. It takes mail for everybody but these:

    gone…@   550, nobody of that name          full…@   552, the mailbox is full
    busy…@   451 at the first attempt, then it takes it

Each letter is a file of the folder, `N.json`: to whom it was addressed, and its text as it came.
"""

import argparse
import itertools
import json
import os
import pathlib
import signal
import ssl

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


class Mailboxes:
    """Those of everybody."""

    def __init__(self, folder):
        self.folder = folder
        self.numbers = itertools.count()
        self.asked = set()

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        if address.startswith("gone"):
            return "550 5.1.1 there is nobody of that name"
        if address.startswith("full"):
            return "552 5.2.2 the mailbox is full"
        if address.startswith("busy") and address not in self.asked:
            self.asked.add(address)
            return "451 4.7.1 come again"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server, _session, envelope):
        letter = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "text": envelope.content.decode()}
        path = self.folder / f"{next(self.numbers)}.json"
        path.with_suffix(".part").write_text(json.dumps(letter), encoding="utf-8")
        path.with_suffix(".part").rename(path)
        return "250 2.0.0 kept"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True, help="with STARTTLS")
    parser.add_argument("--tls-port", type=int, required=True, help="with TLS from the first byte")
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="where letters are kept")
    parser.add_argument("--tls", type=pathlib.Path, required=True, help="the folder of server.crt and server.key")
    args = parser.parse_args()
    user, password = (os.environ[name].encode() for name in ("SMTP_USER", "SMTP_PASSWORD"))

    def knows(_server, _session, _envelope, _mechanism, given):
        return AuthResult(success=(given.login, given.password) == (user, password))

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(args.tls / "server.crt", args.tls / "server.key")
    args.folder.mkdir(exist_ok=True)
    mailboxes = Mailboxes(args.folder)
    asks = {"hostname": "127.0.0.1", "authenticator": knows, "auth_required": True}
    controllers = [
        Controller(mailboxes, port=args.port, tls_context=tls, require_starttls=True, **asks),
        Controller(mailboxes, port=args.tls_port, ssl_context=tls, auth_require_tls=False, **asks),
    ]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    for controller in controllers:
        controller.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    for controller in controllers:
        controller.stop()


if __name__ == "__main__":
    main()
