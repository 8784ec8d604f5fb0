"""Settles finished jobs, moves due jobs to `ready` and claims the next ones, in one transaction.

If the process dies before the commit, the claims still stand and a rescuer returns their jobs. After it they are
settled. The commit is not synced, because a lost one only runs the jobs again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from duey import clock
from duey.model.job import Claim, Settlement
from duey.model.limits import Limit
from duey.storage.contract import ClaimResult
from duey.storage.sqlite import claim, settle


class Ttl(NamedTuple):
    """How long an ended job is kept, in seconds."""

    result_s: float
    failed_s: float


def look(con: sqlite3.Connection, want: int, queues: Sequence[str]) -> ClaimResult | None:
    """The answer for a worker that has nothing to settle, if there is nothing to claim; otherwise None. Needs no write
    lock."""
    if want and claim.anything_ready(con, queues):
        return None
    return ClaimResult([], frozenset(), False, claim.next_due(con), False)


def settle_and_claim(
    con: sqlite3.Connection, worker: int, first_token: int, settlements: Sequence[Settlement], want: int,
    queues: Sequence[str], compose: Any, ttl: Ttl, limits: Mapping[str, Limit],
) -> tuple[ClaimResult, int]:  # fmt: skip
    """Settle and claim inside the caller's transaction. The new claims get the tokens from `first_token` on.

    Returns the answer, and how many jobs were unblocked because a place in a limit was freed.
    """
    lost, unblocked = frozenset[int](), 0
    if settlements:
        settle.heed_stops(con, settlements, compose)
        lost, unblocked = settle.settle(con, settlements, ttl.result_s, ttl.failed_s)
    stands = claim.stands(con)
    if stands.next_due is not None and stands.next_due <= clock.now():
        claim.bring_due(con)
    claims: list[Claim] = []
    more = False
    if want:
        claims, more = claim.claim(con, worker, first_token, want, queues, limits, stands.any_pauses)
    next_due = None if claims else claim.next_due(con)
    return ClaimResult(claims, lost, more, next_due, bool(claims) and stands.any_marks), unblocked
