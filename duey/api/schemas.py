"""The JSON schemas of openapi.json: jobs, tasks, queues, consumers, problems and more."""

from __future__ import annotations

from typing import Any

from duey.api.answer import KINDS
from duey.api.requests import BODIES
from duey.control.schedules import CATCH_UP, OUTCOMES, OVERLAP
from duey.model.job import STATES

TEXT: dict[str, Any] = {"type": "string"}
TEXT_OR_NULL: dict[str, Any] = {"type": ["string", "null"]}
NUMBER_OR_NULL: dict[str, Any] = {"type": ["number", "null"]}
WHOLE: dict[str, Any] = {"type": "integer", "minimum": 0}
YES_NO: dict[str, Any] = {"type": "boolean"}
TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
TIME_OR_NULL: dict[str, Any] = {"type": ["string", "null"], "format": "date-time"}
OBJECT: dict[str, Any] = {"type": "object"}
ANYTHING: dict[str, Any] = {}
REASON = (
    "why it is set aside: task NAME or queue NAME (which is paused), limit TASK, rate TASK, or unknown TASK (which no "
    "consumer knows); or why it is tried again at its eta: lock NAME (which is held)"
)
BY = (
    "who asked for it: the name of a token or an account, cli:USER or schedule:NAME; what a job enqueues has that of "
    "this job; null: Python code outside of any job"
)


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


JOB_OR_RECEIPT: dict[str, Any] = {
    "anyOf": [ref("Job"), ref("Receipt")],
    "description": "the job, or for a token without the scope read its receipt",
}


def array(name: str) -> dict[str, Any]:
    return {"type": "array", "items": ref(name)}


def object_of(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object that always has all of these properties."""
    return {"type": "object", "required": list(properties), "properties": properties}


def components() -> dict[str, Any]:
    """Return all named schemas."""
    return {
        **{model.name: model.schema for model in BODIES},
        "Schedule": _schedule(),
        "Job": _job(),
        "Receipt": object_of(id=TEXT, state={"enum": list(STATES)}, url=TEXT),
        "Attempt": object_of(
            number=WHOLE,
            outcome=TEXT,
            worker=TEXT_OR_NULL,
            started_at=TIME_OR_NULL,
            finished_at=TIME,
            wait_ms=NUMBER_OR_NULL,
            run_ms=NUMBER_OR_NULL,
            error={"type": ["object", "null"]},
            logs={"type": "array", "items": object_of(at=TIME, level=TEXT, text=TEXT)},
        ),
        "ErrorGroup": object_of(
            fingerprint=TEXT,
            type=TEXT,
            message=TEXT,
            task=TEXT,
            qualname=TEXT,
            state=TEXT,
            count=WHOLE,
            first_seen=TIME,
            last_seen=TIME,
            last_job=TEXT,
            last_day=WHOLE,
            last_week=WHOLE,
            regressed_at=TIME_OR_NULL,
        ),
        "Task": object_of(
            name=TEXT,
            qualname=TEXT,
            doc=TEXT,
            options=OBJECT,
            paused=YES_NO,
            periodic=YES_NO,
            parameters={
                "type": "array",
                "items": object_of(
                    name=TEXT,
                    type=TEXT,
                    default=ANYTHING,
                    required=YES_NO,
                    kind=TEXT,
                    schema={**OBJECT, "description": "the JSON schema of its value"},
                ),
            },
        ),
        "Queue": object_of(name=TEXT, waiting=WHOLE, oldest_age_s=NUMBER_OR_NULL, paused=YES_NO),
        "Worker": object_of(
            id=TEXT,
            host=TEXT,
            pid=WHOLE,
            started=TIME,
            heartbeat=TIME,
            workers=WHOLE,
            worker_type=TEXT,
            queues={"type": "array", "items": TEXT},
            alive=YES_NO,
            quiet=YES_NO,
            running={
                "type": "array",
                "items": object_of(job=TEXT, task=TEXT, started=TIME_OR_NULL, url=TEXT),
            },
            rss_bytes={"type": ["integer", "null"]},
            code=TEXT,
        ),
        "Problem": _problem(),
    }


def _schedule() -> dict[str, Any]:
    slot = object_of(at=TIME, outcome={"enum": list(OUTCOMES)}, job=TEXT_OR_NULL, reason=TEXT_OR_NULL)
    return object_of(
        name=TEXT,
        task=TEXT,
        qualname=TEXT,
        source={"enum": ["code", "made"]},
        expression=TEXT,
        words={**TEXT, "description": "the expression as a person would say it"},
        timezone=TEXT,
        catch_up={"enum": list(CATCH_UP)},
        overlap={"enum": list(OVERLAP)},
        window={"type": "number"},
        paused=YES_NO,
        known={**YES_NO, "description": "whether its task is known here"},
        problem={**TEXT_OR_NULL, "description": "why it cannot run"},
        last={**TIME_OR_NULL, "description": "its newest slot that ran"},
        next={"type": "array", "items": TIME, "maxItems": 5},
        slots={"type": "array", "items": slot, "description": "the newest first"},
        args={"type": "array"},
        kwargs=OBJECT,
        version={**TEXT, "description": "changes with what it runs, and when: give it with a change"},
    )


def _job() -> dict[str, Any]:
    progress = object_of(done=NUMBER_OR_NULL, total=NUMBER_OR_NULL, note=TEXT_OR_NULL)
    return object_of(
        id=TEXT,
        task=TEXT,
        by={**TEXT_OR_NULL, "description": BY},
        qualname=TEXT,
        queue=TEXT,
        args={"type": "array"},
        kwargs=OBJECT,
        state={"enum": list(STATES)},
        priority={"type": "number"},
        attempt=WHOLE,
        retries_left=WHOLE,
        crashes=WHOLE,
        enqueued_at=TIME,
        eta=TIME_OR_NULL,
        expires_at=TIME_OR_NULL,
        started_at=TIME_OR_NULL,
        finished_at=TIME_OR_NULL,
        wait_ms=NUMBER_OR_NULL,
        run_ms=NUMBER_OR_NULL,
        progress={"anyOf": [progress, {"type": "null"}]},
        result=ANYTHING,
        result_stored={
            **YES_NO,
            "description": "false where the result was too large to keep or has expired",
        },
        error={"anyOf": [object_of(type=TEXT, message=TEXT), {"type": "null"}]},
        reason={**TEXT_OR_NULL, "description": REASON},
        context=OBJECT,
        worker=TEXT_OR_NULL,
        parent=TEXT_OR_NULL,
        url=TEXT,
    )


def _problem() -> dict[str, Any]:
    problem = object_of(
        type={"enum": [f"urn:duey:{kind}" for kind in KINDS]},
        title=TEXT,
        status={"type": "integer"},
        detail={**TEXT, "description": "one sentence"},
    )
    problem["properties"] |= {
        "errors": {
            "type": "array",
            "items": object_of(path=TEXT, message=TEXT),
            "description": "each refused field",
        },
        "nearest": {"type": "array", "items": TEXT, "description": "names that may have been meant"},
        "state": {**TEXT, "description": "the state that did not allow it"},
        "holder": {**TEXT, "description": "the job that holds the unique key"},
        "stored": {
            "type": ["boolean", "null"],
            "description": "null: may have been stored, ask again with the same key",
        },
        "problems": {"type": "array", "items": TEXT, "description": "what is missing for readiness"},
        "warnings": {"type": "array", "items": TEXT},
        "incident": {**TEXT, "description": "what the operator finds in the log"},
    }
    return problem
