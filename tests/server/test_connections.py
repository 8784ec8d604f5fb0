"""What a stranger's connection may take: time, places, memory. The rest of the service goes on meanwhile."""

from __future__ import annotations

import contextlib
import inspect
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import BaseWSGIServer, TcpWSGIServer
from waitress.task import Task, ThreadedTaskDispatcher, WSGITask

from duey.server import connections
from duey.server.http_server import Server
from tests.server.conftest import SOON_S, Serve, answer, ask, connect
from tests.support import rows

KB = 1024


@pytest.fixture(autouse=True)
def checks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CHECK_EVERY_S", 0.02)


def test_waitress_still_has_what_is_used_of_it() -> None:
    """What is set and overridden here must be what Waitress looks at."""
    assert Adjustments.send_bytes == 1 and Adjustments.inbuf_overflow
    used = {
        HTTPChannel.handle_write: {"requests", "total_outbufs_len", "send_bytes", "close_when_flushed", "will_close"},
        HTTPChannel.readable: {"will_close", "close_when_flushed", "requests", "channel_request_lookahead"},
        HTTPChannel.writable: {"total_outbufs_len", "will_close"},
        HTTPChannel.received: {"request", "parser_class", "expect_continue", "completed", "send_continue", "requests"},
        HTTPChannel.service: {"requests", "close_on_finish", "close_when_flushed", "close"},
        HTTPChannel.handle_read: {"received"},
        HTTPRequestParser.received: {
            "body_rcv", "content_length", "body_bytes_received", "error", "completed", "headers_finished",
            "max_request_body_size", "empty", "parse_header",
        },
        HTTPRequestParser.close: {"body_rcv", "getbuf"},
        HTTPRequestParser.get_body_stream: {"body_rcv"},
        HTTPRequestParser.parse_header: {"chunked", "content_length", "headers"},
        WSGITask.execute: {"application"},
        Task.build_response_header: {"headers", "get", "set_close_on_finish"},
        BaseWSGIServer.readable: {"maintenance", "connection_limit"},
        BaseWSGIServer.handle_accept: {"channel_class", "_map"},
        wasyncore.poll2: {"readable", "writable", "accepting"},
    }  # fmt: skip
    for function, names in used.items():
        assert names <= set(function.__code__.co_names), function.__qualname__
    names = ("_flush_exception", "_flush_some", "_flush_some_if_lockable", "send", "handle_close")
    assert all(callable(getattr(HTTPChannel, name)) for name in names)
    assert {"map", "dispatcher", "adj", "sockinfo"} <= set(inspect.signature(TcpWSGIServer).parameters)
    assert {"timeout", "use_poll", "map"} <= set(inspect.signature(wasyncore.loop).parameters)
    assert "timeout" in inspect.signature(ThreadedTaskDispatcher.shutdown).parameters


def drip(connection: socket.socket, piece: bytes) -> bool:
    """Send a little; False once the server has ended the connection."""
    try:
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            if connection.recv(1) == b"":
                return False
        connection.setblocking(True)
        connection.sendall(piece)
        return True
    except OSError:
        return False


def ends(connection: socket.socket, piece: bytes = b"") -> bool:
    """Whether the server ends the connection, however much is dripped into it."""
    until = time.monotonic() + SOON_S
    while time.monotonic() < until:
        if not drip(connection, piece):
            return True
        time.sleep(0.03)
    return False


HEAD = b"POST /body HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"", b""),  # it never says anything
        (b"GET /slow HTTP/1.1\r\nX-Slow: ", b"x"),
        (b"", b"\r\n\r\n"),  # empty lines are no request, and begin nothing anew
        (HEAD + b"Content-Length: 900000\r\n\r\n", b"x"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nX: ", b"x"),
    ],
    ids=["mute", "head", "blank", "body", "chunks", "second head"],
)
def test_who_sends_slowly_is_cut_off(serve: Serve, monkeypatch: pytest.MonkeyPatch, first: bytes, then: bytes) -> None:
    for name in ("HEAD_S", "BODY_GRACE_S"):
        monkeypatch.setattr(connections, name, 0.3)
    with connect(serve()) as connection:
        connection.sendall(first)
        assert ends(connection, then)


def test_who_sends_at_a_fair_pace_is_served(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long body takes its time: each part that arrives earns more of it."""
    monkeypatch.setattr(connections, "HEAD_S", 2.0)
    monkeypatch.setattr(connections, "BODY_GRACE_S", 0.0)
    monkeypatch.setattr(connections, "BYTES_PER_S", 2 * KB)
    with connect(serve()) as connection:
        connection.sendall(HEAD + b"Content-Length: 65536\r\n\r\n")
        for _ in range(64):
            connection.sendall(b"x" * KB)
            time.sleep(0.05)
        assert answer(connection) == b"65536 declared, 65536 here"


def test_who_takes_no_answer_is_cut_off(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above 16 MB of answer Waitress lets the thread wait for the client."""
    monkeypatch.setattr(connections, "IDLE_S", 0.3)
    server = serve(threads="1")
    with connect(server) as deaf:
        ask(deaf, "/huge")
        with connect(server) as other:
            ask(other, "/here")
            assert answer(other) == b"/here"


def test_a_request_that_runs_is_not_overdue(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is what the client sent behind it, which waits for it."""
    from tests.server.conftest import GO

    for name in ("HEAD_S", "BODY_GRACE_S", "IDLE_S"):
        monkeypatch.setattr(connections, name, 0.2)
    with connect(serve()) as connection:
        connection.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\nGET /second HTTP/1.1\r\nHos")
        time.sleep(1)
        GO.set()
        assert answer(connection) == b"/wait"
        connection.sendall(b"t: x\r\n\r\n")
        assert answer(connection) == b"/second"


@contextlib.contextmanager
def many(server: Server, number: int, host: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
    """So many connections from an address, each with the beginning of a request."""
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(number):
            each = stack.enter_context(
                socket.create_connection(("127.0.0.1", server.port), SOON_S, source_address=(host, 0))
            )
            each.sendall(b"GET /")
            made.append(each)
        yield made


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_newcomers_are_let_in_when_all_places_are_taken(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 20)
    monkeypatch.setattr(connections, "PER_ADDRESS", 3)
    server = serve()
    with connect(server) as early, many(server, 40) as slow:
        for _ in range(3):
            with connect(server) as late:
                ask(late, "/late")
                assert answer(late) == b"/late"
        assert ends(early) and ends(slow[0])
        wait_for(lambda: len(server._listening[0].active_channels) <= 20)
        slow[-1].sendall(b"last HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer(slow[-1]) == b"/last", "the oldest go first"


def test_one_address_takes_no_places_of_others(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections.Listener, "whose", lambda self, host: host)  # loopback counts for the test
    monkeypatch.setattr(connections, "MOST", 20)
    monkeypatch.setattr(connections, "PER_ADDRESS", 8)
    server = serve()
    with many(server, 3, "127.0.0.3") as others, many(server, 30, "127.0.0.2"):
        wait_for(lambda: len(server._listening[0].active_channels) <= 11)
        for each in others:
            each.sendall(b"kept HTTP/1.1\r\nHost: x\r\n\r\n")
            assert answer(each) == b"/kept"
    monkeypatch.setattr(connections, "PER_ADDRESS", 18)
    with many(server, 6, "127.0.0.3") as others, many(server, 17, "127.0.0.2"):
        wait_for(lambda: len(server._listening[0].active_channels) <= 20)
        for each in others:
            each.sendall(b"kept HTTP/1.1\r\nHost: x\r\n\r\n")
            assert answer(each) == b"/kept", "the address with the most connections loses one"


def test_the_address_that_a_connection_counts_for(serve: Serve) -> None:
    whose = serve(trusted_proxy="192.0.2.1")._listening[0].whose
    assert whose("192.0.2.1") == whose("127.0.0.1") == whose("127.9.9.9") == whose("::1") == ""
    assert whose("192.0.2.2") == "192.0.2.2"
    assert whose("2001:db8::1") == whose("2001:db8::ffff:1") != whose("2001:db8:0:1::1")
    assert whose("fe80::1%eth0") and whose("no address") == "no address"


LIMIT = 64 * KB


def chunked(size: int, piece: int) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (piece, b"x" * piece) for _ in range(size // piece)) + b"0\r\n\r\n"


@rows(
    ("head", "body", "expected"),
    [
        (f"Content-Length: {LIMIT}", b"x" * LIMIT, f"{LIMIT} declared, {LIMIT} here"),
        (f"Content-Length: {LIMIT + 1}", b"x" * (LIMIT + 1), f"{LIMIT + 1} declared, 0 here"),
        ("Content-Length: 5000000", b"x" * 5_000_000, "5000000 declared, 0 here"),
        ("Content-Length: 5000000", b"", "5000000 declared, 0 here"),  # before anything of it has come
        ("Content-Length: 5000000\r\nExpect: 100-continue", b"", "5000000 declared, 0 here"),
        ("Transfer-Encoding: chunked", chunked(LIMIT, 4 * KB), f"{LIMIT} declared, {LIMIT} here"),
        ("Transfer-Encoding: chunked", chunked(LIMIT, 2), f"{LIMIT} declared, {LIMIT} here"),
        ("Transfer-Encoding: chunked", chunked(5_000_000, 5_000), f"{LIMIT + 1} declared, 0 here"),
        ("Transfer-Encoding: chunked", b"0" * 5_000_000, f"{LIMIT + 1} declared, 0 here"),  # a size without an end
    ],
)
def test_a_body_that_is_too_large_is_not_kept(serve: Serve, head: str, body: bytes, expected: str) -> None:
    """The application is told its size, so that it can refuse it in its own words, and has nothing of it. Who sends the
    whole of it before looking at the answer gets the answer all the same."""
    with connect(serve(max_body_kb=str(LIMIT // KB))) as connection:
        connection.sendall(HEAD + head.encode() + b"\r\n\r\n" + body)
        assert answer(connection).decode() == expected
        if expected.endswith(" 0 here"):
            assert ends(connection), "what comes behind such a body is no request"
        else:
            ask(connection, "/next")
            assert answer(connection) == b"/next"


def test_what_is_thrown_away_is_bounded(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LINGER_BYTES", 256 * KB)
    for seconds, size in ((SOON_S, 100_000_000), (0.2, 1)):
        monkeypatch.setattr(connections, "LINGER_S", seconds)
        with connect(serve(max_body_kb="64")) as connection:
            connection.sendall(HEAD + b"Content-Length: 100000000\r\n\r\n")
            assert ends(connection, b"x" * min(size, 512 * KB))


@pytest.mark.parametrize("line", [b"GET http://[ HTTP/1.1", b"GET / HTTP/1.1\r\nContent-Length: " + b"9" * 5000])
def test_what_the_parser_stumbles_over_is_a_bad_request(
    serve: Serve, line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(serve()) as connection:
        connection.sendall(line + b"\r\nHost: x\r\n\r\n")
        assert connection.recv(64).startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 ", b"HTTP/1.1 200 "))
    assert "Traceback" not in caplog.text
