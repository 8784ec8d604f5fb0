"""Worker pools: which workers of a consumer serve which queues, from `[consumer] queues`.

    default:3    three workers of its own, which other queues cannot occupy
    slow         no number: all entries without a number share the remaining workers
    *:0          no workers of its own: every worker serves it when its own queues are empty
    *            every queue that has no entry

A worker serves its own queues first and then those with `:0`, each in the order of the list. If every entry has a
number, their sum is the number of workers. Otherwise it is `[consumer] workers`, and at least one worker is left for
the entries without a number. A queue that no entry names is not served.

With `[consumer] order = weighted` all workers serve all queues. The order is random for each transaction, and the
numbers say how often a queue comes before another one. So no queue starves and no worker is idle while there are jobs,
but a flood of long jobs may occupy all workers.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from duey.model.job import DEFAULT_QUEUE
from duey.model.queues import NOT, REST, serves


class WorkerPool(NamedTuple):
    """Workers that serve the same queues. `name`: a part of their name in logs, empty if there is one pool."""

    name: str
    workers: int
    queues: tuple[str, ...]
    weights: tuple[int, ...] = ()  # of the queues, if their order is random


def pools_of(entries: Sequence[tuple[str, int | None]], workers: int, weighted: bool = False) -> list[WorkerPool]:
    """The pools of a consumer with so many workers; those of entries with a number first."""
    if weighted:
        weights = tuple(1 if count is None else count for _, count in entries)
        return [WorkerPool("", workers, tuple(name for name, _ in entries), weights)]
    reserved = [(name, count) for name, count in entries if count]
    together = [name for name, count in entries if count is None]
    helped = [name for name, count in entries if count == 0]
    if not (reserved or together):
        together, helped = helped, []
    named = [name for name, _ in entries if name != REST]
    pools = [WorkerPool(name, count, served([name], helped, named)) for name, count in reserved]
    if together:
        left = max(1, workers - sum(count for _, count in reserved))
        pools.append(WorkerPool(together[0] if reserved else "", left, served(together, helped, named)))
    return pools


def served(own: Sequence[str], helped: Sequence[str], named: Sequence[str]) -> tuple[str, ...]:
    """The queues of one pool as a turn takes them (JobStorage.turn)."""
    queues = (*own, *helped)
    if REST not in queues:
        return queues
    return (*queues, *(NOT + name for name in named if name not in queues))


def drawn(queues: Sequence[str], weights: Sequence[int]) -> tuple[str, ...]:
    """The queues in random order. The probability of being first is proportional to the weight; weight 0 comes last."""
    # Efraimidis and Spirakis: u ** (1 / w) is the largest with a probability proportional to w.
    keys = {name: random.random() ** (1 / w) if w else -1.0 for name, w in zip(queues, weights, strict=True)}
    return tuple(sorted(queues, key=lambda name: -keys[name]))


def left_out(pools: Sequence[WorkerPool], tasks: Iterable[Any]) -> list[str]:
    """The queues of these tasks that no pool serves."""
    queues = {getattr(task, "queue", DEFAULT_QUEUE) for task in tasks}
    return sorted(name for name in queues if not any(serves(pool.queues, name) for pool in pools))
