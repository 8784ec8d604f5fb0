"""Limits: how many jobs of a task run at the same time, and how many start within a time, across all consumers.

`limit=n`: a task has n places. A job takes one from its claim to the end of the claim, so a worker's death frees it.
`rate=(n, per_s)`: a task has a bucket of n tokens, which is refilled evenly within per_s seconds. Each start takes one,
so n jobs may start at once, and then one every per_s / n seconds. A third number, `rate=(n, per_s, burst)`, sets
another size of the bucket; with 1 the starts are evenly spaced.

A job over a limit is set aside when a worker meets it, with its reason, and costs no further claims. It is unblocked in
order (priority, age) when a place is freed or the bucket has a token again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

LIMIT, RATE = "limit", "rate"  # why a job is set aside


class Limit(NamedTuple):
    """The limits of a task. `places` None: no limit. `token_s`: seconds until the next token; None: no rate. `of`: the
    task whose places and tokens these are, if the jobs have a former name of it."""

    places: int | None
    token_s: float | None
    burst: float
    of: str = ""


NO_LIMIT = Limit(None, None, 0.0)


def limit_of(settings: Mapping[str, Any]) -> Limit | None:
    """The limits in a task's options, or None."""
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
