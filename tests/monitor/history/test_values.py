"""The values of the history: whatever comes with an event, durations in buckets, which failures are one group, pace."""

from __future__ import annotations

import json
import math
import re
import sqlite3
import sys
import time
import traceback as tracebacks
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duey.monitor.history import BUCKETS, plain, tallies
from duey.monitor.history.recording import recorder
from duey.monitor.history.recording.causes import MAX_FRAMES, cause_of, own_frames
from duey.monitor.history.recording.recorder import LATE_S, REST, REST_IN_A_CROWD, WriteThrottle
from tests.monitor.history.conftest import traceback
from tests.support import rows

# whatever comes with an event can be stored, in bounds


class Broken:
    def __str__(self) -> str:
        raise RuntimeError


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.just(Broken()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=20,
)


DATABASE = sqlite3.connect(":memory:", check_same_thread=False)


@given(ANYTHING, st.integers(20, 200))
def test_anything_is_stored_and_json_of_it_is_bounded(value: Any, max_chars: int) -> None:
    for encode, kind in ((plain.encode, object), (plain.encode_list, list), (plain.encode_dict, dict)):
        made = encode(value, max_chars)
        assert isinstance(json.loads(made), kind)
        assert len(made) <= 2 * max_chars + 60
        assert DATABASE.execute("SELECT ?", (made,)).fetchone() == (made,)
    found = (plain.text(value), plain.number(value), plain.whole(value), plain.number_or_none(value))
    assert DATABASE.execute("SELECT ?, ?, ?, ?", found).fetchone() == found


@given(st.lists(st.integers() | st.text(st.characters(exclude_categories=["Cs"]))))
def test_what_fits_comes_back_as_it_was(value: list[Any]) -> None:
    assert plain.decode(plain.encode_list(value, 10**6)) == value


def test_texts_and_numbers_fit_the_database() -> None:
    cut = plain.text("begin" + "x" * 10_000 + "end", 100)
    assert (cut[:5], cut[-3:]) == ("begin", "end") and "9908 characters left out" in cut and len(cut) < 150
    assert plain.text("a\ud800b") == "a\\ud800b", "lone surrogates are written out"
    assert [plain.whole(value) for value in (2**63 - 1, 2**63, 1.9, "7", None)] == [2**63 - 1, 0, 1, 0, 0]
    for value in (float("nan"), float("inf"), "x", None, 10**400):
        assert (plain.number(value, 5.0), plain.number_or_none(value)) == (5.0, None), value
    assert (plain.decode("{", "nothing"), plain.decode(None, [])) == ("nothing", []), "what is no JSON"


# durations in buckets: each has one, and percentiles are within the promised bounds


durations = st.floats(0, 1e9, allow_nan=False)


def test_there_are_26_buckets_up_to_hours_and_without_end() -> None:
    assert len(tallies.BOUNDS_MS) == BUCKETS == tallies.BUCKETS == 26
    assert tallies.BOUNDS_MS[-2] > 4 * 3600 * 1000 and tallies.BOUNDS_MS[-1] == math.inf
    assert tallies.percentile_ms([0] * BUCKETS, 0.5, 0.0) is None, "nothing has no percentile"


@given(st.lists(durations, min_size=1, max_size=300), st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]))
def test_a_duration_has_its_bucket_and_a_percentile_its_bounds(times: list[float], share: float) -> None:
    counts = [0] * BUCKETS
    for ms in times:
        i = tallies.bucket_of(ms)
        assert (tallies.BOUNDS_MS[i - 1] if i else 0) <= ms < tallies.BOUNDS_MS[i]
        counts[i] += 1
    true = sorted(times)[max(1, math.ceil(share * len(times))) - 1]
    found = tallies.percentile_ms(counts, share, max(times))
    assert found is not None and found <= max(times)
    if true < 1:
        assert abs(found - true) <= 1
    elif true < tallies.BOUNDS_MS[-2]:
        assert true / 2 <= found <= true * 2
    else:  # the last bucket has no upper bound but the largest value
        assert tallies.BOUNDS_MS[-2] <= found <= max(times)


@given(st.lists(st.integers(0, 10**9), min_size=BUCKETS, max_size=BUCKETS))
def test_what_is_written_is_read_again_and_zeros_take_no_room(counts: list[int]) -> None:
    text = tallies.write(counts)
    read = [0] * BUCKETS
    tallies.add_written(read, text)
    assert read == counts
    assert len(text.split()) == sum(1 for count in counts if count)


# which failures are one group: the exception's type and the way through own code


TASK = traceback("/srv/app/tasks.py:send", "/srv/app/mail.py:deliver")
PYTHON = "/usr/lib/python3.11"


def fingerprint(text: str, type_name: str = "ValueError", task: str = "tasks.send") -> str:
    return cause_of(type_name, text, task).fingerprint


def test_own_frames_are_files_and_functions_and_no_library_s_and_bounded() -> None:
    assert own_frames(TASK) == ("tasks.py:send", "mail.py:deliver")
    for library in (
        f"{PYTHON}/smtplib.py:connect", "/app/.venv/lib/python3.12/site-packages/requests/api.py:get",
        "/usr/lib/python3/dist-packages/yaml/__init__.py:load", "<frozen importlib._bootstrap>:_find",
        "<string>:<module>", r"C:\Python311\Lib\site-packages\requests\api.py:get",
    ):  # fmt: skip
        assert own_frames(traceback("/srv/tasks.py:send", library)) == ("tasks.py:send",), library
    assert len(own_frames(traceback(*(f"/srv/m{i}.py:f" for i in range(500))))) == MAX_FRAMES
    hostile = 'File "' + "(" * 200_000 + "\n" + '  File "x", line 1, in ' * 20_000
    assert own_frames(hostile) == ()


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
    ways = (("/srv/app/tasks.py:send",), ("/srv/app/mail.py:deliver", "/srv/app/tasks.py:send"))
    others = [fingerprint(TASK), fingerprint(TASK, "KeyError"), *(fingerprint(traceback(*way)) for way in ways)]
    assert len(set(others)) == len(others)
    # Without own frames the task stands for them.
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
    here = "test_values.py:"
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


# the recorder's rest: long where processors are scarce, none for what is late


WORK_S = 0.02


def rests(monkeypatch: pytest.MonkeyPatch, waited: list[float | None], lag_s: float) -> float:
    """How many times its work the recorder rests, having waited for a processor as is told."""
    told = iter(waited)
    monkeypatch.setattr(recorder, "waited_s", lambda: next(told))
    used = iter([5.0, 5.0 + WORK_S])
    monkeypatch.setattr(time, "thread_time", lambda: next(used))
    one = WriteThrottle()
    one.begin()
    return one.rest_s(lag_s) / WORK_S


@pytest.mark.parametrize(
    ("waited", "times"),
    [([1.0, 1.0], REST), ([1.0, 1.001], REST), ([1.0, 1.01], REST_IN_A_CROWD), ([None, None], REST_IN_A_CROWD)],
    ids=["free", "hardly", "crowded", "not told"],
)
def test_it_rests_long_where_processors_are_scarce(
    monkeypatch: pytest.MonkeyPatch, waited: list[float | None], times: float
) -> None:
    assert rests(monkeypatch, waited, 0.0) == pytest.approx(times)


def test_it_rests_the_less_the_later_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rests(monkeypatch, [1.0, 2.0], LATE_S / 2) == pytest.approx(REST_IN_A_CROWD / 2)
    assert rests(monkeypatch, [1.0, 2.0], LATE_S) == rests(monkeypatch, [1.0, 2.0], 1000.0) == 0.0


def test_the_kernel_tells_how_long_a_thread_waited() -> None:
    waited = recorder.waited_s()
    assert waited is None or waited >= 0.0
