"""The second factor of the user's own account: set it up, make new recovery codes, turn it off.

To set it up, the page shows a secret as a QR code and as text, and the app proves with a code that it has it. Secret
and recovery codes are shown once, in the answer to a form. Each form needs the password unless it was entered recently;
to turn it off or make new recovery codes also needs a code.
"""

from __future__ import annotations

import re
from typing import Any

from duey.monitor.access import Account, AccountChanged, Enrolment, KeyLost, KeyMissing, TooManyAttempts
from duey.monitor.web.forms.fields import Fields
from duey.monitor.web.guard import WRONG_CODE, needs_second_factor
from duey.monitor.web.refusal import Refusal
from duey.monitor.web.request import Request
from duey.monitor.web.route import NOTE, Done, Route, View
from duey.monitor.web.services import Services

LONGEST = 100


def always(form: Fields) -> bool:
    return True


class SecondFactorPage:
    """GET /account/second-factor, POST /account/second-factor/begin, /confirm, /codes, /off."""

    def __init__(self, services: Services) -> None:
        self._services, self._factors = services, services.access.second_factors

    def routes(self) -> list[Route]:
        path = "/account/second-factor"
        return [
            Route("GET", path, self.show, enrols=True),
            Route("POST", f"{path}/begin", self.begin, fresh=always, enrols=True),
            Route("POST", f"{path}/confirm", self.confirm, fresh=always, enrols=True),
            Route("POST", f"{path}/codes", self.renew, fresh=always),
            Route("POST", f"{path}/off", self.turn_off, fresh=always),
        ]

    def show(self, request: Request) -> View:
        return self._page(request)

    def begin(self, request: Request) -> View | Done:
        try:
            return self._enrolment(self._factors.begin(self._local(request)))
        except AccountChanged:
            return self._back("Your second factor is on already: nothing was changed.", NOTE)
        except KeyMissing as error:
            return self._page(request, str(error), 409)

    def confirm(self, request: Request) -> View | Done:
        account = self._local(request)
        try:
            codes = self._factors.confirm(account, request.form.get("code")[:LONGEST])
            if codes is None:
                begun = self._factors.begun(account)
                return self._enrolment(begun, WRONG_CODE, 422) if begun else self._page(request)
        except (AccountChanged, KeyLost):
            return self._back("There was nothing to confirm: begin again.", NOTE)
        assert request.session is not None
        self._services.access.sessions.end_others(request.session)
        self._services.record(request, "turn on second factor", account.name)
        return self._codes("Your second factor is on", codes)

    def renew(self, request: Request) -> View | Done:
        account = self._local(request)
        if (refused := self._check(request, account)) is not None:
            return refused
        codes = self._factors.renew_codes(account)
        self._services.record(request, "make recovery codes", account.name, len(codes))
        return self._codes("New recovery codes", codes)

    def turn_off(self, request: Request) -> View | Done:
        account = self._local(request)
        if self._is_required(account):
            raise Refusal(403, "this service requires a second factor of you ([auth] require_totp): it stays on")
        if (refused := self._check(request, account)) is not None:
            return refused
        self._factors.remove(account)
        self._services.record(request, "turn off second factor", account.name)
        return self._back("Your second factor is off. The password alone opens your account now.")

    # answers

    def _local(self, request: Request) -> Account:
        account = request.account
        assert account is not None
        if not account.is_local:
            raise Refusal(403, "the proxy has logged you in: your second factor is there")
        return account

    def _check(self, request: Request, account: Account) -> View | Done | None:
        """Return None if the form has a right code."""
        if account.second_factor_at is None:
            return self._back("Your second factor is off: nothing was changed.", NOTE)
        try:
            if self._factors.check(account, request.form.get("code")[:LONGEST], request.address):
                return None
        except TooManyAttempts as error:
            return self._page(request, str(error), 429, {"Retry-After": str(error.retry_after_s)})
        except KeyLost as error:
            return self._page(request, str(error), 403)
        self._services.record(request, "second factor failed", account.name)
        return self._page(request, WRONG_CODE, 403)

    def _is_required(self, account: Account) -> bool:
        return needs_second_factor(account, self._services.settings.auth.require_totp)

    def _page(
        self, request: Request, problem: str = "", status: int = 200, headers: dict[str, str] | None = None
    ) -> View:
        account = request.account
        assert account is not None
        data: dict[str, Any] = {
            "second_factor_at": account.second_factor_at,
            "required": self._is_required(account),
            "recovery_codes": self._factors.codes_left(account),
        }
        more = {"problem": problem, "local": account.is_local}
        return View("second_factor", "Second factor", data, more, "account", status=status, headers=headers or {})

    def _enrolment(self, made: Enrolment, problem: str = "", status: int = 200) -> View:
        groups = " ".join(re.findall("..?.?.?", made.secret))
        more = {"problem": problem, "secret": groups, "uri": made.uri, "picture": qr_code(made.uri)}
        return View("second_factor_begin", "Set up the second factor", {}, more, "account", status=status)

    def _codes(self, title: str, codes: list[str]) -> View:
        return View("second_factor_codes", title, {}, {"codes": codes}, "account")

    def _back(self, message: str, kind: str = "good") -> Done:
        return Done(self._services.links.to("/account/second-factor"), message, kind)


def qr_code(text: str) -> str:
    """Return a picture of the text as a data: URL, or '' where the extra duey[qr] is not installed."""
    try:
        import segno
    except ImportError:
        return ""
    # Dark on light, in dark colours too: many apps read no other.
    return str(segno.make_qr(text, error="m").svg_data_uri(scale=5, border=4, dark="#000", light="#fff"))
