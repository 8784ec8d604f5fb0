"""Which failures are one group: the exception's type and the way through own code."""

from __future__ import annotations

import re
import sys
import traceback as tracebacks

from hypothesis import given
from hypothesis import strategies as st

from duey.monitor.history.recording.causes import MAX_FRAMES, cause_of, own_frames
from tests.monitor.history.conftest import traceback
from tests.support import rows

TASK = traceback("/srv/app/tasks.py:send", "/srv/app/mail.py:deliver")
PYTHON = "/usr/lib/python3.11"


def fingerprint(text: str, type_name: str = "ValueError", task: str = "tasks.send") -> str:
    return cause_of(type_name, text, task).fingerprint


def test_own_frames_are_files_and_functions() -> None:
    assert own_frames(TASK) == ("tasks.py:send", "mail.py:deliver")


@rows(
    "library",
    [
        f"{PYTHON}/smtplib.py:connect",
        "/app/.venv/lib/python3.12/site-packages/requests/api.py:get",
        "/usr/lib/python3/dist-packages/yaml/__init__.py:load",
        "<frozen importlib._bootstrap>:_find",
        "<string>:<module>",
        r"C:\Python311\Lib\site-packages\requests\api.py:get",
    ],
)
def test_library_frames_do_not_count(library: str) -> None:
    assert own_frames(traceback("/srv/tasks.py:send", library)) == ("tasks.py:send",)


@rows(
    "other",
    [
        re.sub(r"line \d+", "line 999", TASK),
        TASK.replace("/srv/app/", "/srv/releases/2030-01-01/"),
        TASK.replace("ValueError: no", "ValueError: another message"),
        traceback("/srv/app/tasks.py:send", "/srv/app/mail.py:deliver", f"{PYTHON}/smtplib.py:connect"),
        traceback("/srv/app/tasks.py:send", "/srv/app/mail.py:deliver", "/srv/app/mail.py:deliver"),
        traceback("/srv/other.py:before")
        + "\nDuring handling of the above exception, another exception occurred:\n\n"
        + TASK,
    ],
)
def test_one_group(other: str) -> None:
    assert fingerprint(other) == fingerprint(TASK)


def test_other_groups() -> None:
    others = [
        fingerprint(TASK),
        fingerprint(TASK, "KeyError"),
        fingerprint(traceback("/srv/app/tasks.py:send")),
        fingerprint(traceback("/srv/app/mail.py:deliver", "/srv/app/tasks.py:send")),
    ]
    assert len(set(others)) == len(others)


def test_without_own_frames_the_task_stands_for_them() -> None:
    no_frames = ["", "WorkerDied: its worker died 3 times\n", traceback(f"{PYTHON}/json/decoder.py:decode")]
    assert len({fingerprint(text, task="tasks.one") for text in no_frames}) == 1
    assert fingerprint("", task="tasks.one") != fingerprint("", task="tasks.two")


def test_a_real_recursion_is_one_short_group() -> None:
    def fall(depth: int) -> None:
        if not depth:
            raise ValueError("bottom")
        fall(depth - 1)

    found = set()
    for depth in (1, 2, 30, 300):
        try:
            fall(depth)
        except ValueError:
            found.add(own_frames("".join(tracebacks.format_exception(*sys.exc_info()))))
    here = "test_error_fingerprints.py:"
    assert found == {(f"{here}test_a_real_recursion_is_one_short_group", f"{here}fall")}


def test_a_real_exception_group_counts_its_frames() -> None:
    text = (
        "  + Exception Group Traceback (most recent call last):\n"
        '  |   File "/srv/tasks.py", line 3, in send\n  |     raise group\n'
        "  | ExceptionGroup: two (2 sub-exceptions)\n  +-+---------------- 1 ----------------\n"
        "    | ValueError: 1\n    +------------------------------------\n"
    )
    assert own_frames(text) == ("tasks.py:send",)


@given(st.text(), st.text(max_size=50), st.text(max_size=50))
def test_any_text_has_a_group(text: str, type_name: str, task: str) -> None:
    cause = cause_of(type_name, text, task)
    assert len(cause.fingerprint) == 16


def test_frames_are_bounded() -> None:
    assert len(own_frames(traceback(*(f"/srv/m{i}.py:f" for i in range(500))))) == MAX_FRAMES
    hostile = 'File "' + "(" * 200_000 + "\n" + '  File "x", line 1, in ' * 20_000
    assert own_frames(hostile) == ()
