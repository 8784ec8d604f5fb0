"""recipes.mail against a real SMTP server: what is composed, what is sent to whom, what is worth another attempt."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import TYPE_CHECKING

import pytest

from duey.recipes import Refused, Unavailable, mail
from tests.recipes.conftest import server_context
from tests.recipes.smtp_peer import SmtpPeer
from tests.support import free_port, rows

if TYPE_CHECKING:
    import trustme

SENDER = "Duey <duey@example.org>"
BOTH = ("ann@example.org", "bob@example.org")


@pytest.fixture
def smtp() -> Iterator[SmtpPeer]:
    with SmtpPeer() as server:
        yield server


def plain(port: int) -> mail.Server:
    return mail.Server("127.0.0.1", port, starttls=False)


def note(*to: str, **changes: str | None) -> EmailMessage:
    fields = {"subject": "Hello", "text": "Hi there", **changes}
    return mail.compose(SENDER, list(to) or ["ann@example.org"], **fields)  # type: ignore[arg-type]


def test_a_message_arrives_as_it_was_composed(smtp: SmtpPeer) -> None:
    subject = "Größe: 10 € — " + "long " * 40 + "end"
    text = "Zoë, 10 €\n.\n.dots at the start\nfrom the start\n" + "long " * 500 + "\n"
    smtp.hang_up_at_quit = True  # which is no failure
    given = {"subject": subject, "text": text, "html": "<p>Zoë</p>", "reply_to": "help@example.org"}
    mail.send(plain(smtp.port), note("Ann Müller <ann@example.org>", "bob@bücher.example", message_id="job-1", **given))
    (taken,) = smtp.taken
    assert taken.sender == "duey@example.org"
    assert taken.recipients == ["ann@example.org", "bob@xn--bcher-kva.example"]
    got = taken.message
    assert got["From"].addresses[0].display_name == "Duey" and got["To"].addresses[0].display_name == "Ann Müller"
    expected = [subject, "help@example.org", "<job-1@example.org>", "auto-generated"]
    assert [got[name] for name in ("Subject", "Reply-To", "Message-ID", "Auto-Submitted")] == expected
    assert got["Date"].datetime.tzinfo is not None
    assert got.get_body(("plain",)).get_content().replace("\r\n", "\n") == text  # type: ignore[union-attr]
    assert "Zoë" in got.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert taken.content.isascii() and max(map(len, taken.content.split(b"\r\n"))) < 998


def test_the_same_id_makes_the_same_message_id() -> None:
    assert note(message_id="j")["Message-ID"] == note(message_id="j")["Message-ID"]
    assert note()["Message-ID"] != note()["Message-ID"]
    assert note(message_id="a@b>\r\nBcc: x")["Message-ID"] == "<a_b___Bcc__x@example.org>"


@rows(
    "bad",
    [
        "", "ann", "ann@", "@example.org", "ann@example.org, bob@example.org", "Ann, Bob <ann@example.org>",
        "team: ann@example.org;", "ann@example.org;", "ann@example.org\nBcc: bob@example.org",
        "ann@example.org\r\nBcc: bob@example.org", "Ann\r\n <ann@example.org>", "ann@example.org\x00",
        "ann@exa\u2028mple.org", "=?utf-8?q?Ann=0D=0ABcc:_bob=40example.org?= <ann@example.org>",
        "ann@example.org <bob@example.org>", "ann bob@example.org", "änn@example.org", "ann@example..org",
        "\ud800@example.org",
    ],
)  # fmt: skip
@rows("field", ["to", "reply_to", "sender"])
def test_what_is_not_one_address_is_refused(field: str, bad: str) -> None:
    given = {"sender": SENDER, "to": ["ok@example.org"], "reply_to": None}
    given[field] = [bad] if field == "to" else bad
    with pytest.raises(Refused, match=f"^{field}: expected"):
        mail.compose(subject="s", text="t", **given)  # type: ignore[arg-type]


def test_subjects_are_one_line_and_a_body_becomes_no_header() -> None:
    bad = ["a\nBcc: x@b.org", "a\r\n\r\nbody", "a\rb", "a\x00", "a\x85b", "=?utf-8?q?a=0ABcc:_x?=", "\udcff"]
    for subject in bad:
        with pytest.raises(Refused, match=r"^subject: expected one line"):
            note(subject=subject)
            pytest.fail(f"accepted {subject!r}")
    for subject in ("", "Offre : 10\u00a0€", "🎉", "a\u200bb", "=?utf-8?q?ok?="):
        message = message_from_bytes(note(subject=subject).as_bytes(), policy=default)
        assert (message.keys().count("Subject"), message.get_payload()) == (1, "Hi there\r\n"), subject
    message = message_from_bytes(note(text="\r\nBcc: x@example.org\r\n.\r\nQUIT").as_bytes(), policy=default)
    assert message["Bcc"] is None
    with pytest.raises(Refused, match="valid Unicode"):
        note(text="\ud800")
    with pytest.raises(Refused, match="expected 1 to 100 addresses, found 0"):
        mail.compose(SENDER, [], "s", "t")
    with pytest.raises(Refused, match="found 101"):
        note(*[f"a{n}@example.org" for n in range(101)])


# What the server says


@rows(
    ("where", "line", "error", "sentence"),
    [
        ("MAIL", "451 try later", Unavailable, "answered 451: the sender duey@example.org was not taken: try"),
        ("MAIL", "550 not you", Refused, "answered 550: the sender duey@example.org was not taken: not you"),
        ("bob@example.org", "450 greylisted", Unavailable, "450: the recipient bob@example.org was not taken"),
        ("bob@example.org", "550 unknown", Refused, "550: the recipient bob@example.org was not taken: unkn"),
        ("DATA", "452 full", Unavailable, "answered 452: the message was not taken: full"),
        ("DATA", "554 spam", Refused, "answered 554: the message was not taken: spam"),
    ],
)
def test_4xx_is_worth_another_attempt_and_5xx_is_not(
    smtp: SmtpPeer, where: str, line: str, error: type[Exception], sentence: str
) -> None:
    smtp.taken.clear()
    smtp.answers = {where: line}
    with pytest.raises(error, match=sentence):
        mail.send(plain(smtp.port), note(*BOTH))
    assert smtp.taken == []  # not even to those whom the server would take
    smtp.answers = {}
    mail.send(plain(smtp.port), note(*BOTH))
    assert smtp.taken[0].recipients == list(BOTH)


def test_a_connection_that_breaks_before_the_last_answer_is_tried_again(smtp: SmtpPeer) -> None:
    smtp.hang_up_before_answer = True
    with pytest.raises(Unavailable, match="cannot be reached"):
        mail.send(plain(smtp.port), note(message_id="j"))
    smtp.hang_up_before_answer = False
    mail.send(plain(smtp.port), note(message_id="j"))
    first, second = smtp.taken
    assert first.message["Message-ID"] == second.message["Message-ID"]  # so that it is shown once


def test_nobody_listens_or_nobody_says_anything() -> None:
    with pytest.raises(Unavailable, match=r"cannot be reached: .*refused"):
        mail.send(plain(free_port()), note(), 5.0)
    mute = socket.create_server(("127.0.0.1", 0))
    with mute, pytest.raises(Unavailable, match=r"did not answer within 0\.3 s"):
        mail.send(plain(mute.getsockname()[1]), note(), 0.3)


def test_a_server_that_sends_a_byte_now_and_then_is_left_at_the_deadline() -> None:
    over = threading.Event()

    def drip(server: socket.socket) -> None:
        peer, _ = server.accept()
        with peer, contextlib.suppress(OSError):
            while not over.wait(0.05):
                peer.sendall(b"2")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        with pytest.raises(Unavailable, match=r"did not answer within 0\.4 s"):
            mail.send(plain(server.getsockname()[1]), note(), 0.4)
        over.set()
        thread.join()


# TLS and login


def test_tls_and_login(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    context: ssl.SSLContext = server_context(authority, "127.0.0.1")
    with SmtpPeer(context, users={"me": "hunter2"}) as smtp:
        with pytest.raises(Refused, match="answered 535") as caught:
            mail.send(mail.Server("127.0.0.1", smtp.port, "me", "hunter3"), note())
        assert "hunter3" not in str(caught.value)
        with pytest.raises(Refused, match="expected ASCII"):
            mail.send(mail.Server("127.0.0.1", smtp.port, "me", "hünter"), note())
        assert smtp.taken == []
        mail.send(mail.Server("127.0.0.1", smtp.port, "me", "hunter2"), note())
        assert smtp.taken[0].tls and smtp.taken[0].user == "me"
    with SmtpPeer(context, starttls=False) as smtp:
        monkeypatch.setattr(mail, "_TLS_FROM_THE_START", smtp.port)
        mail.send(mail.Server("127.0.0.1", smtp.port), note())
        assert len(smtp.taken) == 1


def test_no_password_goes_to_whom_nobody_trusts_or_in_the_clear(stranger: trustme.CA, smtp: SmtpPeer) -> None:
    with SmtpPeer(server_context(stranger, "127.0.0.1"), users={"me": "hunter2"}) as untrusted:
        for peer, error, sentence in (
            (untrusted, Unavailable, "certificate verify failed"),
            (smtp, Refused, r"cannot do what \[smtp\] asks: STARTTLS"),
        ):
            with pytest.raises(error, match=sentence):
                mail.send(mail.Server("127.0.0.1", peer.port, "me", "hunter2"), note())
            assert peer.taken == []
