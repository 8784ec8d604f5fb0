"""Answers of Redis are read past its library, in whatever pieces they arrive."""

from __future__ import annotations

import pytest
from redis import exceptions

from duey.storage.redis.connection.resp import read_all

SENT = (
    b"*2\r\n$8\r\nwakeup:1\r\n$1\r\n1\r\n*-1\r\n$-1\r\n*3\r\n$4\r\na\r\nb\r\n:-7\r\n*1\r\n$0\r\n\r\n+OK\r\n"
    b"-NOSCRIPT No matching script\r\n:0\r\n*0\r\n"
)
READ = [[b"wakeup:1", b"1"], None, None, [b"a\r\nb", -7, [b""]], b"OK", exceptions.NoScriptError, 0, []]


class Line:
    """A connection whose bytes arrive in pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces, self._sock = list(pieces), self

    def get_protocol(self) -> int:
        return 2

    def recv(self, most: int) -> bytes:
        if not self.pieces:
            raise TimeoutError
        return self.pieces.pop(0)


def read(*pieces: bytes) -> list[object]:
    found = read_all(len(READ), Line(*pieces))
    return [type(each) if isinstance(each, Exception) else each for each in found]


def test_answers_may_be_cut_anywhere():
    for at in range(1, len(SENT)):
        assert read(SENT[:at], SENT[at:]) == READ, at
    assert read(*(SENT[at : at + 1] for at in range(len(SENT)))) == READ


def test_a_line_that_ends_or_is_silent_is_an_error():
    with pytest.raises(exceptions.TimeoutError):
        read(SENT[:-1])
    with pytest.raises(exceptions.ConnectionError):
        read(SENT[:-1], b"")
