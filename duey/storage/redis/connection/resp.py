"""The protocol of Redis (RESP), where the library that speaks it costs more than the command itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis import exceptions
from redis._parsers.base import BaseParser

SHORT_BYTES = 4096  # longer than any error
READ_BYTES = 1 << 18
BULK, LIST, NUMBER, ERROR = b"$*:-"


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
    except TimeoutError as exc:
        raise exceptions.TimeoutError("Timeout writing to socket") from exc
    except OSError as exc:
        raise exceptions.ConnectionError(str(exc)) from exc
    line = b""
    while not line.endswith(b"\r\n"):
        line += received(connection, SHORT_BYTES)
    if line.startswith(b":"):
        return int(line[1:])
    if line.startswith(b"-"):
        raise BaseParser.parse_error(line[1:-2].decode("utf-8", "replace"))
    return None


def received(connection: Any, most: int) -> bytes:
    """What has arrived, at most so many bytes."""
    try:
        data: bytes = connection._sock.recv(most)
    except TimeoutError as exc:
        raise exceptions.TimeoutError("Timeout reading from socket") from exc
    except OSError as exc:
        raise exceptions.ConnectionError(str(exc)) from exc
    if not data:
        raise exceptions.ConnectionError("Connection closed by server.")
    return data


def read_all(count: int, connection: Any) -> list[Any]:
    """The answers to so many commands, each of them or its error, past the parser of the library as well if they are in
    the older protocol."""
    if str(connection.get_protocol()) != "2":
        return [one_of(connection) for _ in range(count)]
    data = b""
    while True:
        data += received(connection, READ_BYTES)
        try:
            answers, at = [], 0
            for _ in range(count):
                answer, at = answer_at(data, at)
                answers.append(answer)
            return answers
        except (IndexError, ValueError):  # there is more to come
            continue


def one_of(connection: Any) -> Any:
    """An answer, or its error."""
    try:
        return connection.read_response()
    except exceptions.ResponseError as exc:
        return exc


def answer_at(data: bytes, at: int) -> tuple[Any, int]:
    """The answer that begins there, and where the next one does. IndexError or ValueError: it is not complete."""
    end = data.index(b"\r\n", at)
    kind, text, after = data[at], data[at + 1 : end], end + 2
    if kind == BULK:
        if (size := int(text)) < 0:
            return None, after
        if len(data) < after + size + 2:
            raise IndexError
        return data[after : after + size], after + size + 2
    if kind == LIST:
        if (size := int(text)) < 0:
            return None, after
        items = []
        for _ in range(size):
            item, after = answer_at(data, after)
            items.append(item)
        return items, after
    if kind == NUMBER:
        return int(text), after
    if kind == ERROR:
        return BaseParser.parse_error(text.decode("utf-8", "replace")), after
    return text, after


def read_with_count(connection: Any) -> tuple[Any, int]:
    """The answers of a command, and of the SET and WAIT after it: how many replicas have what the command changed.
    Raises the error of the command."""
    answer, change, reached = (one_of(connection) for _ in range(3))  # an error of SET or WAIT: it is a replica now
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
