"""Limits: how many jobs of a task may run at once, and how many may start in a time, across all consumers.

`limit=n` gives a task n places; a job holds one from its claim to the claim's end, so a worker's death frees it.
`rate=(n, per_s)` gives it a bucket of n tokens that fills evenly in per_s seconds; each start takes one, so that n may
start at once and from then on one each per_s / n. A third number, `rate=(n, per_s, burst)`, is another size of the
bucket: with 1 the starts are evenly spaced.

A job that is over a limit is parked when a worker meets it, with its reason, and costs no further claim; in its order
(priority, age) it comes back with the end of a claim that frees a place, or when the bucket has a token again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

LIMIT, RATE = "limit", "rate"  # why a job is parked


class Limit(NamedTuple):
    """The limits of a task. `places` None: no limit; `token_s`: seconds until a token is there again, None: no rate."""

    places: int | None
    token_s: float | None
    burst: float


def limit_of(settings: Mapping[str, Any]) -> Limit | None:
    """What a task's options say."""
    if "limit" not in settings and "rate" not in settings:
        return None
    if "rate" not in settings:
        return Limit(settings["limit"], None, 0.0)
    count, per_s, *burst = settings["rate"]
    return Limit(settings.get("limit"), per_s / count, float(burst[0] if burst else count))


def is_limit(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_rate(value: Any) -> bool:
    if not (isinstance(value, (tuple, list)) and len(value) in (2, 3)):
        return False
    count, per_s, *burst = value
    return is_limit(count) and isinstance(per_s, (int, float)) and 0 < per_s < 1e8 and all(map(is_limit, burst))
