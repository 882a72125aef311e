"""A mail server on a free port, as a test wants it. It prints its port, then a line of JSON for each
mail it is given and each sign-in. It ends with its input."""

import argparse
import asyncio
import email
import email.policy
import json
import logging
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

PASSWORD = b"p:/@w"

# A client that does not believe it is what some tests want, and no news.
logging.getLogger("mail.log").setLevel(logging.CRITICAL + 1)
logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)


def tell(**what):
    print(json.dumps(what), flush=True)


class Handler:
    """Takes what it is given, but for the step that has an answer or none."""

    def __init__(self, answers, silent):
        self.answers, self.silent = answers, silent

    async def step(self, name):
        if name == self.silent:
            await asyncio.Event().wait()
        return self.answers.get(name, "250 OK")

    async def handle_MAIL(self, _server, _session, envelope, address, options):
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return await self.step("MAIL")

    async def handle_RCPT(self, _server, _session, envelope, address, options):
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return await self.step("RCPT")

    async def handle_DATA(self, _server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        tell(
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            headers=[[name, str(value)] for name, value in mail.items()],
            text=mail.get_content(),
            hello=session.host_name,
            encrypted=session.ssl is not None,
        )
        return await self.step("DATA")

    async def handle_QUIT(self, _server, _session, _envelope):
        await self.step("QUIT")
        return "221 Bye"


def authenticate(_server, _session, _envelope, mechanism, data):
    tell(mechanism=mechanism, login=data.login.decode())
    return AuthResult(success=data.password == PASSWORD, handled=False)


async def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--answer", action="append", default=[], metavar="STEP=ANSWER")
    arguments.add_argument("--silent", metavar="STEP")
    arguments.add_argument("--certificate")
    arguments.add_argument("--wrapped", action="store_true")
    arguments.add_argument("--sign-in", action="store_true")
    arguments = arguments.parse_args()
    tls = None
    if arguments.certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(arguments.certificate)
    handler = Handler(dict(each.split("=", 1) for each in arguments.answer), arguments.silent)
    starttls = None if arguments.wrapped else tls

    def connected():
        return SMTP(
            handler,
            hostname="localhost",
            tls_context=starttls,
            require_starttls=bool(starttls),
            auth_required=arguments.sign_in,
            # Over TLS from the beginning it does not notice that there is TLS.
            auth_require_tls=not arguments.wrapped,
            authenticator=authenticate,
        )

    loop = asyncio.get_running_loop()
    wrapped = tls if arguments.wrapped else None
    server = await loop.create_server(connected, "127.0.0.1", 0, ssl=wrapped)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
