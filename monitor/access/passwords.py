"""Passwords: made, measured, hashed with scrypt, and compared at one price whoever asks.

The cost is kept beside each digest, so that `COST` can be raised later: an account is hashed anew at its next
log-in. Nothing here is kept: a password lives as long as the call.
"""

from __future__ import annotations

import functools
import hmac
import re
import secrets
import unicodedata
from dataclasses import dataclass
from hashlib import scrypt
from pathlib import Path

from duey.monitor.access.errors import InvalidInput

MIN_LENGTH, MAX_LENGTH = 8, 1024  # characters
MIN_DIFFERENT = 4  # characters
_AROUND = re.compile(r"^[\W\d_]+|[\W\d_]+$")
SALT_BYTES, DIGEST_BYTES = 16, 32
MADE_BYTES = 15  # 120 bits, 20 characters


@dataclass(frozen=True)
class Cost:
    """scrypt's parameters: memory 128 * n * r bytes, time n * r * p."""

    n: int
    r: int
    p: int


# One of the equal settings of OWASP's Password Storage Cheat Sheet (n=2^17 p=1 ... n=2^13 p=10), the one that
# takes 16 MiB: eight log-ins at once must fit on a small machine. About 0.2 s.
COST = Cost(n=2**14, r=8, p=5)


@dataclass(frozen=True)
class Hash:
    """What is stored of a password."""

    digest: bytes
    salt: bytes
    cost: Cost


def made() -> str:
    """A new random password."""
    return secrets.token_urlsafe(MADE_BYTES)


def checked(password: str, *names: str) -> str:
    """The password itself. Raises InvalidInput, which never shows it: for one that is too short, that thousands have,
    or that is one of `names` (the account's, the service's) or such a word with digits and signs around it."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise InvalidInput("password", f"{MIN_LENGTH} to {MAX_LENGTH} characters", f"{len(password)}")
    plain = unicodedata.normalize("NFKC", password).casefold()
    known = common() | {name.casefold() for name in names if name}
    if plain in known or _AROUND.sub("", plain) in known or len(set(plain)) < MIN_DIFFERENT:
        expected = (
            "one that nobody guesses (not a common word or the name of the account or service, with digits or not)"
        )
        raise InvalidInput("password", expected, "a common one")
    return password


@functools.cache
def common() -> frozenset[str]:
    """The commonest passwords, in lower case."""
    lines = Path(__file__).with_name("common_passwords.txt").read_text(encoding="ascii").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


def hashed(password: str) -> Hash:
    """A hash with a new salt at today's cost."""
    salt, cost = secrets.token_bytes(SALT_BYTES), COST
    return Hash(_digest(password, salt, cost), salt, cost)


def matches(password: str, stored: Hash | None) -> bool:
    """Is it this password? Always one scrypt, also without a stored hash (then never)."""
    salt, cost = (stored.salt, stored.cost) if stored else (bytes(SALT_BYTES), COST)
    # A longer one was never accepted; cut, so that it costs no more, it could be mistaken for its beginning.
    digest = _digest(password[:MAX_LENGTH], salt, cost)
    same = hmac.compare_digest(digest, stored.digest if stored else bytes(DIGEST_BYTES))
    return same and stored is not None and len(password) <= MAX_LENGTH


def _digest(password: str, salt: bytes, cost: Cost) -> bytes:
    # NFKC: the same keys give the same password on every device (NIST SP 800-63B).
    encoded = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    # OpenSSL refuses more than 32 MB unless told; twice what scrypt needs leaves room for its bookkeeping.
    memory_limit = 256 * cost.r * (cost.n + cost.p)
    return scrypt(encoded, salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=memory_limit, dklen=DIGEST_BYTES)
