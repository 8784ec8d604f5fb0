"""The fields of a form for when a schedule runs: shows its values as text, and reads what was typed.

An unchanged field keeps the stored value, because its text may be less exact, as for an hour that occurs twice when
clocks go back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone, tzinfo
from decimal import Decimal
from typing import Any

from duey.control.schedules import zone
from duey.errors import FieldError, Misconfigured
from duey.monitor.web.display.formats import read_local
from duey.monitor.web.forms.fields import Fields
from duey.monitor.web.forms.filters import UNITS_S, length_s

# The form's fields, and the engine's names for their values.
KEYS = {"cron": "cron", "every": "every", "at": "at", "tz": "tz", "catch_up": "catch_up", "overlap": "overlap"}
KEYS["window"] = "window_s"
KINDS = ("cron", "every", "at")
LENGTHS = ("every", "window")
SHOWN_UNITS = ("w", "d", "h", "min")


def shown(given: Mapping[str, Any], default: tzinfo) -> dict[str, str]:
    """Return the fields for a schedule's values. `default` is the zone of the service."""
    values = {key: given.get(name) for key, name in KEYS.items()}
    texts = {key: "" if value is None else " ".join(str(value).split()) for key, value in values.items()}
    texts |= {key: length_text(length) for key in LENGTHS if (length := values[key]) is not None}
    if values["at"] is not None:
        local = datetime.fromtimestamp(values["at"], _zone(texts["tz"], default)).replace(tzinfo=None)
        texts["at"] = local.isoformat(timespec="milliseconds" if local.microsecond else "seconds")
    return texts


def read(form: Fields, given: Mapping[str, Any], default: tzinfo) -> tuple[dict[str, Any], list[FieldError]]:
    """Return the values of a ScheduleRequest, and problems. An unchanged field keeps its value of `given`."""
    before = shown(given, default)
    typed = {key: form.get(key).strip() for key in KEYS}
    kept = {key for key in KEYS if typed[key] and typed[key] == before[key]}
    if typed["tz"] != before["tz"]:
        kept.discard("at")  # its time depends on the zone
    elif before["at"] and _is_same(typed["at"], before["at"]):
        kept.add("at")
    values: dict[str, Any] = {key: typed[key] or None for key in KEYS}
    problems = []
    if sum(bool(typed[key]) for key in KINDS) != 1:
        problems.append(FieldError("When", "expected one of a cron expression, a length and a time"))
    for key, label in (("every", "Every"), ("window", "At most")):
        if typed[key] and key not in kept and (value := length_s(typed[key])) is not None:
            values[key] = value
        elif typed[key] and key not in kept:
            problems.append(FieldError(label, f"expected a length such as 90s, 15min or 2h, found {typed[key][:60]!r}"))
    if typed["at"] and "at" not in kept:
        try:
            values["at"] = read_local(typed["at"], _zone(typed["tz"], default))
        except Misconfigured as error:
            problems.append(FieldError("Zone", str(error)))
        except ValueError as error:
            problems.append(FieldError("Once at", str(error)))
    values |= {key: given[KEYS[key]] for key in kept}
    return {("every_s" if key == "every" else name): values[key] for key, name in KEYS.items()}, problems


def length_text(seconds: float) -> str:
    """Return a length that length_s reads back exactly: `90s`, `15min`, `2d`, `1209600.5s`."""
    for unit in SHOWN_UNITS:
        if seconds and seconds % UNITS_S[unit] == 0:
            return f"{int(seconds // UNITS_S[unit])}{unit}"
    return f"{Decimal(repr(float(seconds))).normalize():f}s"


def _is_same(typed: str, shown: str) -> bool:
    """Return whether two times are equal. A browser may leave out :00."""
    try:
        return read_local(typed, timezone.utc) == read_local(shown, timezone.utc)
    except ValueError:
        return False


def _zone(name: str, default: tzinfo) -> tzinfo:
    """Return the zone. Raises Misconfigured if it does not exist."""
    return zone(name) if name else default
