"""E-mail: compose a message and hand it to an SMTP server.

If the server refuses any recipient, nothing is sent: after a partial delivery, another attempt would send the message
twice to some recipients.
After the server's final "250" the server is responsible, and later errors do not count as failures. If the connection
breaks just before that answer, it is unknown whether the message was accepted, so another attempt may send it twice.
The Message-ID stays the same, so that mail programs can show it once.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Collection, Iterable
from email.errors import MessageError, ObsoleteHeaderDefect
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import localtime, make_msgid
from typing import NamedTuple

from duey.recipes import Refused, Unavailable, hosts

TIMEOUT_S = 120.0  # for the whole delivery
MAX_RECIPIENTS = 100  # the number that RFC 5321 requires every server to accept
_TLS_FROM_THE_START = 465
_SHOWN_CHARACTERS = 200
_NO_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # controls, line breaks, half surrogate pairs
# Every server accepts 7-bit bodies, even without 8BITMIME.
_POLICY = SMTP.clone(cte_type="7bit")


class Server(NamedTuple):
    """The SMTP server. Port 465 uses TLS from the start, other ports after STARTTLS if `starttls` is true."""

    host: str
    port: int
    username: str = ""
    password: str = ""
    starttls: bool = True


def compose(
    sender: str, to: list[str], subject: str, text: str,
    html: str | None = None, reply_to: str | None = None, message_id: str | None = None,
) -> EmailMessage:  # fmt: skip
    """Return the message. `message_id`: the part before the @, None for a random one. Raises Refused."""
    if not 1 <= len(to) <= MAX_RECIPIENTS:
        raise Refused(f"to: expected 1 to {MAX_RECIPIENTS} addresses, found {len(to)}")
    message = EmailMessage(_POLICY)
    author = _address("sender", sender)
    message["From"] = author
    message["To"] = [_address("to", one) for one in to]
    if reply_to is not None:
        message["Reply-To"] = _address("reply_to", reply_to)
    message["Subject"] = _line("subject", subject)
    _line("subject", str(message["Subject"]))  # an encoded word can hide a line break
    message["Date"] = localtime()
    if message_id is None:
        message["Message-ID"] = make_msgid(domain=author.domain)
    else:
        message["Message-ID"] = f"<{re.sub(r'[^A-Za-z0-9_-]', '_', message_id)}@{author.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: prevents automatic replies
    try:
        message.set_content(text)
        if html is not None:
            message.add_alternative(html, subtype="html")
    except UnicodeEncodeError:
        raise Refused("text, html: expected valid Unicode, found half a surrogate pair") from None
    return message


def require_allowed(message: EmailMessage, senders: Iterable[str], domains: Collection[str]) -> None:
    """Raise Refused if the sender is not in `senders`, or if `domains` is not empty and lacks the domain of a
    recipient."""
    (author,) = message["From"].addresses
    allowed = {_address("[smtp] sender", text).addr_spec.lower() for text in senders if text}
    if author.addr_spec.lower() not in allowed:
        raise Refused(f"sender: expected [smtp] sender or one of allow_senders, found {author.addr_spec[:100]!r}")
    for recipient in message["To"].addresses:
        if domains and recipient.domain.lower() not in domains:
            raise Refused(
                f"to: expected an address in [smtp] allow_recipients, found the domain {recipient.domain[:100]!r}"
            )


def send(server: Server, message: EmailMessage, timeout_s: float | None = None) -> str:
    """Send the message and return the server's last answer on one line.

    The whole delivery takes at most `timeout_s` seconds, TIMEOUT_S if it is None.
    Raises Refused (5xx, missing features of the server) and Unavailable (4xx, network, TLS, time-out).
    """
    where = f"the mail server {server.host}:{server.port}"
    timeout_s = timeout_s or TIMEOUT_S
    deadline = time.monotonic() + timeout_s
    try:
        connection = _connect(server, timeout_s)
        try:
            reply = _transfer(connection, message)
            with contextlib.suppress(smtplib.SMTPException, OSError):
                connection.quit()
            return reply
        finally:
            connection.close()
    except UnicodeError:
        raise Refused("[smtp] host, username and password: expected ASCII") from None
    except (smtplib.SMTPException, OSError) as error:
        if time.monotonic() >= deadline:  # what was cut off then may look like an answer
            raise Unavailable(f"{where} did not answer within {timeout_s:g} s") from None
        if isinstance(error, smtplib.SMTPNotSupportedError):
            raise Refused(f"{where} cannot do what [smtp] asks: {error}") from None
        if isinstance(error, smtplib.SMTPResponseException):
            raise _failure(where, error) from None
        raise Unavailable(f"{where} cannot be reached: {str(error) or type(error).__name__}") from error


class _Connection(smtplib.SMTP):
    """A connection that is cut off after `timeout` seconds. A socket's own time-out restarts with each byte."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        deadline = time.monotonic() + timeout
        sock = hosts.connect(hosts.resolve(host, port, timeout), deadline)
        self._second = sock.dup()  # starttls closes the first one
        self._timer = threading.Timer(hosts.seconds_until(deadline), self._cut_off)
        self._timer.daemon = True
        self._timer.start()
        return sock

    def _cut_off(self) -> None:
        with contextlib.suppress(OSError):  # the peer was faster
            self._second.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        super().close()
        if hasattr(self, "_timer"):
            self._timer.cancel()
            self._second.close()


class _TlsConnection(smtplib.SMTP_SSL, _Connection):
    """The same with TLS from the start: SMTP_SSL wraps the socket that _Connection gives it."""


def _connect(server: Server, timeout_s: float) -> smtplib.SMTP:
    context = ssl.create_default_context()
    connection: smtplib.SMTP
    if server.port == _TLS_FROM_THE_START:
        connection = _TlsConnection(server.host, server.port, timeout=timeout_s, context=context)
    else:
        connection = _Connection(server.host, server.port, timeout=timeout_s)
    try:
        if server.starttls and server.port != _TLS_FROM_THE_START:
            connection.starttls(context=context)
        if server.username:
            connection.login(server.username, server.password)
        connection.ehlo_or_helo_if_needed()
    except BaseException:
        connection.close()
        raise
    return connection


def _transfer(connection: smtplib.SMTP, message: EmailMessage) -> str:
    """Send to all recipients or to none, and return the last answer.

    smtplib's own send_message goes on if only some recipients are refused.
    """
    sender = message["From"].addresses[0].addr_spec
    _require(connection.mail(sender), f"the sender {sender}")
    for recipient in message["To"].addresses:
        _require(connection.rcpt(recipient.addr_spec), f"the recipient {recipient.addr_spec}")
    return _require(connection.data(message.as_bytes()), "the message")


def _require(answer: tuple[int, bytes], what: str) -> str:
    code, reply = answer[0], answer[1].decode("utf-8", "replace")
    if not 200 <= code < 300:
        raise smtplib.SMTPResponseException(code, f"{what} was not taken: {reply}")
    return f"{code} {_shown(reply)}"


def _failure(where: str, error: smtplib.SMTPResponseException) -> Exception:
    reply = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
    kind = Refused if 500 <= error.smtp_code < 600 else Unavailable
    return kind(f"{where} answered {error.smtp_code}: {_shown(reply)}")


def _shown(reply: str) -> str:
    return " ".join(reply.split())[:_SHOWN_CHARACTERS]


def _line(field: str, text: str) -> str:
    if _NO_LINE.search(text):
        raise Refused(f"{field}: expected one line without control characters, found {text[:100]!r}")
    return text


def _address(field: str, text: str) -> Address:
    """Parse one mailbox. Refuses a comma, which would turn one recipient into two. Raises Refused."""
    refusal = f"{field}: expected an address, ann@example.org or Ann <ann@example.org>, found {text[:100]!r}"
    try:
        header = _POLICY.header_factory("to", _line(field, text))
        (group,) = header.groups
        (mailbox,) = group.addresses
        address = Address(mailbox.display_name, mailbox.username, mailbox.domain.encode("idna").decode())
    except (MessageError, ValueError, IndexError):  # IndexError: the parser of Python 3.11 raises it for "ann@"
        raise Refused(refusal) from None
    defects = [defect for defect in header.defects if not isinstance(defect, ObsoleteHeaderDefect)]
    if defects or group.display_name is not None or not (mailbox.username and mailbox.domain):
        raise Refused(refusal)
    return address
