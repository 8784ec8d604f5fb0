"""Passwords: generates, checks and hashes them (scrypt). A comparison takes the same time for every account.

The cost is stored with each hash. If `COST` is raised, an account is hashed again at its next log-in. This module
keeps no password.
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
    """The parameters of scrypt. Memory is 128 * n * r bytes, time grows with n * r * p."""

    n: int
    r: int
    p: int


# One of the equivalent settings of OWASP's Password Storage Cheat Sheet (n=2^17 p=1 ... n=2^13 p=10): about 0.2 s and
# 16 MiB, so eight log-ins at once fit on a small machine.
COST = Cost(n=2**14, r=8, p=5)


@dataclass(frozen=True)
class Hash:
    """The stored hash of a password."""

    digest: bytes
    salt: bytes
    cost: Cost


def made() -> str:
    """Return a new random password."""
    return secrets.token_urlsafe(MADE_BYTES)


def checked(password: str, *names: str) -> str:
    """Return the password. Raises InvalidInput, which does not show it, if it is too short or common, or if it is one
    of `names` (of the account and the service), also with digits and signs around it.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise InvalidInput("password", f"{MIN_LENGTH} to {MAX_LENGTH} characters", f"{len(password)}")
    plain = unicodedata.normalize("NFKC", password).casefold()
    known = common() | {name.casefold() for name in names if name}
    if plain in known or _AROUND.sub("", plain) in known or len(set(plain)) < MIN_DIFFERENT:
        expected = (
            "one that is hard to guess (not a common word or the name of the account or service, with digits or not)"
        )
        raise InvalidInput("password", expected, "a common one")
    return password


@functools.cache
def common() -> frozenset[str]:
    """Return the most common passwords, in lower case."""
    lines = Path(__file__).with_name("common_passwords.txt").read_text(encoding="ascii").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


def hashed(password: str) -> Hash:
    """Return a hash with a new salt at the current cost."""
    salt, cost = secrets.token_bytes(SALT_BYTES), COST
    return Hash(_digest(password, salt, cost), salt, cost)


def matches(password: str, stored: Hash | None) -> bool:
    """Return whether it is the password. It always computes one scrypt; without a stored hash it returns False."""
    salt, cost = (stored.salt, stored.cost) if stored else (bytes(SALT_BYTES), COST)
    # A longer password was never accepted. It is cut to limit the cost, and must not match by its beginning.
    digest = _digest(password[:MAX_LENGTH], salt, cost)
    same = hmac.compare_digest(digest, stored.digest if stored else bytes(DIGEST_BYTES))
    return same and stored is not None and len(password) <= MAX_LENGTH


def _digest(password: str, salt: bytes, cost: Cost) -> bytes:
    # NFKC: the same keys give the same password on every device (NIST SP 800-63B).
    encoded = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    # OpenSSL refuses more than 32 MB by default. Twice what scrypt needs leaves room for its own use.
    memory_limit = 256 * cost.r * (cost.n + cost.p)
    return scrypt(encoded, salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=memory_limit, dklen=DIGEST_BYTES)
