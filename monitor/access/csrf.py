"""The CSRF secret, and the tokens that are made with it.

The first process that needs the secret creates it, and all others read it. A form therefore stays valid after a
restart and in another process. A page contains `token(session_id)`, and `valid` checks it. The token is the same for
a whole session, so that an unchanged page keeps its ETag.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from duey.monitor.access.database import Database
from duey.monitor.access.schema import SECRETS

NAME = "csrf"
SECRET_BYTES = 32


class Csrf:
    """Tokens that prove that a form came from a page of the monitor. The first use may raise AccessUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._secret: bytes | None = None

    def secret(self) -> bytes:
        """Return the 32 secret bytes of this installation."""
        if self._secret is None:
            made = SECRETS.insert(name=NAME, value=secrets.token_bytes(SECRET_BYTES))
            with self._database.writing() as db:
                # If another process was faster, nothing is inserted, and its secret is read.
                made.on_conflict_ignore().execute(db)
                self._secret = bytes(SECRETS.select(SECRETS.c.value).where(SECRETS.c.name == NAME).scalar(db))
        return self._secret

    def token(self, session_id: str) -> str:
        """Return the token (64 hex digits) for a session. `session_id` is secret text of its browser, from a cookie."""
        return self.mark("csrf", session_id)

    def mark(self, purpose: str, text: str) -> str:
        """Return the HMAC (64 hex digits) of a text. Each purpose gives a different one."""
        message = f"{purpose}:{text}".encode("utf-8", "surrogatepass")
        return hmac.new(self.secret(), message, hashlib.sha256).hexdigest()

    def valid(self, session_id: str, token: str) -> bool:
        """Return whether the token belongs to the session."""
        # As bytes, because compare_digest raises for text with other than ASCII characters.
        return hmac.compare_digest(self.token(session_id).encode(), token.encode("utf-8", "surrogatepass"))
