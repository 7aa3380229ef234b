"""A mail server that keeps what it is given: aiosmtpd, with TLS and a password, on one port by STARTTLS, on the other from
the first byte. It takes mail for everybody but these, who are answered with the number that they name:

    bounce-550…@   always                    later-451…@   always
    first-451…@    at the first attempt, then it is taken
    hang…@         never answered

What was taken for ADDRESS is in the folder ADDRESS (with what is strange in it as %XX): 0.json, 1.json, …, each with
sender, recipients, headers and text as Python's parser of mail reads them, and all of it as it came. They go when the
server starts again.
"""

import argparse
import asyncio
import email
import email.policy
import json
import os
import pathlib
import re
import shutil
import signal
import ssl
import urllib.parse

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

TOLD = re.compile(r"(?P<how>bounce|later|first)-(?P<code>[45]\d\d)\b")
WORDS = {
    450: "4.2.1 the mailbox is busy", 451: "4.7.1 come again", 550: "5.1.1 there is nobody of that name",
    552: "5.2.2 the mailbox is full", 554: "5.7.1 relaying is not allowed",
}
HANGS_SECS = 600


class Mailboxes:
    """Those of everybody."""

    def __init__(self, folder):
        self.folder = folder
        self.asked = set()

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        if address.startswith("hang"):
            await asyncio.sleep(HANGS_SECS)
        told = TOLD.match(address)
        if told and not (told["how"] == "first" and address in self.asked):
            self.asked.add(address)
            # It may name who is asked for, as real ones do.
            return f"{told['code']} {WORDS.get(int(told['code']), 'as asked')}: <{address}>"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server, _session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        mail = {
            "from": envelope.mail_from, "to": envelope.rcpt_tos,
            "headers": {name.lower(): str(value) for name, value in message.items()},
            "text": message.get_content(), "raw": envelope.content.decode(),
        }
        for address in envelope.rcpt_tos:
            folder = self.folder / urllib.parse.quote(address, safe="@+")
            folder.mkdir(exist_ok=True)
            path = folder / f"{len(list(folder.glob('*.json')))}.json"
            path.with_suffix(".part").write_text(json.dumps(mail), encoding="utf-8")
            path.with_suffix(".part").rename(path)
        return "250 2.0.0 kept"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True, help="with STARTTLS")
    parser.add_argument("--tls-port", type=int, required=True, help="with TLS from the first byte")
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="where mail is kept")
    parser.add_argument("--tls", type=pathlib.Path, required=True, help="the folder of server.crt and server.key")
    args = parser.parse_args()
    user, password = (os.environ[name].encode() for name in ("SMTP_USER", "SMTP_PASSWORD"))

    def knows(_server, _session, _envelope, _mechanism, given):
        # Not handled: a stranger is still to be answered.
        return AuthResult(success=(given.login, given.password) == (user, password), handled=False)

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(args.tls / "server.crt", args.tls / "server.key")
    shutil.rmtree(args.folder, ignore_errors=True)
    args.folder.mkdir()
    mailboxes = Mailboxes(args.folder)
    asks = {"hostname": "127.0.0.1", "authenticator": knows, "auth_required": True}
    controllers = [
        Controller(mailboxes, port=args.port, tls_context=tls, require_starttls=True, **asks),
        Controller(mailboxes, port=args.tls_port, ssl_context=tls, auth_require_tls=False, **asks),
    ]
    # Before there are threads, which take over what is blocked.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    for controller in controllers:
        controller.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    for controller in controllers:
        controller.stop()


if __name__ == "__main__":
    main()
