"""A cursor of psycopg for statements that are written for both kinds of databases."""

from __future__ import annotations

from typing import Any

import psycopg


class Cursor(psycopg.Cursor[Any]):
    """Takes `?` for a value, as SQLite does, beside psycopg's own marks. Such a statement holds no other `%` or `?`."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Cursor:
        return super().execute(_marked(query), params or None, **options)

    def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
        super().executemany(_marked(query), params_seq, **options)


def _marked(query: Any) -> Any:
    return query.replace("?", "%s") if isinstance(query, str) else query
