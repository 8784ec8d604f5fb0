"""Which queues a worker serves: names, `*` for all others, and `!name` for queues that `*` excludes."""

from __future__ import annotations

from collections.abc import Sequence

REST = "*"


NOT = "!"  # before the name of a queue that `*` excludes, because other workers serve it


def shown(queues: Sequence[str]) -> tuple[str, ...]:
    """The queues of a worker in their display form."""
    return tuple(name for name in queues if not name.startswith(NOT))


def serves(queues: Sequence[str], name: str) -> bool:
    """Whether a worker with these queues serves this one."""
    return name in queues or (REST in queues and NOT + name not in queues)
