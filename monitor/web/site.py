"""The site: takes requests below `/monitor`, hands them to the page of their noun, and sends what comes back.

It answers every path that it is given. Order: cookie and session, form, guard, page, rendering, headers; whatever
refuses on the way is told as a page (or, for data, as a small JSON object). Ending: what the thread holds of books and
accounts is let go after each request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, unquote

import bottle

from duey.config import Settings
from duey.control.service import Control
from duey.monitor.access import Access
from duey.monitor.history import Books
from duey.monitor.web import pages
from duey.monitor.web.answer import Answer
from duey.monitor.web.assets import Assets
from duey.monitor.web.form import form_of, query_of
from duey.monitor.web.guard import Guard
from duey.monitor.web.password import Password
from duey.monitor.web.refusal import LoginNeeded, Refusal, told
from duey.monitor.web.render import Renderer
from duey.monitor.web.request import Visit
from duey.monitor.web.route import Route
from duey.monitor.web.services import House
from duey.monitor.web.session import Cookies
from duey.monitor.web.text import clip
from duey.monitor.web.times import Times
from duey.monitor.web.view import BAD, GOOD, NOTE, Done, View

MOUNT = "/monitor"
SAID_CHARS = 400


def make_web(control: Control, access: Access, books: Books, settings: Settings) -> Site:
    """The monitor as a WSGI application for all paths `/monitor...` below `[web] url_prefix`."""
    return Site(House(control, access, books, settings))


class Site(bottle.Bottle):
    """The application."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self.uninstall(True)
        self.house, web = house, house.settings.web
        self.cookies = Cookies(house.access, house.links.prefix, web.public_url)
        self.guard = Guard(house.access, web.public_url)
        self.password = Password(house, self.cookies)
        self.assets = Assets()
        addresses = {name: f"{house.links.root}/static/{last}" for name, last in self.assets.addresses().items()}
        words = {"link": house.links, "root": house.links.root, "assets": addresses, "nav": pages.NAVIGATION}
        self.renderer = Renderer(words, house.settings.service.name)
        self.answer = Answer(self.renderer)
        self.route(MOUNT, "GET", lambda: self._redirect(house.links.to("/")))
        self.route(f"{MOUNT}/static/<address>", "GET", self._static)
        for page in pages.all_pages(house, self.cookies):
            for route in page.routes():
                self._add(route)

    def _add(self, route: Route) -> None:
        path = MOUNT + route.path
        formats = [("", False)]
        if route.method == "GET":
            # First, because a name in a path would take the format for a part of itself.
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
            visit = None
            try:
                visit = self._visit(environ, as_json)
                key = self._identify(visit, route.open_to_all)
                if visit.method == "POST":
                    visit.form = form_of(environ, self.house.settings.web.max_body_kb)
                self.guard.admit(visit, key, route.admin, route.open_to_all)
                asks = route.fresh is not None and route.fresh(visit.form)
                question = self.password.question(visit) if asks else None
                return self._send(visit, question or route.handler(visit, **names))
            except Exception as error:
                return self._refuse(environ, visit, error)
            finally:
                self.house.close()

        return call

    # in

    def _visit(self, environ: Mapping[str, Any], as_json: bool) -> Visit:
        path = str(environ["PATH_INFO"])[len(MOUNT) :]
        path = path.removesuffix(".json") if as_json else path.removesuffix(".html")
        times = Times(self.house.clock(), self.house.zone)
        theme = self.cookies.theme(environ)
        return Visit(environ, path, query_of(environ), times, theme=theme, as_json=as_json)

    def _identify(self, visit: Visit, open_to_all: bool) -> str:
        """Who it is; the text that only this visitor holds."""
        key, visit.session = self.cookies.session(visit.environ, is_use=not visit.fragment)
        if visit.session is None:
            key = self.cookies.visitor(visit.environ, make=open_to_all and visit.method == "GET")
        visit.proof = self.house.access.csrf.token(key) if key else ""
        return key

    # out

    def _send(self, visit: Visit, end: View | Done) -> bytes:
        if isinstance(end, Done):
            if end.said:
                self.cookies.say(visit.environ, quote(json.dumps([end.kind, clip(end.said, SAID_CHARS)])))
            return self._redirect(end.to)
        if visit.as_json:
            return self.answer.data(visit, end)
        if visit.fragment:
            return self.answer.region(visit, end)
        return self.answer.page(visit, end, self._said(visit))

    def _said(self, visit: Visit) -> tuple[str, str] | None:
        try:
            kind, text = json.loads(unquote(self.cookies.said(visit.environ)))
            return (kind, str(text)) if kind in (GOOD, NOTE, BAD) else None
        except (ValueError, TypeError):
            return None

    def _refuse(self, environ: Mapping[str, Any], visit: Visit | None, error: Exception) -> bytes:
        refusal = told(error, environ["REQUEST_METHOD"], environ["PATH_INFO"])
        links = self.house.links
        if visit is None:
            visit = Visit(environ, "", query_of({}), Times(self.house.clock(), self.house.zone))
        if visit.as_json or visit.fragment:
            return self.answer.refused_data(visit, refusal)
        if isinstance(refusal, LoginNeeded):
            target = links.root + visit.path
            query = environ.get("QUERY_STRING", "")
            if visit.method != "GET":
                # The form is lost, so go back to the page that it stood on.
                referer = environ.get("HTTP_REFERER", "")
                target, query = "/" + referer.partition("://")[2].partition("/")[2], ""
            target = target + (f"?{query}" if query else "")
            return self._redirect(links.to("/login", next=target if links.own(target) else ""))
        data = {"status": refusal.status, "detail": refusal.sentence}
        view = View("error", refusal.title, data, status=refusal.status, headers=refusal.headers)
        return self.answer.page(visit, view, None)

    def default_error_handler(self, res: bottle.HTTPError) -> bytes:
        """What Bottle itself refuses: no such path, no such method, and what broke outside of any handler."""
        environ = bottle.request.environ
        visit = None
        try:
            path = str(environ["PATH_INFO"])
            visit = self._visit(environ, path.endswith(".json"))
            self._identify(visit, False)
            if visit.session is None:
                raise LoginNeeded
            if res.status_code == 405:
                allowed = res.get_header("Allow", "GET")
                raise Refusal(405, f"expected {allowed} here, found {visit.method[:20]}", {"Allow": allowed})
            if res.status_code != 404:
                raise res.exception or res
            if path.rstrip("/") != path and visit.method == "GET":
                return self._redirect(self.house.links.prefix + quote(path.rstrip("/")))
            raise Refusal(404, f"nothing is at {path[:200]!r}: the navigation above lists what there is")
        except Exception as error:
            return self._refuse(environ, visit, error)
        finally:
            self.house.close()

    def _redirect(self, to: str) -> bytes:
        # Not bottle.redirect: it ignores where the site is mounted. A relative address works behind any proxy.
        return self.answer.redirect(to)

    def _static(self, address: str) -> bytes:
        return self.answer.asset(bottle.request.environ, *self.assets.find(address))
