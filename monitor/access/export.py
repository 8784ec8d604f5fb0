"""The audit log for other programs, as CSV or JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from duey.monitor.access.audit import AuditEntry

COLUMNS = ("id", "at", "who", "source", "address", "action", "target", "count", "detail")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # the wide ones where East Asia's are typed


def exported(line: AuditEntry) -> dict[str, Any]:
    """Return an entry as plain values, with the time in RFC 3339."""
    at = datetime.fromtimestamp(line.at, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {**asdict(line), "at": at}


def as_csv(lines: Iterable[AuditEntry]) -> Iterator[str]:
    """Yield the lines of a CSV file with their line ends, the column names first."""
    yield csv_row(COLUMNS)
    for line in lines:
        plain = exported(line)
        yield csv_row(plain[name] for name in COLUMNS)


def csv_row(values: Iterable[Any]) -> str:
    """Return a line of a CSV file with its line end. No value is a formula of a spreadsheet."""
    text = io.StringIO()
    csv.writer(text).writerow(map(_inert, values))
    return text.getvalue()


def _inert(value: Any) -> Any:
    # A spreadsheet would compute such a value as a formula.
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
