"""The site: passes requests below `/monitor` to their pages, and sends the answers.

It answers every path that it gets, in this order: cookie and session, form, guard, page, rendering, headers. An
error becomes a page (or for data, a small JSON object). At the end the thread's connections to history and access
are closed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, unquote
from zoneinfo import ZoneInfo

import bottle

from duey import clock
from duey.alerts.service import AlertService
from duey.config import Settings
from duey.control.service import Control
from duey.monitor.access import Access
from duey.monitor.history import History
from duey.monitor.web import pages
from duey.monitor.web.answer import Answer, Assets
from duey.monitor.web.display.formats import Times
from duey.monitor.web.display.text import clip
from duey.monitor.web.forms.fields import form_of, query_of
from duey.monitor.web.guard import Guard, Password
from duey.monitor.web.refusal import LoginNeeded, Refusal, SecondFactorNeeded, refusal_for
from duey.monitor.web.render import Renderer
from duey.monitor.web.request import Request
from duey.monitor.web.route import BAD, GOOD, NOTE, Done, File, Route, View
from duey.monitor.web.services import Services
from duey.monitor.web.session import Cookies

MOUNT = "/monitor"
MESSAGE_CHARS = 400
UNDOING = ("/resume", "/reopen", "/mute", "/fix")  # all that a message may offer, because anybody can write a cookie


def make_web(
    control: Control,
    access: Access,
    history: History,
    settings: Settings,
    alerts: AlertService | None = None,
) -> Site:
    """Return the monitor as a WSGI application for all paths `/monitor...` below `[web] url_prefix`."""
    return Site(Services(control, access, history, settings, clock.now, alerts))


class Site(bottle.Bottle):
    """The application."""

    def __init__(self, services: Services) -> None:
        super().__init__()
        self.uninstall(True)
        self.services, web = services, services.settings.web
        self.cookies = Cookies(services.access, services.links.prefix, web.public_url)
        self.guard = Guard(services.access, web.public_url, services.settings.auth.require_totp)
        self.password = Password(services, self.cookies)
        self.assets = Assets()
        addresses = {name: f"{services.links.root}/static/{last}" for name, last in self.assets.addresses().items()}
        words: dict[str, Any] = {"link": services.links, "root": services.links.root, "assets": addresses}
        words |= {"nav": pages.NAVIGATION, "for_admins": pages.FOR_ADMINS}
        words |= {"service_zone": services.settings.schedule.timezone}
        words |= {"elsewhere": services.elsewhere}
        self.renderer = Renderer(words, services.settings.service.name)
        self.answer = Answer(self.renderer)
        self.route(MOUNT, "GET", lambda: self._redirect(services.links.to("/")))
        self.route(f"{MOUNT}/static/<address>", "GET", self._static)
        for page in pages.all_pages(services, self.cookies):
            for route in page.routes():
                self._add(route)

    def _add(self, route: Route) -> None:
        path = MOUNT + route.path
        formats = [("", False)]
        if route.method == "GET":
            # First, because a name in a path would otherwise include the format.
            formats = [(".json", True), (".html", False), ("", False)]
        for suffix, as_json in formats:
            if suffix and path.endswith("/"):
                path_of_format = f"{path}overview{suffix}"
            else:
                path_of_format = path + suffix
            self.route(path_of_format, route.method, self._guarded(route, as_json))

    def _guarded(self, route: Route, as_json: bool) -> Callable[..., bytes]:
        def call(**names: str) -> bytes:
            environ = bottle.request.environ
            request = None
            try:
                request = self._make_request(environ, as_json)
                key = self._identify(request, route.open_to_all)
                if request.method == "POST":
                    request.form = form_of(environ, self.services.settings.web.max_body_kb)
                self.guard.admit(request, key, route.admin, route.open_to_all)
                if not (route.open_to_all or route.enrols):
                    self.guard.check_enrolled(request)
                asks = route.fresh is not None and route.fresh(request.form)
                question = self.password.question(request) if asks else None
                if question:
                    return self._send(request, question)
                with self.services.control.storage.read_ahead(*route.reads):
                    return self._send(request, route.handler(request, **names))
            except Exception as error:
                return self._refuse(environ, request, error)
            finally:
                self.services.close()

        return call

    # requests

    def _make_request(self, environ: Mapping[str, Any], as_json: bool) -> Request:
        path = str(environ["PATH_INFO"])[len(MOUNT) :]
        path = path.removesuffix(".json") if as_json else path.removesuffix(".html")
        own_zone, theme = self.cookies.zone(environ), self.cookies.theme(environ)
        times = Times(self.services.clock(), ZoneInfo(own_zone) if own_zone else self.services.zone)
        return Request(environ, path, query_of(environ), times, theme=theme, own_zone=own_zone, as_json=as_json)

    def _identify(self, request: Request, open_to_all: bool) -> str:
        """Set the session of the request; return the secret text of this visitor."""
        if request.remote_user is not None:
            users = self.services.access.proxy_users
            key, request.session = users.visit(*request.remote_user, request.address, request.agent)
            request.proof = self.services.access.csrf.token(key)
            return key
        key = ""
        if self.services.settings.auth.local_login:  # else sessions from before the setting do not count either
            key, request.session = self.cookies.session(request.environ, is_use=not request.fragment)
        if request.session is None:
            key = self.cookies.visitor(request.environ, make=open_to_all and request.method == "GET")
        request.proof = self.services.access.csrf.token(key) if key else ""
        return key

    # answers

    def _send(self, request: Request, end: View | Done | File) -> bytes:
        if isinstance(end, File):
            return self.answer.file(request, end)
        if isinstance(end, Done):
            if end.message:
                kept = [end.kind, clip(end.message, MESSAGE_CHARS), end.undo]
                self.cookies.set_message(request.environ, quote(json.dumps(kept)))
            return self._redirect(end.to)
        if request.as_json:
            return self.answer.data(request, end)
        if request.fragment:
            return self.answer.region(request, end)
        return self.answer.page(request, end, self._message(request))

    def _message(self, request: Request) -> tuple[str, str, str] | None:
        """Return the kept message: its kind, its text, and the address that undoes what it tells, or ''."""
        try:
            kind, text, undo = json.loads(unquote(self.cookies.message(request.environ)))
            undo = str(undo)
            # A path alone: what is sent to /jobs/17/delete?/resume, or to /jobs/17/delete#/resume, deletes.
            is_path = self.services.links.own(undo) and not {"?", "#"} & set(undo)
            can_undo = request.is_admin and is_path and undo.endswith(UNDOING)
            return (kind, str(text), undo if can_undo else "") if kind in (GOOD, NOTE, BAD) else None
        except (ValueError, TypeError):
            return None

    def _refuse(self, environ: Mapping[str, Any], request: Request | None, error: Exception) -> bytes:
        refusal = refusal_for(error, environ["REQUEST_METHOD"], environ["PATH_INFO"])
        links = self.services.links
        if request is None:
            request = Request(environ, "", query_of({}), Times(self.services.clock(), self.services.zone))
        if request.as_json or request.fragment:
            return self.answer.refused_data(request, refusal)
        if isinstance(refusal, LoginNeeded):
            target = links.root + request.path
            query = environ.get("QUERY_STRING", "")
            if request.method != "GET":
                # Go back to the page of the form. What was typed there is kept by the script of the page.
                referer = environ.get("HTTP_REFERER", "")
                target = request.form.get("page") or "/" + referer.partition("://")[2].partition("/")[2]
                query = ""
            target = target + (f"?{query}" if query else "")
            return self._redirect(links.to("/login", next=target if links.own(target) else ""))
        if isinstance(refusal, SecondFactorNeeded):
            return self._redirect(links.to("/account/second-factor"))
        data = {"status": refusal.status, "detail": refusal.sentence}
        view = View("error", refusal.title, data, status=refusal.status, headers=refusal.headers)
        return self.answer.page(request, view, None)

    def default_error_handler(self, res: bottle.HTTPError) -> bytes:
        """Handle Bottle's own errors: unknown path, unknown method, and errors outside of a handler."""
        environ = bottle.request.environ
        request = None
        try:
            path = str(environ["PATH_INFO"])
            request = self._make_request(environ, path.endswith(".json"))
            self._identify(request, False)
            if request.session is None:
                raise LoginNeeded
            if res.status_code == 405:
                allowed = res.get_header("Allow", "GET")
                raise Refusal(405, f"expected {allowed} here, found {request.method[:20]}", {"Allow": allowed})
            if res.status_code != 404:
                raise res.exception or res
            if path.rstrip("/") != path and request.method == "GET":
                return self._redirect(self.services.links.prefix + quote(path.rstrip("/")))
            raise Refusal(404, f"nothing is at {path[:200]!r}: the navigation above lists what there is")
        except Exception as error:
            return self._refuse(environ, request, error)
        finally:
            self.services.close()

    def _redirect(self, to: str) -> bytes:
        # Not bottle.redirect, which ignores where the site is mounted. A relative address works behind any proxy.
        return self.answer.redirect(to)

    def _static(self, address: str) -> bytes:
        return self.answer.asset(bottle.request.environ, *self.assets.find(address))
