"""The HTTP server: each answer is sent whole and in time, and none that is on its way is lost at the end."""

import socket
import threading
import time
from types import SimpleNamespace

import pytest
from waitress.channel import HTTPChannel

from duey.server import http_server
from duey.server.http_server import LOOPS_WITHIN_S, SEND_BYTES, CannotListen
from tests.server.conftest import GO, SOON_S, Serve, answer, ask, connect
from tests.support import rounds, wait_until


def test_answers_come_in_order_on_one_connection(serve: Serve):
    with connect(serve()) as connection:
        for path in ("/a", "/large", "/b"):
            ask(connection, path)
            assert answer(connection) == (b"x" * 2**20 if path == "/large" else path.encode())


def test_an_answer_does_not_wait_for_the_clients_next_request(serve: Serve):
    """A client may send its next request before it has read the answer to this one."""
    with connect(serve()) as connection:
        ask(connection, "/first", "/wait")
        assert answer(connection) == b"/first", "while the second runs"
        GO.set()
        assert answer(connection) == b"/wait"


@pytest.mark.soak
def test_a_client_that_asks_before_it_sends_its_body_gets_each_answer_once(serve: Serve):
    """Its `Expect: 100-continue` may arrive while the answer before it is being sent, by another thread."""
    with connect(serve()) as connection:
        for _ in range(rounds(10, soak=500)):
            head = b"POST /two HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
            connection.sendall(b"GET /one HTTP/1.1\r\nHost: x\r\n\r\n" + head)
            assert answer(connection) == b"/one"
            go_on = b""
            while not go_on.endswith(b"\r\n\r\n"):
                go_on += connection.recv(1)
            assert go_on == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(b"body")
            assert answer(connection) == b"/two"


def test_nothing_is_sent_by_two_threads_at_once(serve: Serve):
    server = serve()
    with connect(server) as connection:
        ask(connection, "/a")
        assert answer(connection) == b"/a"
        (channel,) = server._listening[0].active_channels.values()
        sending = threading.Thread(target=channel._flush_some)
        with channel.outbuf_lock:
            sending.start()
            sending.join(0.05)
            assert sending.is_alive(), "it waits for whoever sends"
        sending.join(SOON_S)
        assert not sending.is_alive()


def test_a_small_answer_is_sent_by_one_call(serve: Serve, monkeypatch: pytest.MonkeyPatch):
    sent: list[int] = []
    send = HTTPChannel.send
    monkeypatch.setattr(
        HTTPChannel, "send", lambda self, data, do_close=True: sent.append(len(data)) or send(self, data, do_close)
    )
    with connect(serve()) as connection:
        ask(connection, "/small")
        assert answer(connection) == b"/small"
    assert len(sent) == 1 and sent[0] < SEND_BYTES


def test_a_name_may_stand_for_several_addresses(serve: Serve, monkeypatch: pytest.MonkeyPatch):
    """As localhost does where there is IPv6."""
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in ("127.0.0.1", "127.0.0.2")]
    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", lambda *_, **__: both)
        server = serve(host="localhost")
    with connect(server) as connection:
        ask(connection, "/here")
        assert answer(connection) == b"/here"


def test_a_loop_that_hangs_shows(serve: Serve, monkeypatch: pytest.MonkeyPatch):
    server = serve()
    wait_until(lambda: server.is_looping, SOON_S, "it loops")
    later = time.monotonic() + LOOPS_WITHIN_S
    monkeypatch.setattr(http_server, "time", SimpleNamespace(monotonic=lambda: later))
    assert not server.is_looping


def test_an_address_that_cannot_be_listened_on_is_named_with_what_helps(serve: Serve):
    port = serve().port
    taken = {
        ("127.0.0.1", port): "is Duey running already?", ("192.0.2.1", 0): "this machine has no such address",
        ("nowhere.invalid", 0): "unknown host",
    }  # fmt: skip
    for (host, number), said in taken.items():
        with pytest.raises(CannotListen, match=f"port {number} on {host} cannot be listened on") as refused:
            serve(host=host, port=str(number))
        assert said in str(refused.value), host


def test_what_is_on_its_way_is_answered_before_the_end(serve: Serve):
    server = serve()
    with connect(server) as running, connect(server) as late:
        ask(running, "/wait")
        until = time.monotonic() + SOON_S
        while not server._inside and time.monotonic() < until:
            time.sleep(0.001)
        ended: list[bool] = []
        stopper = threading.Thread(target=lambda: ended.append(server.stop(SOON_S)))
        stopper.start()
        while not server._closing:
            time.sleep(0.001)
        ask(late, "/late")
        assert late.recv(64).startswith(b"HTTP/1.1 503 ")
        GO.set()
        assert answer(running) == b"/wait"
        stopper.join()
        assert ended == [True]


def test_what_does_not_end_in_time_is_left(serve: Serve):
    server = serve()
    with connect(server) as running:
        ask(running, "/wait")
        until = time.monotonic() + SOON_S
        while not server._inside and time.monotonic() < until:
            time.sleep(0.001)
        assert server.stop(0.05) is False
        GO.set()
