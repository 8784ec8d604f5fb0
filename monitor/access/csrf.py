"""The CSRF secret and the proofs made with it.

Order: the first process that needs the secret makes it, all others read that one, so that a form outlives
restarts and may be answered by another process. A page carries `token(session_id)`; its form is accepted if
`valid` says so. The token is the same through a session, so that an unchanged page stays unchanged (ETag).
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
    """Proofs that a form came from a page of ours. All methods raise AccessUnavailable at their first use."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._secret: bytes | None = None

    def secret(self) -> bytes:
        """The 32 bytes of this installation."""
        if self._secret is None:
            made = SECRETS.insert(name=NAME, value=secrets.token_bytes(SECRET_BYTES))
            with self._database.writing() as db:
                # Whoever comes second inserts nothing, and reads what the first one made.
                made.on_conflict_ignore().execute(db)
                self._secret = bytes(SECRETS.select(SECRETS.c.value).where(SECRETS.c.name == NAME).scalar(db))
        return self._secret

    def token(self, session_id: str) -> str:
        """The proof (64 hex digits) for a visitor. `session_id`: a text that only he holds, as a cookie."""
        return self.mark("csrf", session_id)

    def mark(self, purpose: str, text: str) -> str:
        """64 hex digits that only this installation can make; those of one purpose are no good for another."""
        message = f"{purpose}:{text}".encode("utf-8", "surrogatepass")
        return hmac.new(self.secret(), message, hashlib.sha256).hexdigest()

    def valid(self, session_id: str, token: str) -> bool:
        """Is this the visitor's proof?"""
        # As bytes, for text with a character beyond ASCII would raise.
        return hmac.compare_digest(self.token(session_id).encode(), token.encode("utf-8", "surrogatepass"))
