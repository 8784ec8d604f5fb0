"""Servers that misbehave: each answer is one short line without secrets, within the deadline of the send."""

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from duey.alerts.channels import ChannelFailed
from duey.alerts.channels.contract import LONGEST_ANSWER
from tests.alerts.channels.conftest import MESSAGE, Load
from tests.recipes.conftest import server_context
from tests.recipes.http_peer import HttpPeer, answer, raw
from tests.recipes.smtp_peer import SmtpPeer
from tests.support import free_port, rows

SECRET = "T0ps3cret-p4th"
DEADLINE_S = 0.6
OK = b"HTTP/1.1 200 OK\r\n"


def bad_tls() -> HttpPeer:
    import trustme  # it takes half a second, and each process of a run collects this file

    return HttpPeer(context=server_context(trustme.CA(), "127.0.0.1"))  # an authority that nobody trusts


@contextlib.contextmanager
def nobody() -> Iterator[int]:
    yield free_port()


@contextlib.contextmanager
def full() -> Iterator[int]:
    """A port whose server takes no connection any more: a further one hangs while it is made."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = server.getsockname()
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield address[1]


def behaving(behave: Callable[[BaseHTTPRequestHandler], None], peer: HttpPeer | None = None) -> object:
    @contextlib.contextmanager
    def serve() -> Iterator[int]:
        with peer or HttpPeer() as server:
            server.behave = behave
            yield server.port

    return serve()


def until_hung_up(handler: BaseHTTPRequestHandler, start: bytes, then: bytes) -> None:
    """Send `start`, then `then` again and again until the client hangs up."""
    with contextlib.suppress(OSError):
        handler.wfile.write(start)
        while True:
            time.sleep(0.02)
            handler.wfile.write(then)


def hang(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(OK)
    with contextlib.suppress(OSError):
        handler.connection.recv(1)


def repeats_path(handler: BaseHTTPRequestHandler) -> None:
    answer(404, f"<p>Cannot POST {handler.path}</p>\r\n".encode())(handler)


# What the server does, what is shown, whether it is permanent, and what it said about when to try again.
LATE, SENT = r"https?://127.0.0.1:\d+ did not answer within 0\.6 s", r"answered 200 in \d+ ms"
UNREACHABLE = r"https?://127.0.0.1:\d+ cannot be reached: .*"
SERVERS = [
    ("refuses", lambda: nobody(), UNREACHABLE + "refused", False, None),
    ("hangs at connect", lambda: full(), LATE, False, None),
    ("hangs after the status", lambda: behaving(hang), LATE, False, None),
    ("trickles", lambda: behaving(lambda h: until_hung_up(h, OK, b"x")), LATE, False, None),
    ("500", lambda: behaving(answer(500, b"<h1>oh\n no</h1>" * 99)), ".* answered 500: .*", False, None),
    ("429", lambda: behaving(answer(429, retry_after="77")), ".* answered 429", False, 77.0),
    ("404", lambda: behaving(repeats_path), r".* answered 404: '<p>Cannot POST .*", True, None),
    ("redirect", lambda: behaving(answer(302, location=f"https://evil.example/{SECRET}")),
     r".* a redirect to 'https://evil.example/\*\*\*': .*", True, None),
    ("huge body", lambda: behaving(lambda h: until_hung_up(h, OK + b"\r\n", b"x" * 65536)), SENT, False, None),
    ("bad TLS", lambda: behaving(answer(200), bad_tls()), UNREACHABLE + "certificate verify failed.*", False, None),
    ("closes mid-body", lambda: behaving(raw(OK + b"content-length: 999\r\n\r\nhalf")), SENT, False, None),
    ("closes mid-header", lambda: behaving(raw(OK + b"content-le")), SENT, False, None),
    ("closes without an answer", lambda: behaving(raw()), UNREACHABLE, False, None),
    ("no HTTP", lambda: behaving(raw(b"220 mail ESMTP\r\n")), UNREACHABLE, False, None),
]  # fmt: skip


@rows(("what", "server", "shown", "permanent", "retry_after_s"), SERVERS)
def test_each_answer_is_one_line_within_the_deadline(
    load: Load, what: str, server: Callable[[], contextlib.AbstractContextManager[int]], shown: str, permanent: bool,
    retry_after_s: float | None,
) -> None:  # fmt: skip
    for kind in ("webhook", "ntfy", "slack"):
        with server() as port:
            scheme = "https" if what == "bad TLS" else "http"
            (channel,) = load(f"{kind} = {scheme}://127.0.0.1:{port}/{SECRET}/{SECRET}").values()
            try:
                line, failed = channel.send(MESSAGE, DEADLINE_S if shown == LATE else 20.0), None
            except ChannelFailed as error:
                line, failed = error.answer, error
        assert re.fullmatch(shown, line), (kind, line)
        assert len(line) <= LONGEST_ANSWER and SECRET not in line and line.isprintable()
        assert (failed is None) == (shown == SENT), kind
        assert failed is None or (failed.permanent, failed.retry_after_s) == (permanent, retry_after_s), kind


@rows(
    ("what", "shown", "permanent"),
    [
        ("550 no such user", r"the mail server .* answered 550: the recipient .* was not taken: no such user", True),
        ("451 later", r"the mail server .* answered 451: .*", False),
        ("refuses", r"the mail server .* cannot be reached: .*refused", False),
        ("hangs at connect", r"the mail server .* did not answer within 0\.6 s", False),
        ("trickles", r"the mail server .* did not answer within 0\.6 s", False),
        ("hangs after the greeting", r"the mail server .* did not answer within 0\.6 s", False),
        ("no SMTP", r"the mail server .* answered .*|the mail server .* cannot be reached: .*", False),
    ],
)
def test_mail_servers_too(load: Load, what: str, shown: str, permanent: bool) -> None:
    with contextlib.ExitStack() as stack:
        if what[0].isdigit():
            smtp = stack.enter_context(SmtpPeer())
            smtp.answers = {"ann@example.org": what}
            port = smtp.port
        elif what == "refuses":
            port = free_port()
        elif what == "hangs at connect":
            port = stack.enter_context(full())
        else:
            start = {"trickles": b"2", "hangs after the greeting": b"220 hello\r\n", "no SMTP": b"SSH-2.0-x\r\n"}[what]
            port = stack.enter_context(talker(start, b"0" if what == "trickles" else b""))
        (channel,) = load("email = ann@example.org", f"port = {port}").values()
        with pytest.raises(ChannelFailed) as caught:
            channel.send(MESSAGE, DEADLINE_S if "within" in shown else 20.0)
    assert re.fullmatch(shown, caught.value.answer), caught.value.answer
    assert caught.value.permanent is permanent


@contextlib.contextmanager
def talker(start: bytes, then: bytes) -> Iterator[int]:
    """A server that says `start` and then `then` every 20 ms to whoever comes."""
    over = threading.Event()

    def talk() -> None:
        sock, _ = server.accept()
        with sock, contextlib.suppress(OSError):
            sock.sendall(start)
            while not over.wait(0.02):
                sock.sendall(then)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=talk)
        thread.start()
        yield server.getsockname()[1]
        over.set()
        thread.join()


def test_the_password_of_the_mail_server_is_in_no_answer(load: Load) -> None:
    class Repeats(SmtpPeer):
        async def handle_DATA(self, *args: object) -> str:
            return "554 policy hunter2hunter2"

    with Repeats() as smtp:
        (channel,) = load("email = a@x.org", f"port = {smtp.port}\npassword = hunter2hunter2").values()
        with pytest.raises(ChannelFailed, match=r"not taken: policy \*\*\*"):
            channel.send(MESSAGE, 5)


def test_a_fault_in_a_channel_is_its_own_line(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "dumps", lambda *args, **kwargs: 1 / 0)
    (channel,) = load("ntfy = http://127.0.0.1:1/topic").values()
    with pytest.raises(ChannelFailed, match="a fault of Duey: ZeroDivisionError; the log says more"):
        channel.send(MESSAGE, 1)
