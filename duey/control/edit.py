"""Edits a stored call: a person's changes are applied, everything else stays exactly as it was stored.

The person saw the display form, in which marks stand for hidden values. A part that comes back as it was shown means
the stored value, with its type and its hidden values. A mark in any other position is refused, because its meaning is
unknown: in a changed list, for example, the hidden values may have changed places.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from duey.errors import FieldError, InvalidArguments
from duey.model.job import Edit
from duey.payload.plain import levels
from duey.payload.redact import MARKER

UNKNOWN = "it holds the mark of a hidden value where none was hidden: type the value itself"
FROM_MEMBERS = FieldError(
    "args", "these are the results of its members, as it is the callback of a chord: run its task with other values"
)
NOTHING = object()  # no value was stored or shown here


def edited(
    task: str, args: Sequence[Any], kwargs: Mapping[str, Any], shown: Callable[[], Sequence[Any]], edit: Edit
) -> tuple[list[Any], dict[str, Any]]:
    """The stored call with the edit applied; still to be bound to the task's signature. `shown` makes its display form,
    if a stored value is changed. Raises InvalidArguments for unknown marks and positions."""
    changes_stored = edit.args or not edit.kwargs.keys().isdisjoint(kwargs)
    shown_args, shown_kwargs = shown()[:2] if changes_stored else ([], {})
    new_args, new_kwargs = list(args), {name: value for name, value in kwargs.items() if name not in edit.without}
    problems: list[FieldError] = []
    for place, value in edit.args.items():
        if not 0 <= place < len(new_args):
            problems.append(FieldError(f"args[{place}]", f"expected an index below {len(new_args)}"))
            continue
        seen = shown_args[place] if place < len(shown_args) else NOTHING
        new_args[place] = _meant(value, args[place], seen, f"args[{place}]", problems)
    for name, value in edit.kwargs.items():
        stored, seen = kwargs.get(name, NOTHING), shown_kwargs.get(name, NOTHING)
        new_kwargs[name] = _meant(value, stored, seen, f"kwargs.{name}", problems)
    if problems:
        raise InvalidArguments(task, problems)
    return new_args, new_kwargs


def _meant(new: Any, stored: Any, seen: Any, path: str, problems: list[FieldError]) -> Any:
    """The value that is meant by `new`, if `seen` was shown for `stored`."""
    # Compared as text, too, because 1, 1.0 and True are equal in Python.
    if seen is not NOTHING and new == seen and _text(new) == _text(seen):
        return stored
    if all(isinstance(each, dict) for each in (new, stored, seen)) and len(stored) == len(seen):
        # In the same order; the display form of a key may differ from the key.
        own_keys = dict(zip(seen, stored, strict=True))
        known = own_keys.keys() & new.keys()
        if _is_marked({key: value for key, value in new.items() if key not in known}):
            problems.append(FieldError(path, UNKNOWN))
        meant = {}
        for key, value in new.items():
            own = own_keys.get(key, key)
            meant[own] = _meant(value, stored[own], seen[key], f"{path}.{key}", problems) if key in known else value
        return meant
    if _is_marked(new):
        problems.append(FieldError(path, UNKNOWN))
    return new


def _is_marked(value: Any) -> bool:
    return any(MARKER in "\n".join(level.texts()) for level in levels([value]))


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)
