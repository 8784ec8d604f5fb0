"""duey.recipes.http against real servers: what is an answer, what is worth another attempt, when it ends."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

import pytest
import trustme

from duey.recipes import Refused, Unavailable, http
from tests.recipes.http_peer import HttpPeer, answer, raw
from tests.support import rows
from tests.support.ports import free_port

HERE = ("127.0.0.1",)


def get(url: str, timeout_s: float = 5.0, **options: object) -> http.Answer:
    return http.request("GET", url, timeout_s=timeout_s, **{"allow_hosts": HERE, **options})


def test_a_request_arrives_as_it_was_made(peer: HttpPeer) -> None:
    peer.behave = answer(201, b"made")
    got = http.request(
        "POST",
        peer.url(path="/a%20b/ä?q=ü&r=%2F#part"),
        timeout_s=5,
        allow_hosts=HERE,
        body=b"hello",
        headers={"x-one": "1"},
    )
    assert (got.status, got.text) == (201, "made")
    assert 0 < got.ms < 5000
    (received,) = peer.received
    assert received.path == "/a%20b/%C3%A4?q=%C3%BC&r=%2F"
    assert received.body == b"hello"
    assert received.headers["host"] == f"127.0.0.1:{peer.port}"
    assert received.headers["x-one"] == "1"
    assert received.headers["user-agent"] == "Duey"


@rows("status", [400, 401, 403, 404, 409, 410, 422, 499])
def test_another_4xx_is_refused_with_the_peers_words(peer: HttpPeer, status: int) -> None:
    peer.behave = answer(status, b"no\n  such   hook")
    with pytest.raises(Refused, match=rf"127.0.0.1:{peer.port} answered {status}: 'no such hook'"):
        get(peer.url())


@rows("status", [429, 500, 502, 503, 504, 599])
def test_429_and_5xx_are_worth_another_attempt(peer: HttpPeer, status: int) -> None:
    peer.behave = answer(status)
    with pytest.raises(Unavailable, match=f"answered {status}$"):
        get(peer.url())


def test_a_redirect_is_an_error_of_its_own_and_not_followed(peer: HttpPeer) -> None:
    with HttpPeer() as inside:
        peer.behave = answer(302, location=inside.url())
        with pytest.raises(http.Redirected, match=r"answered 302, a redirect to 'http://127\.0\.0\.1"):
            get(peer.url(), allow_hosts=None)
        assert not inside.received


def test_no_error_names_path_or_query(peer: HttpPeer) -> None:
    peer.behave = answer(500)
    with pytest.raises(Unavailable) as caught:
        get(peer.url(path="/secret-path?secret-query"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "behave",
    [
        raw(), raw(b"HTTP/1.1 2"), raw(b"SSH-2.0-OpenSSH_9.2\r\n"), raw(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000),
        raw(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n"),
    ],
    ids=["nothing", "cut off", "not HTTP", "endless header", "too many headers"],
)  # fmt: skip
def test_what_is_no_answer_is_worth_another_attempt(peer: HttpPeer, behave: Callable[..., None]) -> None:
    peer.behave = behave
    with pytest.raises(Unavailable, match="cannot be reached"):
        get(peer.url())


def test_a_status_counts_also_when_its_body_is_cut_off(peer: HttpPeer) -> None:
    peer.behave = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nonly this")
    assert get(peer.url()).status == 200


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
    assert len(got.text) == http.MAX_ANSWER_BYTES
    assert got.ms < 10_000
    assert sent < 50_000_000  # what lies in the buffers of both ends


def drip(handler: BaseHTTPRequestHandler, peer: HttpPeer, start: bytes) -> None:
    handler.wfile.write(start)
    while not peer.closing.wait(0.02):
        handler.wfile.write(b"x")


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nx: "], ids=["in the status line", "in a header"])
def test_one_byte_at_a_time_does_not_stretch_the_deadline(peer: HttpPeer, start: bytes) -> None:
    peer.behave = lambda handler: drip(handler, peer, start)
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"did not answer within 0\.5 s"):
        get(peer.url(), timeout_s=0.5)
    assert 0.4 < time.monotonic() - began < 3


def test_a_slow_body_after_a_status_ends_at_the_deadline_as_that_status(peer: HttpPeer) -> None:
    peer.behave = lambda handler: drip(handler, peer, b"HTTP/1.1 202 OK\r\ncontent-length: 9999\r\n\r\n")
    assert get(peer.url(), timeout_s=0.5).status == 202


def test_a_peer_that_does_not_read_is_left_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf, pytest.raises(Unavailable, match="did not answer within"):
        http.request(
            "POST",
            f"http://127.0.0.1:{deaf.getsockname()[1]}/",
            timeout_s=0.5,
            allow_hosts=HERE,
            body=b"x" * 20_000_000,
        )


def test_nobody_listens() -> None:
    with pytest.raises(Unavailable, match=r"cannot be reached: .*refused"):
        get(f"http://127.0.0.1:{free_port()}/")


def test_an_unknown_name(names: Callable[..., list[str]]) -> None:
    names()
    with pytest.raises(Unavailable, match=r"http://nowhere\.test cannot be reached: .*not known"):
        get("http://nowhere.test/", allow_hosts=None)


def test_a_resolver_that_hangs_does_not_stretch_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: over.wait(60))
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"did not answer within 0\.3 s"):
        get("http://slow.test/", timeout_s=0.3, allow_hosts=None)
    over.set()
    assert time.monotonic() - began < 3


def test_the_next_address_is_tried_when_one_is_dead(peer: HttpPeer, names: Callable[..., list[str]]) -> None:
    names(two_test=[["127.0.0.2", "127.0.0.1"]])  # nobody listens on the first
    assert get(peer.url("two.test"), allow_hosts=["two.test"]).status == 200
    assert peer.received[0].headers["host"] == f"two.test:{peer.port}"


def test_proxies_of_the_environment_are_not_used(peer: HttpPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert get(peer.url()).status == 200


# TLS


def server_context(ca: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    return context


def test_tls_goes_to_the_checked_address_under_the_name(authority: trustme.CA, names: Callable[..., list[str]]) -> None:
    with HttpPeer(context=server_context(authority, "hooks.test")) as peer:
        asked = names(hooks_test=[["127.0.0.1"]])
        assert get(peer.url("hooks.test"), allow_hosts=["hooks.test"]).status == 200
        assert asked == ["hooks.test"]
        assert peer.received[0].headers["host"] == f"hooks.test:{peer.port}"


def test_tls_with_a_certificate_of_another_name(authority: trustme.CA, names: Callable[..., list[str]]) -> None:
    with HttpPeer(context=server_context(authority, "other.test")) as peer:
        names(hooks_test=[["127.0.0.1"]])
        with pytest.raises(Unavailable, match="certificate verify failed: Hostname mismatch"):
            get(peer.url("hooks.test"), allow_hosts=["hooks.test"])
        assert not peer.received


def test_tls_with_a_certificate_that_nobody_trusts(authority: trustme.CA) -> None:
    with HttpPeer(context=server_context(trustme.CA(), "127.0.0.1")) as peer:
        with pytest.raises(Unavailable, match="certificate verify failed"):
            get(peer.url())
        assert not peer.received


def test_tls_to_a_peer_that_says_nothing() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        pytest.raises(Unavailable, match=r"did not answer within 0\.3 s"),
    ):
        get(f"https://127.0.0.1:{mute.getsockname()[1]}/", timeout_s=0.3)


def test_tls_is_not_spoken_by_the_peer(peer: HttpPeer) -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        get(peer.url().replace("http:", "https:"))


# URLs


@rows(
    "url",
    [
        "", "example.org", "/path", "http://", "http:///path", "ftp://example.org/", "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL", "http://user@example.org/", "http://user:pass@example.org/",
        "http://@example.org/", "http://example.org:port/", "http://example.org:0/", "http://example.org:65536/",
        "http://exa mple.org/", "http://example.org/a b", "http://example.org/\r\nx: y",
        "http://example.org\\@127.0.0.1/", "http://[::1/", "http://[fe80::1%25eth0]/", "http://exa_mple..org/",
        "http://" + "a" * 64 + ".org/", "http://example.org/\ud800", "http://ex%61mple.org/",
    ],
)  # fmt: skip
def test_a_url_that_is_none_is_refused_before_anything_is_looked_up(url: str, names: Callable[..., list[str]]) -> None:
    asked = names()
    with pytest.raises(Refused, match="expected"):
        get(url, allow_hosts=None)
    assert asked == []


def test_a_password_in_a_url_is_not_repeated() -> None:
    with pytest.raises(Refused) as caught:
        get("http://me:hunter2@example.org/")
    assert "hunter2" not in str(caught.value)
