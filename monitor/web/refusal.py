"""Refusals: why a request was refused, in one sentence.

The monitor raises them itself, and `refusal_for` makes them from errors of the engine, the history and access. An
unexpected error gets an incident id: the log has its traceback under this id, and the user sees only the id.
"""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Mapping

from duey import errors
from duey.alerts.service import UnknownChannel, UnknownIncident
from duey.control.outage_log import OutageLog
from duey.monitor.access import AccessUnavailable, InvalidInput, LocalAccount, NotInGroup, TooManyAttempts
from duey.monitor.history import HistoryUnavailable
from duey.monitor.web.display.text import clip

log = logging.getLogger(__name__)
outages = OutageLog(log)

TITLES = {
    400: "The request cannot be read",
    401: "Log in first",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Nothing was changed",
    410: "No longer there",
    413: "Too much at once",
    415: "Not a form",
    422: "Not accepted",
    429: "Wait a moment",
    500: "Unexpected error",
    503: "Not available now",
}
SENTENCE_CHARS = 1000
RETRY_S = 5


class Refusal(Exception):
    """A refused request: an HTTP status, a sentence, and headers."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        self.status, self.sentence = status, clip(sentence, SENTENCE_CHARS)
        self.headers = dict(headers or {})
        super().__init__(self.sentence)

    @property
    def title(self) -> str:
        return TITLES[self.status]


class LoginNeeded(Refusal):
    """No user is logged in. A page becomes the log-in page, data a 401."""

    def __init__(self) -> None:
        super().__init__(401, "log in first: the session has ended, or there was none")


class SecondFactorNeeded(Refusal):
    """The account must set up its second factor first. A page becomes the page for that, data a 403."""

    def __init__(self) -> None:
        super().__init__(403, "set up your second factor first: this service requires one of you ([auth] require_totp)")


def refusal_for(error: Exception, method: str, path: str) -> Refusal:
    """Return the refusal for an error. Never raises."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, (errors.UnknownJob, errors.UnknownTask, errors.UnknownWorker, errors.UnknownSchedule)):
        return Refusal(404, str(error))
    if isinstance(error, (UnknownIncident, UnknownChannel)):
        return Refusal(404, str(error))
    if isinstance(error, errors.Conflict):
        return Refusal(409, str(error))
    if isinstance(error, errors.InvalidArguments | errors.AmbiguousTask | errors.UnserializableError):
        return Refusal(422, str(error))
    if isinstance(error, errors.BadRequest):
        return Refusal(400, str(error))
    if isinstance(error, InvalidInput | LocalAccount | NotInGroup):  # of the proxy's user; pages catch their own
        return Refusal(403, str(error))
    if isinstance(error, TooManyAttempts):
        return Refusal(429, str(error), {"Retry-After": str(error.retry_after_s)})
    if isinstance(error, errors.TooManyPending):
        return Refusal(429, str(error), {"Retry-After": str(math.ceil(error.retry_after_s))})
    if isinstance(error, AccessUnavailable | HistoryUnavailable | errors.StorageUnavailable):
        # The messages name files, and this page is visible without a log-in.
        outages.error(error, f"{method} {path}")
        return Refusal(503, _away(error), {"Retry-After": str(RETRY_S)})
    incident = secrets.token_hex(6)
    log.error("incident %s in %s %r", incident, method, path, exc_info=error)
    return Refusal(500, f"the operator finds it in the log as incident {incident}")


def _away(error: Exception) -> str:
    if isinstance(error, AccessUnavailable):
        return "accounts cannot be checked now: try again in a few seconds, or look into the log of the web process"
    if isinstance(error, HistoryUnavailable):
        return "the history cannot be read now (jobs keep running): the log of the web process says why"
    stored = getattr(error, "stored", False)
    done = "" if stored is False else "; the action may have been carried out: check before you repeat it"
    return f"the queue's storage cannot be used now: the log of the web process says why{done}"
