"""Alerts over HTTP: incidents with their notifications, acknowledge one, test a channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from duey.alerts.service import AlertService
from duey.api import views
from duey.api.answer import respond
from duey.api.auth import AuditLog
from duey.api.openapi import Answer, Endpoint
from duey.api.requests import ALERT_QUERY
from duey.monitor.access import Token


class Alerts:
    """The endpoints under /api/alerts."""

    def __init__(self, alerts: AlertService, audit_log: AuditLog) -> None:
        self._alerts, self._audit_log = alerts, audit_log

    def show(self, environ: Mapping[str, Any], token: Token) -> bytes:
        page = self._alerts.incidents(**ALERT_QUERY.read_query(environ))
        shown = {
            "incidents": [views.INCIDENT.of(each) for each in page.rows],
            "next": page.next,
            "channels": [views.CHANNEL.of(each) for each in self._alerts.channel_views()],
        }
        return respond(200, shown)

    def ack(self, environ: Mapping[str, Any], token: Token, id: str) -> bytes:
        shown = self._alerts.ack(id, token.name)
        self._audit_log.record(environ, token, "acknowledge alert", id)
        return respond(202, views.INCIDENT.of(shown))

    def test(self, environ: Mapping[str, Any], token: Token, name: str) -> bytes:
        result = self._alerts.test(name)
        self._audit_log.record(environ, token, "test alert channel", name, result.state)
        return respond(200, views.TESTED.of(result))

    def endpoints(self) -> list[Endpoint]:
        shown = views.object_of(
            incidents=views.array("Incident"), next=views.TEXT_OR_NULL, channels=views.array("Channel")
        )
        return [
            Endpoint(
                "GET", "/api/alerts", self.show, "List incidents and channels", "read",
                {200: Answer("newest first", shown)}, query=ALERT_QUERY,
            ),
            Endpoint(
                "POST", "/api/alerts/{id}/ack", self.ack, "Acknowledge an incident: it is not told again while open",
                "admin", {202: Answer("done; the incident", views.ref("Incident"))}, (404, 409),
            ),
            Endpoint(
                "POST", "/api/alerts/channels/{name}/test", self.test,
                "Send a message through a channel, and wait up to 15 s for what it answers", "admin",
                {200: Answer("what it answered", views.TESTED.schema)}, (404,),
            ),
        ]  # fmt: skip
