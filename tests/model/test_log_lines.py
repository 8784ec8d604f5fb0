"""How many lines of a job are kept, and what says that others are not."""

from __future__ import annotations

from itertools import pairwise

from duey.model.log_lines import HALF_CHARS, HALF_LINES, AttemptLog, shortened, shown, with_marks
from tests.support import rows


def log_of(count: int, text: str = "") -> AttemptLog:
    log = AttemptLog(1)
    for n in range(count):
        log.add(100.0, "INFO", text or f"line {n}")
    return log


@rows("count", (0, 2, 2 * HALF_LINES))
def test_few_lines_are_kept(count):
    assert [text for _, _, text in log_of(count).lines()] == [f"line {n}" for n in range(count)]


def test_of_many_the_first_and_the_last_are_kept_with_a_mark_between_them():
    lines = log_of(3 * HALF_LINES).lines()
    assert len(lines) == 2 * HALF_LINES + 1
    assert (lines[HALF_LINES - 1][2], lines[HALF_LINES][2], lines[HALF_LINES + 1][2]) == ("line 499", 500, "line 1000")
    assert shown(lines[HALF_LINES]).text == "500 lines left out"
    assert all(before[0] < after[0] for before, after in pairwise(lines))


def test_long_lines_are_fewer():
    lines = log_of(1000, "x" * 2000).lines()
    assert sum(len(text) for _, _, text in lines if type(text) is str) < 2 * HALF_CHARS + 4000
    assert sum(text if type(text) is int else 1 for _, _, text in lines) == 1000


def test_what_is_new_is_taken_once():
    log = log_of(2)
    assert [line[0] for line in log.take()] == [0, 1]
    for n in range(2000):
        log.add(200.0, "INFO", f"more {n}")
    taken = [line[0] for line in log.take()]
    assert taken == [*range(2, 500), *range(1502, 2002)] and log.take() == []
    assert with_marks([(0, 1.0, "INFO", "a"), (5, 2.0, "INFO", "b")])[1][2] == 4


MARKED = [(1.0, "", "a"), (2.0, "", "b"), (3.0, "", 7), (4.0, "", "c"), (5.0, "", "d"), (6.0, "", "e")]
SHORTENED = (
    ([], []),
    ([(1.0, "INFO", "a")], ["a"]),
    ([(float(n), "", "abc") for n in range(9)], ["abc", "abc", 5, "abc", "abc"]),
    (MARKED, ["a", "b", 8, "d", "e"]),
)


@rows("lines, texts", SHORTENED)
def test_stored_lines_are_shortened_with_the_count_of_what_was_missing_before(lines, texts):
    assert [line[2] for line in shortened(lines, 2, 1000)] == texts
