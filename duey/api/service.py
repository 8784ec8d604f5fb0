"""The service: assembles the parts of the API into one WSGI application.

It answers every path that it receives, also unknown ones. The server passes it everything outside of the monitor:
`/api/...`, `/healthz`, `/readyz`, `/metrics`. Call it as a WSGI application: with Bottle's `merge` or `mount` the
parent would answer its errors. Handlers return bytes, so no plugins are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import bottle

from duey.alerts.service import AlertService
from duey.api.alerts import Alerts
from duey.api.answer import Refusal, answer, write
from duey.api.auth import AuditLog, MetricsAuth, TaskScopes, TokenAuth
from duey.api.body import BodyReader
from duey.api.health import Health, Metrics
from duey.api.history import HistoryRoutes
from duey.api.jobs import Jobs
from duey.api.openapi import Endpoint, OpenApi
from duey.api.schedules import Schedules
from duey.api.steering import Queues, Tasks, Workers
from duey.api.views import Views
from duey.api.waiting import WaitingRoom
from duey.config import Settings
from duey.control.service import Control
from duey.monitor.access import Access


class Api(bottle.Bottle):
    """The WSGI application. Call `close()` before the server stops: it ends the requests that wait for a job."""

    def __init__(
        self, endpoints: Sequence[Endpoint], auth: TokenAuth, waiting: WaitingRoom, release: Callable[[], None]
    ) -> None:
        super().__init__()
        self.uninstall(True)
        self.endpoints, self.waiting = list(endpoints), waiting
        self._allowed: dict[str, set[str]] = {}  # methods by static path
        for endpoint in endpoints:
            self.route(endpoint.rule, endpoint.method, _guarded(endpoint, auth, release))
            if endpoint.is_static:
                self._allowed.setdefault(endpoint.path, set()).add(endpoint.method)
        self._close_static_paths()

    def _close_static_paths(self) -> None:
        # Without this, Bottle would match GET /api/jobs/batch with /api/jobs/<id> and answer 404 instead of 405.
        methods = {endpoint.method for endpoint in self.endpoints}
        for path, allowed in self._allowed.items():
            for method in methods - allowed:
                self.route(path, method, _not_allowed)

    def default_error_handler(self, res: bottle.HTTPError) -> bytes:
        """Answer Bottle's own errors: unknown path, method not allowed, exceptions outside of a handler."""
        environ = bottle.request.environ
        if res.status_code == 404:
            path = environ["PATH_INFO"][:200]
            return write(Refusal("no-such-path", f"nothing is at {path!r}: /api/openapi.json lists what there is"))
        if res.status_code == 405:
            allowed = self._allowed.get(environ["PATH_INFO"]) or set(res.get_header("Allow").split(","))
            allow = ", ".join(sorted(allowed | {"HEAD"} if "GET" in allowed else allowed))
            method = environ["REQUEST_METHOD"][:20]
            return write(Refusal("method", f"expected {allow} here, found {method}", headers={"Allow": allow}))
        return answer(res.exception or res, environ)

    def close(self) -> None:
        self.waiting.close()
        super().close()


def make_api(
    control: Control, access: Access, settings: Settings, history: Any = None, alerts: AlertService | None = None
) -> Api:
    """Return the API for `control`.

    `history`, if given, serves lists and jobs that the queue has removed. It has `job(id) -> Job` (raises UnknownJob)
    and `jobs(state, task, q, limit, cursor) -> Page`, like Control.
    """
    scopes = TaskScopes(control.known.full_name)
    views = Views(settings.web.public_url, settings.web.url_prefix)
    waiting = WaitingRoom(control, settings.web.threads)
    audit_log = AuditLog(access.audit)
    openapi = OpenApi(views.base, settings.service.name)
    reader = BodyReader(settings.web.max_body_kb)
    auth = TokenAuth(access.tokens.find)
    rooms: list[Any] = [
        Jobs(control, reader, views, waiting, audit_log, scopes, access.csrf.mark, history),
        Tasks(control, views, audit_log),
        Queues(control, views, audit_log),
        Schedules(control, reader, views, audit_log),
        Workers(control, views, audit_log),
        Health(control, auth, history, access.prepare),
        Metrics(control, MetricsAuth(settings.auth.metrics_token), history),
        openapi,
    ]
    if history is not None:
        rooms.append(HistoryRoutes(control, history, audit_log, scopes))
    if alerts is not None:
        rooms.append(Alerts(alerts, audit_log))
    endpoints = [endpoint for room in rooms for endpoint in room.endpoints()]
    openapi.describe(endpoints)

    def release() -> None:
        access.close()
        if history is not None:
            history.close()

    return Api(endpoints, auth, waiting, release)


def _guarded(endpoint: Endpoint, auth: TokenAuth, release: Callable[[], None]) -> Callable[..., bytes]:
    handler, scope, of_tasks, admit = endpoint.handler, endpoint.scope, endpoint.of_tasks, auth.admit

    def call(**names: str) -> bytes:
        environ = bottle.request.environ
        try:
            return handler(environ, admit(environ, scope, of_tasks) if scope else None, **names)
        except Exception as error:
            return answer(error, environ)
        finally:
            release()  # closes this thread's connections to the access database and the history, if any

    return call


def _not_allowed() -> bytes:
    raise bottle.HTTPError(405)
