"""The protocol of Redis (RESP), where the library that speaks it costs more than the command itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis import exceptions
from redis._parsers.base import BaseParser

SHORT_BYTES = 4096  # longer than any error


def packed(words: Sequence[Any]) -> bytes:
    """These words of a command in the protocol of Redis, as one piece, so that hundreds of them take one system
    call."""
    texts = [word if type(word) is bytes else str(word).encode() for word in words]
    return b"".join([b"$%d\r\n%b\r\n" % (len(text), text) for text in texts])


def command_of(words: Sequence[Any]) -> bytes:
    """One command as it is sent."""
    return b"*%d\r\n%b" % (len(words), packed(words))


def short_answer(connection: Any, command: bytes) -> int | None:
    """Send a command over a fresh connection and read its answer, which is a number, nothing or an error, past the
    parser of the library, which takes longer than all the rest."""
    try:
        connection._sock.sendall(command)
        line = b""
        while not line.endswith(b"\r\n"):
            more = connection._sock.recv(SHORT_BYTES)
            if not more:
                raise exceptions.ConnectionError("Connection closed by server.")
            line += more
    except TimeoutError as exc:
        raise exceptions.TimeoutError("Timeout reading from socket") from exc
    except OSError as exc:
        raise exceptions.ConnectionError(str(exc)) from exc
    if line.startswith(b":"):
        return int(line[1:])
    if line.startswith(b"-"):
        raise BaseParser.parse_error(line[1:-2].decode("utf-8", "replace"))
    return None


def read_with_count(connection: Any) -> tuple[Any, int]:
    """The answers of a command, and of the SET and WAIT after it: how many replicas have what the command changed.
    Raises the error of the command."""
    answers: list[Any] = []
    for _ in range(3):
        try:
            answers.append(connection.read_response())
        except exceptions.ResponseError as exc:  # of SET or WAIT: it has become a replica in between
            answers.append(exc)
    answer, change, reached = answers
    if isinstance(answer, Exception):
        raise answer
    return answer, 0 if isinstance(change, Exception) or isinstance(reached, Exception) else int(reached)


def in_pairs(answer: Any) -> list[Any]:
    """Names and values of an answer as a flat list, for either version of the protocol."""
    if isinstance(answer, dict):
        return list(answer.items())
    if answer and isinstance(answer[0], (list, tuple)):
        return list(answer)
    return list(zip(answer[::2], answer[1::2], strict=True))
