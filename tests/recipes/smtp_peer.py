"""A real SMTP server for the tests: it keeps what it takes and refuses what the test says."""

import ssl
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, NamedTuple

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, Session

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
    ) -> None:
        self.taken: list[Taken] = []
        self.answers: dict[str, str] = {}
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

    def _authenticate(self, server: Any, session: Session, envelope: Any, mechanism: str, given: Any) -> AuthResult:
        user = given.login.decode()
        return AuthResult(success=self._users.get(user) == given.password.decode(), auth_data=user, handled=False)

    async def handle_MAIL(self, server: Any, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        envelope.mail_from = None if "MAIL" in self.answers else address
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(self, server: Any, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        envelope.rcpt_tos += [] if address in self.answers else [address]
        return self.answers.get(address, "250 OK")

    async def handle_DATA(self, server: Any, session: Session, envelope: Any) -> str:
        if "DATA" in self.answers:
            return self.answers["DATA"]
        message: Any = message_from_bytes(envelope.content, policy=default)
        to, user = list(envelope.rcpt_tos), session.auth_data
        self.taken.append(Taken(envelope.mail_from, to, message, envelope.content, session.ssl is not None, user))
        if self.hang_up_before_answer:
            server.transport.close()
        return "250 taken"

    async def handle_QUIT(self, server: Any, session: Session, envelope: Envelope) -> str:
        if self.hang_up_at_quit:
            server.transport.close()
        return "221 bye"
