"""Links: every address of the monitor is made here, so that it works under any `url_prefix`.

Names and ids come from outside and are quoted whole. An id that ends like a format of ours (`.json`) gets `.html`
behind it, which the routes take off again.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote, urlencode

FORMATS = (".json", ".html")


class Links:
    """Knows where the monitor lives: `root` is `/prefix/monitor`."""

    def __init__(self, url_prefix: str = "") -> None:
        self.prefix = url_prefix.rstrip("/")
        self.root = f"{self.prefix}/monitor"

    def to(self, path: str = "/", **query: Any) -> str:
        """An address below the monitor; what is None or empty is left out of the query."""
        asked = {name.rstrip("_"): value for name, value in query.items() if value not in (None, "", False)}
        return f"{self.root}{path}" + (f"?{urlencode(asked, doseq=True, errors='replace')}" if asked else "")

    def job(self, job_id: str, verb: str = "") -> str:
        return self._named("jobs", job_id, verb)

    def task(self, name: str, verb: str = "") -> str:
        return self._named("tasks", name, verb)

    def error(self, fingerprint: str, verb: str = "") -> str:
        return self._named("errors", fingerprint, verb)

    def schedule(self, name: str, verb: str = "") -> str:
        return self._named("schedules", name, verb)

    def worker(self, worker_id: str, verb: str = "") -> str:
        return self._named("workers", worker_id, verb)

    def queue(self, name: str, verb: str) -> str:
        return self._named("queues", name, verb)

    def account(self, name: str, verb: str) -> str:
        return self._named("accounts", name, verb)

    def token(self, name: str, verb: str) -> str:
        return self._named("tokens", name, verb)

    def jobs(self, **query: Any) -> str:
        """The list of jobs, filtered."""
        return self.to("/jobs", **query)

    def own(self, target: str) -> bool:
        """Whether an address that came from outside lies within the monitor, and nowhere else: also once whoever stands
        in between has decoded its path."""
        try:
            path = target.partition("?")[0]
            for _ in range(3):  # a proxy and a browser may each decode once
                path = unquote(path, errors="strict")
            if unquote(path) != path:
                return False
        except UnicodeDecodeError:
            return False
        if not path.isprintable() or "\\" in path or "//" in path or {".", ".."} & set(path.split("/")):
            return False
        plain = target.isascii() and target.isprintable() and "\\" not in target and "//" not in target
        inside = target == self.root or target.startswith((f"{self.root}/", f"{self.root}?"))
        return plain and inside

    def _named(self, kind: str, name: str, verb: str) -> str:
        tail = f"/{verb}" if verb else ".html" if name.endswith(FORMATS) else ""
        # A lone surrogate has no address; what it names is not found, but the page that shows it is whole.
        return f"{self.root}/{kind}/{quote(name, safe='', errors='replace')}{tail}"
