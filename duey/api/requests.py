"""Requests: each is declared once, as a TypedDict. From it follow its checks, its schema in openapi.json and the values
of the engine.

An unknown field is refused, with the nearest known name: a misspelt `prioriy` that is silently ignored might go
unnoticed for long. The engine checks what depends on the task: whether it exists, whether the arguments match its
signature, whether a cron expression is valid.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema, conlist
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticCustomError, SchemaValidator, ValidationError, core_schema
from typing_extensions import Required, TypedDict

from duey import clock
from duey.api.answer import Refusal, refused_fields
from duey.control.refusal import found, problems_of
from duey.control.schedules import CATCH_UP, OVERLAP, ScheduleRequest
from duey.control.schedules import NAME_PATTERN as SCHEDULES_PATTERN
from duey.model.job import STATES, JobRequest

TEN_YEARS_S = 10 * 365 * 86_400
LATE_ETA_S = 60  # an eta this far in the past means now: clocks differ, and a request takes time
CONTEXT_BYTES = 4096
MAX_BATCH = 1000
MAX_PARAMETERS = 50
MAX_WAIT_S = 30.0
NAME_PATTERN = r"[A-Za-z0-9_.-]{1,64}"
CONFIG = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

# Kinds of fields.


def refusal(expected: str, value: Any) -> PydanticCustomError:
    return PydanticCustomError("duey", "{sentence}", {"sentence": f"expected {expected}, found {found(value)}"})


_INSTANT = re.compile(r"[0-9-]{10}[Tt ][0-9:]{8}(\.[0-9]{1,12})?([Zz]|[+-][0-9]{2}:[0-9]{2})")
_read_instant = SchemaValidator(core_schema.datetime_schema(tz_constraint="aware")).validate_python


def instant(value: Any) -> float:
    """An RFC 3339 time with a zone as epoch seconds, also a leap second."""
    if type(value) is str and _INSTANT.fullmatch(value):
        leap_s = 1 if value[17:19] == "60" else 0
        try:
            return float(_read_instant(value[:17] + "59" + value[19:] if leap_s else value).timestamp()) + leap_s
        except (ValueError, OverflowError):  # also pydantic's ValidationError: it is not in the calendar
            pass
    raise refusal("a time with its zone such as 2030-01-01T00:00:00Z", value)


def _eta(value: Any) -> float | None:
    at = instant(value)
    ahead = at - clock.now()
    if not -LATE_ETA_S <= ahead <= TEN_YEARS_S:
        raise refusal("a future time within ten years", value)
    return None if ahead <= 0 else at


def _to_come(value: Any) -> float:
    at = instant(value)
    if not 0 < at - clock.now() <= TEN_YEARS_S:
        raise refusal("a future time within ten years", value)
    return at


def _whole(value: Any) -> Any:
    # 3.0 is an integer in JSON Schema, and in languages with a single number type.
    return int(value) if type(value) is float and value.is_integer() else value


def _free_id(value: str) -> str:
    if value == "batch":  # GET /api/jobs/batch is a path of its own
        raise refusal("an id other than batch", value)
    return value


def _small(value: dict[str, Any]) -> dict[str, Any]:
    size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
    if size > CONTEXT_BYTES:
        raise refusal(f"at most {CONTEXT_BYTES} bytes of JSON", size)
    return value


def _time(read: Any, description: str) -> Any:
    schema = {"type": "string", "format": "date-time", "description": description}
    return Annotated[Any, BeforeValidator(read), WithJsonSchema(schema)]


def text(most: int, description: str, **more: Any) -> Any:
    return Annotated[str, Field(min_length=1, max_length=most, description=description, **more)]


def up_to(most: int, description: str) -> Any:
    return Annotated[str, Field(max_length=most, description=description)]


def one_of(choices: Sequence[str], description: str) -> Any:
    return Annotated[Literal[tuple(choices)], Field(description=description)]


def number(low: float, high: float, description: str, **more: Any) -> Any:
    return Annotated[float, Field(ge=low, le=high, description=description, **more)]


# Fields of requests. Each has the name of the engine's value; its alias is the name in the request.

TASK = text(200, "name of the task; module.name if two tasks have this name")
CALL: dict[str, Any] = {
    "args": Annotated[list[Any], Field(json_schema_extra={"default": []})],
    "kwargs": Annotated[dict[str, Any], Field(json_schema_extra={"default": {}})],
}
JOB: dict[str, Any] = {
    "task": TASK,
    **CALL,
    "id": Annotated[str, Field(
        pattern=r"^[A-Za-z0-9_.:-]{1,64}$", json_schema_extra={"not": {"enum": ["batch"]}},
        description="your own id for the job; sending it again changes nothing until that job has ended",
    ), AfterValidator(_free_id)],
    "delay_s": number(0, TEN_YEARS_S, "start after this many seconds; not together with eta", validation_alias="delay"),
    "eta": _time(_eta, "start at this time, which has a UTC offset; at most ten years ahead"),
    "priority": number(-1e6, 1e6, "higher runs first"),
    "queue": Annotated[str, Field(pattern=f"^{NAME_PATTERN}$", json_schema_extra={"default": "default"})],
    "retries": Annotated[int, Field(ge=0, le=100), BeforeValidator(_whole)],
    "expires_s": Annotated[float, Field(
        gt=0, le=TEN_YEARS_S, validation_alias="expires",
        description="do not start the job later than this many seconds from now",
    )],
    "unique": text(200, "while an unfinished job has this key, the answer is 200 with that job"),
    "context": Annotated[dict[str, Any], Field(
        description=f"values that accompany the job, such as a request id; at most {CONTEXT_BYTES} bytes of JSON",
    ), AfterValidator(_small)],
}  # fmt: skip
SCHEDULE: dict[str, Any] = {
    "task": TASK,
    **CALL,
    "cron": text(300, "five fields, or a macro such as @daily"),
    "every_s": number(1, TEN_YEARS_S, "seconds from one run to the next", validation_alias="every"),
    "at": _time(_to_come, "run once, at this time, which has a UTC offset"),
    "tz": text(64, "IANA time zone such as Europe/Zagreb; default: that of the service", validation_alias="timezone"),
    "catch_up": one_of(CATCH_UP, "which missed slots run later; default: that of the service"),
    "overlap": one_of(OVERLAP, "what happens to a slot while the previous run goes on; default: skip"),
    "window_s": number(
        0, TEN_YEARS_S, "in seconds: slots that were missed longer ago are not run", validation_alias="window"
    ),
}
TWO_TIMES = "expected delay or eta, found both"
TIMETABLES = {"cron": "cron", "every": "every_s", "at": "at"}
ONE_TIMETABLE = {"oneOf": [{"required": [name]} for name in TIMETABLES]}
SCHEDULE_NAME = text(80, f"unique name of the schedule: {SCHEDULES_PATTERN}")
VERSION = text(64, "the `version` that you read: if the schedule has changed since, the answer is 409")
SLOT_TIME = _time(instant, "time of a slot that did not run")
LIMIT = Field(ge=1, le=500, description="how many on a page", json_schema_extra={"default": 50})
PAGING: dict[str, Any] = {"limit": Annotated[int, LIMIT], "cursor": up_to(500, "`next` of the previous page")}

# Reading.


class _Schemas(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class Model:
    """A request, declared by its fields: reads it, and gives its JSON schema."""

    def __init__(
        self,
        name: str,
        fields: Mapping[str, Any],
        required: Sequence[str] = (),
        schema: Mapping[str, Any] | None = None,
    ) -> None:
        declared = {each: Required[kind] if each in required else kind for each, kind in fields.items()}
        self.kind: Any = TypedDict(name, declared, total=False)  # type: ignore[misc]
        self.kind.__pydantic_config__ = {**CONFIG, "json_schema_extra": schema}
        self.name = name
        self._adapter: TypeAdapter[Any] = TypeAdapter(self.kind)
        self.validator = self._adapter.validator
        self.schema = self._adapter.json_schema(schema_generator=_Schemas)
        self.names = list(self.schema["properties"])

    def read(self, value: Any, validator: Any = None) -> Any:
        """The values of the engine for decoded JSON. `validator`: of a list of such requests. Raises Refusal 422."""
        try:
            return (validator or self.validator).validate_python(value)
        except ValidationError as error:
            raise self._refused(error, value) from None

    def read_query(self, environ: Mapping[str, Any]) -> Any:
        """The values of a URL's query. An empty one counts as not given, so that a form or a template can send all
        parameters. Raises Refusal 422."""
        query = environ.get("QUERY_STRING", "")
        try:
            pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
        except ValueError:  # also UnicodeDecodeError
            raise Refusal("invalid", "the query of the URL is not UTF-8 or has too many parameters") from None
        names = [name for name, _ in pairs]
        if twice := sorted({name[:100] for name in names if names.count(name) > 1}):
            raise refused_fields([(name, "it is given twice") for name in twice])
        given = {name: value for name, value in pairs if value or name not in self.names}
        try:
            return self._adapter.validate_strings(given, strict=False)
        except ValidationError as error:
            raise self._refused(error, given) from None

    def _refused(self, error: ValidationError, value: Any) -> Refusal:
        problems = problems_of(error, value, known=self.names)
        return refused_fields([(each.path.removeprefix("."), each.message) for each in problems])


JOB_REQUEST = Model("JobRequest", JOB, ["task"], {"not": {"required": ["delay", "eta"]}})
BATCH: Any = TypeAdapter(conlist(JOB_REQUEST.kind, min_length=1, max_length=MAX_BATCH)).validator
ARGUMENTS = Model("Arguments", CALL)
NEW_SCHEDULE = Model("NewSchedule", {"name": SCHEDULE_NAME, **SCHEDULE}, ["name", "task"], ONE_TIMETABLE)
SCHEDULE_REQUEST = Model("ScheduleRequest", {**SCHEDULE, "version": VERSION}, ["task"], ONE_TIMETABLE)
SLOT_REQUEST = Model("SlotRequest", {"at": SLOT_TIME})
BODIES = (JOB_REQUEST, ARGUMENTS, NEW_SCHEDULE, SCHEDULE_REQUEST, SLOT_REQUEST)
ERROR_QUERY = Model("ErrorQuery", {
    "state": one_of(("open", "muted", "fixed"), "only groups in this state"),
    "task": up_to(200, "only groups of this task, by its full name"),
    "q": up_to(200, "only groups whose type or message contains this"),
    **PAGING,
})  # fmt: skip
ALERT_QUERY = Model("AlertQuery", {"state": one_of(("open", "closed"), "only incidents in this state"), **PAGING})
LIST_QUERY = Model("ListQuery", {
    "state": one_of(STATES, "only jobs in this state"),
    "task": up_to(200, "only jobs of this task"),
    "q": up_to(200, "only jobs whose id or task contains this"),
    "by": up_to(200, "only jobs enqueued by this token, account, cli:USER or schedule:NAME"),
    **PAGING,
})  # fmt: skip
WAITED = f"wait until the job has ended, for at most this many seconds ({MAX_WAIT_S:g} at most)"
WAIT_QUERY = Model("WaitQuery", {"wait": Annotated[float, Field(ge=0, description=WAITED)]})

LOG_QUERY = Model("LogQuery", {
    "after": Annotated[int, Field(ge=0, le=2**63 - 1, description="`next` of the answer before: only later lines")],
})  # fmt: skip


def single(value: Any) -> JobRequest:
    """Convert one request. Raises Refusal 422."""
    given = JOB_REQUEST.read(value)
    if "eta" in given and "delay_s" in given:
        raise refused_fields([("delay", TWO_TIMES)])
    return JobRequest(**given)


def batch(value: Any) -> list[JobRequest]:
    """Convert 1 to 1,000 requests. Paths of refused fields begin with their index, as `[3].`. Raises Refusal 422."""
    given = JOB_REQUEST.read(value, BATCH)
    if both := [index for index, each in enumerate(given) if "eta" in each and "delay_s" in each]:
        raise refused_fields([(f"[{index}].delay", TWO_TIMES) for index in both])
    return [JobRequest(**each) for each in given]


def schedule_of(given: dict[str, Any]) -> ScheduleRequest:
    """Convert the values of NEW_SCHEDULE (without the name) or SCHEDULE_REQUEST. Raises Refusal 422."""
    named = [name for name, attribute in TIMETABLES.items() if attribute in given]
    if len(named) != 1:
        sentence = f"expected one of {', '.join(TIMETABLES)}, found {' and '.join(named) or 'none'}"
        raise refused_fields([("cron", sentence)])
    return ScheduleRequest(**given)
