"""Schedules over HTTP: list them with their latest slots; create, change, delete, run, pause, resume.

A schedule that is defined in code can only be run, paused and resumed. Others can also be changed and deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from duey.api import views
from duey.api.answer import respond
from duey.api.auth import AuditLog
from duey.api.body import BodyReader, decode
from duey.api.openapi import Answer, Body, Endpoint
from duey.api.requests import NEW_SCHEDULE, SCHEDULE_REQUEST, SLOT_REQUEST, schedule_of
from duey.api.views import Views, schedule_view
from duey.control.service import Control
from duey.monitor.access import Token

PATH = "/api/schedules"
ONE = PATH + "/{schedule}"
LOCATION = {"Location": "its address"}


class Schedules:
    """The endpoints under /api/schedules."""

    def __init__(self, control: Control, reader: BodyReader, views: Views, audit_log: AuditLog) -> None:
        self._control, self._reader, self._views, self._audit_log = control, reader, views, audit_log

    def show(self, environ: Mapping[str, Any], token: Token) -> bytes:
        return respond(200, {"schedules": [schedule_view(each) for each in self._control.schedules.all()]})

    def show_one(self, environ: Mapping[str, Any], token: Token, schedule: str) -> bytes:
        return respond(200, schedule_view(self._control.schedules.get(schedule)))

    def make(self, environ: Mapping[str, Any], token: Token) -> bytes:
        given = NEW_SCHEDULE.read(decode(self._reader.read(environ)))
        name = given.pop("name")
        made = self._control.schedules.shown(self._control.schedules.make(name, schedule_of(given)))
        self._audit_log.record(environ, token, "make schedule", name, made.summary)
        return respond(201, schedule_view(made), f"{self._views.base}{PATH}/{quote(name, safe='')}")

    def change(self, environ: Mapping[str, Any], token: Token, schedule: str) -> bytes:
        request = schedule_of(SCHEDULE_REQUEST.read(decode(self._reader.read(environ))))
        before = self._control.schedules.get(schedule)
        changed = self._control.schedules.shown(self._control.schedules.change(schedule, request))
        self._audit_log.record(environ, token, "change schedule", schedule, before.change_to(changed))
        return respond(200, schedule_view(changed))

    def delete(self, environ: Mapping[str, Any], token: Token, schedule: str) -> bytes:
        self._control.schedules.remove(schedule)
        self._audit_log.record(environ, token, "remove schedule", schedule)
        return respond(200, {"name": schedule, "deleted": True})

    def run(self, environ: Mapping[str, Any], token: Token, schedule: str) -> bytes:
        raw = self._reader.read_optional(environ)
        slot = SLOT_REQUEST.read(decode(raw)).get("at") if raw else None
        job_id = self._control.schedules.run_now(schedule, slot, token.name)
        self._audit_log.record(environ, token, "run schedule", schedule, f"as {job_id}")
        url = self._views.job_url(job_id)
        return respond(202, {"name": schedule, "job": job_id, "url": url}, url)

    def pause(self, environ: Mapping[str, Any], token: Token, schedule: str) -> bytes:
        self._control.schedules.pause(schedule)
        return self._changed(environ, token, "pause schedule", schedule)

    def resume(self, environ: Mapping[str, Any], token: Token, schedule: str) -> bytes:
        self._control.schedules.resume(schedule)
        return self._changed(environ, token, "resume schedule", schedule)

    def _changed(self, environ: Mapping[str, Any], token: Token, action: str, name: str) -> bytes:
        self._audit_log.record(environ, token, action, name)
        return respond(202, schedule_view(self._control.schedules.get(name)))

    def endpoints(self) -> list[Endpoint]:
        one = views.ref("Schedule")
        gone = views.object_of(name=views.TEXT, deleted=views.YES_NO)
        started = views.object_of(name=views.TEXT, job=views.TEXT, url=views.TEXT)
        changed = {202: Answer("done; the current state of the schedule", one)}
        return [
            Endpoint(
                "GET", PATH, self.show, "List the schedules and their newest slots", "read",
                {200: Answer("ordered by name", views.object_of(schedules=views.array("Schedule")))},
            ),
            Endpoint(
                "POST", PATH, self.make, "Make a schedule for a task", "admin",
                {201: Answer("created", one, LOCATION)}, (404, 409), body=Body(views.ref("NewSchedule")),
            ),
            Endpoint(
                "GET", ONE, self.show_one, "One schedule", "read", {200: Answer("the schedule", one)}, (404,),
            ),
            Endpoint(
                "PUT", ONE, self.change, "Replace what a schedule runs, and when", "admin",
                {200: Answer("the changed schedule; a new timetable counts from now", one)}, (404, 409),
                body=Body(views.ref("ScheduleRequest")),
            ),
            Endpoint(
                "DELETE", ONE, self.delete, "Remove a schedule; jobs that it made are kept", "admin",
                {200: Answer("deleted", gone)}, (404, 409),
            ),
            Endpoint(
                "POST", ONE + "/run", self.run, "Run a schedule's task now, or for a slot that did not run", "admin",
                {202: Answer("the job that runs it", started, {"Location": "the address of the job"})}, (404, 409),
                body=Body(views.ref("SlotRequest"), required=False),
            ),
            Endpoint(
                "POST", ONE + "/pause", self.pause, "Pause a schedule: its slots are skipped", "admin", changed, (404,),
            ),
            Endpoint(
                "POST", ONE + "/resume", self.resume, "Resume a schedule", "admin", changed, (404,),
            ),
        ]  # fmt: skip
