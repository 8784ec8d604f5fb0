"""Links: makes every address of the monitor, so that it works under any `url_prefix`.

Names and ids come from outside and are quoted completely. An id that ends like a format (`.json`) gets `.html`
added, which the routes remove.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote, urlencode

FORMATS = (".json", ".html")


class Links:
    """Makes addresses. `root` is `/prefix/monitor`."""

    def __init__(self, url_prefix: str = "") -> None:
        self.prefix = url_prefix.rstrip("/")
        self.root = f"{self.prefix}/monitor"

    def to(self, path: str = "/", **query: Any) -> str:
        """Return an address below the monitor. Values that are None or empty are left out of the query."""
        asked = {name.rstrip("_"): value for name, value in query.items() if value not in (None, "", False)}
        return f"{self.root}{path}" + (f"?{urlencode(asked, doseq=True, errors='replace')}" if asked else "")

    def job(self, job_id: str, verb: str = "") -> str:
        return self._named("jobs", job_id, verb)

    def task(self, name: str, verb: str = "") -> str:
        return self._named("tasks", name, verb)

    def error(self, fingerprint: str, verb: str = "") -> str:
        return self._named("errors", fingerprint, verb)

    def schedule(self, name: str, verb: str = "") -> str:
        return self._named("schedules", name, verb) + (".html" if name == "new" and not verb else "")

    def worker(self, worker_id: str, verb: str = "") -> str:
        return self._named("workers", worker_id, verb)

    def incident(self, incident_id: str, verb: str) -> str:
        return self._named("alerts", incident_id, verb)

    def channel(self, name: str, verb: str) -> str:
        return self._named("alerts/channels", name, verb)

    def queue(self, name: str, verb: str) -> str:
        return self._named("queues", name, verb)

    def account(self, name: str, verb: str) -> str:
        return self._named("accounts", name, verb)

    def token(self, name: str, verb: str) -> str:
        return self._named("tokens", name, verb)

    def jobs(self, **query: Any) -> str:
        """Return the address of the list of jobs with a filter."""
        return self.to("/jobs", **query)

    def own(self, target: str) -> bool:
        """Return whether an address from outside is below the monitor, even after a proxy has decoded its path."""
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
        # A lone surrogate cannot be in an address. The link then leads nowhere, but the page works.
        return f"{self.root}/{kind}/{quote(name, safe='', errors='replace')}{tail}"
