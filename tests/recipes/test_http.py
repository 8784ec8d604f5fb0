"""duey.recipes.http against real servers: what is an answer, what is worth another attempt, when it ends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest

from duey.recipes import Refused, Unavailable, http
from tests.recipes.conftest import server_context
from tests.recipes.http_peer import HttpPeer, answer, raw
from tests.support import free_port, rows

if TYPE_CHECKING:
    import trustme

Names = Callable[..., list[str]]


def get(url: str, timeout_s: float = 5.0, method: str = "GET", **options: object) -> http.Answer:
    return http.request(method, url, timeout_s=timeout_s, **{"allow_hosts": ("127.0.0.1",), **options})


def test_a_request_arrives_as_it_was_made(peer: HttpPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):  # which are not used
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    peer.behave = answer(201, b"made")
    got = get(peer.url(path="/a%20b/ä?q=ü&r=%2F#part"), method="POST", body=b"hello", headers={"x-one": "1"})
    assert (got.status, got.text) == (201, "made") and 0 < got.ms < 5000
    (received,) = peer.received
    assert (received.path, received.body) == ("/a%20b/%C3%A4?q=%C3%BC&r=%2F", b"hello")
    expected = {"host": f"127.0.0.1:{peer.port}", "x-one": "1", "user-agent": "Duey"}
    assert expected.items() <= received.headers.items()


@rows("status", [400, 401, 403, 404, 409, 410, 422, 499, 429, 500, 502, 503, 504, 599])
def test_429_and_5xx_are_worth_another_attempt_and_another_4xx_is_refused(peer: HttpPeer, status: int) -> None:
    peer.behave = answer(status, b"no\n  such   hook")
    again = status == 429 or status >= 500
    with pytest.raises(Unavailable if again else Refused, match=f"127.0.0.1:{peer.port} answered {status}") as caught:
        get(peer.url(path="/secret-path?secret-query"))
    assert "secret" not in str(caught.value)
    assert again or str(caught.value).endswith(": 'no such hook'"), "the peer's words"


@rows(
    ("text", "least", "most"),
    [("120", 120, 120), ("0", 0, 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0), ("in a minute", None, None),
     ("Fri, 31 Dec 9999 23:59:59 GMT", 10**10, 10**12), ("-5", None, None), ("9" * 400, None, None)],
)  # fmt: skip
def test_the_peer_says_when_to_try_again(peer: HttpPeer, text: str, least: float | None, most: float | None) -> None:
    peer.behave = answer(503, retry_after=text)
    with pytest.raises(Unavailable) as caught:
        get(peer.url())
    seconds = caught.value.retry_after_s
    assert seconds is None if least is None or most is None else seconds is not None and least <= seconds <= most


def test_a_redirect_is_an_error_of_its_own_and_not_followed(peer: HttpPeer) -> None:
    with HttpPeer() as inside:
        peer.behave = answer(302, location=inside.url())
        with pytest.raises(http.Redirected, match=r"answered 302, a redirect to 'http://127\.0\.0\.1"):
            get(peer.url(), allow_hosts=None)
        assert not inside.received


def drips(start: bytes) -> Callable[[HttpPeer], Callable[[BaseHTTPRequestHandler], None]]:
    """This start of an answer, then a byte at a time."""

    def behave(peer: HttpPeer) -> Callable[[BaseHTTPRequestHandler], None]:
        def drip(handler: BaseHTTPRequestHandler) -> None:
            handler.wfile.write(start)
            while not peer.closing.wait(0.02):
                handler.wfile.write(b"x")

        return drip

    return behave


OK = b"HTTP/1.1 200 OK\r\n"
REACHED, IN_TIME = "cannot be reached", r"did not answer within 0\.5 s"


@rows(
    ("what", "behave", "sentence"),
    [
        ("nothing", raw(), REACHED), ("cut off", raw(b"HTTP/1.1 2"), REACHED),
        ("not HTTP", raw(b"SSH-2.0-OpenSSH_9.2\r\n"), REACHED),
        ("endless header", raw(OK + b"x: " + b"y" * 70_000), REACHED),
        ("too many headers", raw(OK + b"x: y\r\n" * 200 + b"\r\n"), REACHED),
        ("slow status line", drips(b""), IN_TIME), ("slow header", drips(OK + b"x: "), IN_TIME),
        # A status counts, also when its body is cut off or does not come.
        ("cut off body", raw(OK + b"content-length: 1000\r\n\r\nonly this"), None),
        ("slow body", drips(OK + b"content-length: 9999\r\n\r\n"), None),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_worth_another_attempt(
    peer: HttpPeer, what: str, behave: Any, sentence: str | None
) -> None:
    peer.behave = behave(peer) if what.startswith("slow") else behave
    if sentence is None:
        assert get(peer.url(), timeout_s=0.5).status == 200
    else:
        with pytest.raises(Unavailable, match=sentence):
            get(peer.url(), timeout_s=0.5)


def test_at_most_64_kb_of_the_answer_are_read(peer: HttpPeer) -> None:
    sent = 0

    def endless(handler: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        handler.send_response(200)
        handler.end_headers()
        while not peer.closing.is_set():
            handler.wfile.write(b"x" * 65536)
            sent += 65536

    peer.behave = endless
    got = get(peer.url(), timeout_s=20)
    assert len(got.text) == http.MAX_ANSWER_BYTES and got.ms < 10_000
    assert sent < 50_000_000  # what lies in the buffers of both ends


def test_a_peer_that_does_not_read_or_speak_is_left_at_the_deadline(peer: HttpPeer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        for scheme, body in (("http", b"x" * 20_000_000), ("https", None)):
            with pytest.raises(Unavailable, match=r"did not answer within 0\.3 s"):
                get(f"{scheme}://127.0.0.1:{deaf.getsockname()[1]}/", 0.3, "POST", body=body)
    with pytest.raises(Unavailable, match="cannot be reached"):
        get(peer.url().replace("http:", "https:"))  # it does not speak TLS
    with pytest.raises(Unavailable, match=r"cannot be reached: .*refused"):
        get(f"http://127.0.0.1:{free_port()}/")


def test_names_that_are_unknown_or_have_a_dead_address(peer: HttpPeer, names: Names) -> None:
    names(two_test=[["127.0.0.2", "127.0.0.1"]])  # nobody listens on the first
    assert get(peer.url("two.test"), allow_hosts=["two.test"]).status == 200
    assert peer.received[0].headers["host"] == f"two.test:{peer.port}"
    with pytest.raises(Unavailable, match=r"http://nowhere\.test cannot be reached: .*not known"):
        get("http://nowhere.test/", allow_hosts=None)


def test_a_resolver_that_hangs_does_not_stretch_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: over.wait())
    with pytest.raises(Unavailable, match=r"did not answer within 0\.3 s"):
        get("http://slow.test/", timeout_s=0.3, allow_hosts=None)
    over.set()


# TLS


def test_tls_goes_to_the_checked_address_under_a_name_that_the_certificate_has(
    authority: trustme.CA, stranger: trustme.CA, names: Names
) -> None:
    for issuer, subject, sentence in (
        (authority, "hooks.test", None), (authority, "other.test", "certificate verify failed: Hostname mismatch"),
        (stranger, "hooks.test", "certificate verify failed"),
    ):  # fmt: skip
        asked = names(hooks_test=[["127.0.0.1"]])
        with HttpPeer(context=server_context(issuer, subject)) as peer:
            if sentence is None:
                assert get(peer.url("hooks.test"), allow_hosts=["hooks.test"]).status == 200
                assert peer.received[0].headers["host"] == f"hooks.test:{peer.port}"
            else:
                with pytest.raises(Unavailable, match=sentence):
                    get(peer.url("hooks.test"), allow_hosts=["hooks.test"])
                assert not peer.received
        assert asked == ["hooks.test"]


# URLs


@rows(
    "url",
    [
        "", "example.org", "/path", "http://", "http:///path", "ftp://example.org/", "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL", "http://user@example.org/", "http://user:hunter2@example.org/",
        "http://@example.org/", "http://example.org:port/", "http://example.org:0/", "http://example.org:65536/",
        "http://exa mple.org/", "http://example.org/a b", "http://example.org/\r\nx: y",
        "http://example.org\\@127.0.0.1/", "http://[::1/", "http://[fe80::1%25eth0]/", "http://exa_mple..org/",
        "http://" + "a" * 64 + ".org/", "http://example.org/\ud800", "http://ex%61mple.org/",
    ],
)  # fmt: skip
def test_a_url_that_is_none_is_refused_before_anything_is_looked_up(url: str, names: Names) -> None:
    asked = names()
    with pytest.raises(Refused, match="expected") as caught:
        get(url, allow_hosts=None)
    assert asked == [] and "hunter2" not in str(caught.value)
