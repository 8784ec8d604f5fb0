"""A real SMTP server for the tests: it keeps what it takes and refuses what the test says."""

import ssl
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, NamedTuple, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.ports import free_port


class Taken(NamedTuple):
    sender: str
    recipients: list[str]
    message: EmailMessage
    content: bytes
    tls: bool
    user: str | None


class SmtpPeer:
    """Use with `with`. `answers` maps "MAIL", "DATA" or an address to the line that answers it."""

    def __init__(
        self, context: ssl.SSLContext | None = None, users: dict[str, str] | None = None, starttls: bool = True
    ) -> None:  # fmt: skip
        self.taken: list[Taken] = []
        self.answers: dict[str, str] = {}
        self.connections = 0
        self.hang_up_before_answer = False  # to the message, which is taken
        self.hang_up_at_quit = False
        options: dict[str, Any] = {"ssl_context": context} if context and not starttls else {}
        if context and starttls:
            options |= {"tls_context": context, "require_starttls": True}
        if users is not None:
            options |= {"authenticator": self._authenticate, "auth_required": True}
        self._users = users or {}
        self.port = free_port()
        self._controller = Controller(self, "127.0.0.1", self.port, **options)

    def __enter__(self) -> "SmtpPeer":
        self._controller.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._controller.stop()

    def _authenticate(self, server: SMTP, session: Session, *rest: Any) -> AuthResult:
        given = cast(LoginPassword, rest[-1])
        user = given.login.decode()
        return AuthResult(success=self._users.get(user) == given.password.decode(), auth_data=user, handled=False)

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if "MAIL" in self.answers:
            return self.answers["MAIL"]
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if "DATA" in self.answers:
            return self.answers["DATA"]
        content = cast(bytes, envelope.content)
        self.taken.append(
            Taken(
                cast(str, envelope.mail_from),
                list(envelope.rcpt_tos),
                cast(EmailMessage, message_from_bytes(content, policy=default)),
                content,
                session.ssl is not None,
                cast("str | None", session.auth_data),
            )
        )
        if self.hang_up_before_answer:
            server.transport.close()
        return "250 taken"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.hang_up_at_quit:
            server.transport.close()
        return "221 bye"
