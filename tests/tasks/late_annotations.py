"""Annotations that are text: some can be resolved, one cannot, since its import is for type checkers."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from nowhere import Missing


class Ticket(TypedDict, total=False):
    due: Required[date]
    n: int
    note: NotRequired[str]


try:
    from typing import NotRequired, Required
except ImportError:  # before Python 3.11
    from typing_extensions import NotRequired, Required


def task(path: Path, missing: Missing, ticket: Ticket): ...
