"""What a failure of PostgreSQL means to a person: what was found and what to do, after the name of the database.

A failure within a connection has a code (SQLSTATE). One to connect has none, so the words of the server decide; where
it speaks another language than English, its own sentence is passed on.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Place(NamedTuple):
    """Names for a sentence: the key in config.ini, database, user and schema, and how long a lock is waited for."""

    setting: str
    database: str
    user: str
    schema: str
    wait_s: float


_LOGIN = "refuses the user or the password ({found}): correct them in {setting}"
_BUSY = "is starting or stopping ({found}): try again"
_GONE = "has lost its tables: restore them from a backup (pg_restore) and start again"
_FULL = "cannot grow because its disk is full: free some space and try again"
_NO_ROOM = "has no connection left: raise max_connections of the server, or give its webs fewer threads"
_ENDED = "ended the connection ({found}): make sure that the server runs, then try again"
_MEANWHILE = "was changed by somebody else at the same moment: try again"
_RIGHT = (
    'refuses this to its user ({found}): run GRANT CREATE ON DATABASE "{database}" TO "{user}", or CREATE SCHEMA '
    '"{schema}" AUTHORIZATION "{user}"'
)

BY_CODE = {
    "28": _LOGIN,
    "3D000": 'does not exist: run CREATE DATABASE "{database}" OWNER "{user}", or correct {setting}',
    "42501": _RIGHT,
    "42P01": _GONE,
    "42703": _GONE,
    "3F000": _GONE,
    "55P03": "was locked for {wait_s:g} s: end what holds it (a backup, an open psql) and try again",
    "57014": "took too long for an answer: look for what its server is busy with, and try again",
    "25006": "cannot be written, it is a standby or set to read only: name the primary in {setting}",
    "25P03": _ENDED,
    "53100": _FULL,
    "53300": _NO_ROOM,
    "57P": _BUSY,
    "40": _MEANWHILE,
    "08": _ENDED,
}
BY_WORDS = (
    (r"password authentication failed|no password supplied|^role .* does not exist", _LOGIN),
    (r"^database .* does not exist", BY_CODE["3D000"]),
    (r"pg_hba\.conf", "does not let this host or user in ({found}): add them to the server's pg_hba.conf"),
    (r"^the database system is", _BUSY),
    (r"too many|remaining connection slots", _NO_ROOM),
    (r"startup parameter", "is behind a pooler that refuses options ({found}): name the server itself in {setting}"),
    (r"certificate|SSL", "cannot be reached by TLS ({found}): correct the certificates or sslmode in {setting}"),
    (r"", "cannot be reached ({found}): start its server, or correct {setting}"),
)


def reason(code: str | None, text: str, place: Place) -> str:
    """What follows the name of the database. `code`: None for a failure to connect, or a connection that is gone."""
    found = _first_line(text)
    if code is not None:
        sentence = next((BY_CODE[code[:n]] for n in (5, 3, 2) if code[:n] in BY_CODE), "failed ({found}): try again")
    elif re.match("connection (failed|timeout)|could not translate", text) or "connection to server" in text:
        sentence = next(each for words, each in BY_WORDS if re.search(words, found))
    else:
        sentence = _ENDED
    return sentence.format(found=found, **place._asdict())


def _first_line(text: str) -> str:
    """The part that a person needs: without the address, which stands before it, and without what was tried next."""
    line = text.strip().partition("\n")[0].removeprefix("connection failed: ")
    for mark in ("FATAL:  ", "failed: "):
        line = line.rpartition(mark)[2]
    return line[:160]
