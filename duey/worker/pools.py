"""Which workers of a consumer serve which queues: what `[consumer] queues` comes to.

    default:3    three workers that run jobs of `default` only, so that nobody else can keep them busy
    slow         no number: together with the other entries of this kind it shares the workers that nobody has reserved
    *:0          no workers of its own: any worker runs it when its own queues are empty
    *            every queue that has no entry

A worker takes its own queues before those it helps out in, each in the order of the list. Where every entry has
workers of its own, their sum is the number of workers; otherwise `[consumer] workers` is, and at least one is left for
the entries without a number. A queue that no entry names is not served.

With `[consumer] order = weighted` nobody is reserved: all workers serve all queues, in an order that is drawn for each
turn, and the numbers say how often a queue comes before another. So none is starved, and no worker is idle while there
is work; but a flood of long jobs may have them all.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from duey.model.job import DEFAULT_QUEUE
from duey.model.queues import NOT, REST, serves


class WorkerPool(NamedTuple):
    """Workers that serve the same queues. `name` is what they are called after, empty where all are alike."""

    name: str
    workers: int
    queues: tuple[str, ...]
    weights: tuple[int, ...] = ()  # of the queues, where their order is drawn


def pools_of(entries: Sequence[tuple[str, int | None]], workers: int, weighted: bool = False) -> list[WorkerPool]:
    """The pools of a consumer with so many workers; those with workers of their own first."""
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
    """The queues in an order of chance: each is the first as often as its weight says; those of weight 0 come last."""
    # Efraimidis and Spirakis: the largest of u ** (1 / w) is that of weight w in proportion to w.
    keys = {name: random.random() ** (1 / w) if w else -1.0 for name, w in zip(queues, weights, strict=True)}
    return tuple(sorted(queues, key=lambda name: -keys[name]))


def left_out(pools: Sequence[WorkerPool], tasks: Iterable[Any]) -> list[str]:
    """The queues of these tasks that no pool serves."""
    queues = {getattr(task, "queue", DEFAULT_QUEUE) for task in tasks}
    return sorted(name for name in queues if not any(serves(pool.queues, name) for pool in pools))
