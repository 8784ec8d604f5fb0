"""A table in one test: every row is tried, and each row that fails is named."""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any


def rows(names: str | Sequence[str], table: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """As `pytest.mark.parametrize`, but one test for the whole table: for checks that share nothing that changes."""
    keys = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    cases = [dict(zip(keys, row if len(keys) > 1 else [row], strict=True)) for row in table]

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def each(*args: Any, **fixtures: Any) -> None:
            failed = []
            for case in cases:
                try:
                    test(*args, **fixtures, **case)
                except Exception:
                    failed.append(f"{case}:\n{traceback.format_exc()}")
            assert not failed, "\n".join([f"{len(failed)} of {len(cases)} rows failed", *failed])

        signature = inspect.signature(test)
        left = [parameter for name, parameter in signature.parameters.items() if name not in keys]
        each.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
        return each

    return decorate
