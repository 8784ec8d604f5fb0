"""What a task's policy says of a failed attempt, and how long the back-offs wait."""

from __future__ import annotations

import math
import sys

import pytest

from duey import errors, exponential, sidekiq_backoff
from duey.tasks import options as task_options
from duey.tasks.retry import LONGEST_S, WITHIN_TIME, Policy, default_retries, delay_of
from tests.support import rows

BOOM = ValueError("boom")
BOTH = {"retry_on": (ConnectionError,), "discard_on": (OSError, ConnectionResetError)}


# back-offs


def test_exponential():
    formula = {1: 2, 2: 6, 3: 18, 4: 54, 5: 100, 6: 100, 5000: 100}
    assert {attempt: exponential(2, 3, 100, 0)(attempt, BOOM) for attempt in formula} == formula
    backoff = exponential(base_s=10, factor=2, cap_s=1000, jitter=0.25)
    delays = [backoff(3, BOOM) for _ in range(500)]
    assert 30 <= min(delays) < 31 and 39 < max(delays) <= 40, "no more than its jitter is taken away"
    delays = [exponential(base_s=10)(1, BOOM) for _ in range(100)]  # that failed together do not return together
    assert max(sum(1 for d in delays if start <= d < start + 1) for start in delays) < 60
    for wrong in ((-1, 2, 10, 0), (1, 0.5, 10, 0), (1, 2, -1, 0), (1, 2, 10, 2), (math.nan, 2, 10, 0)):
        with pytest.raises(ValueError, match="expected base_s"):
            exponential(*wrong)
            pytest.fail(f"accepted {wrong}")


def test_sidekiq_s_delays_are_its_formula_and_25_retries_take_about_three_weeks():
    for n in (0, 1, 2, 9, 24):
        chances = {n**4 + 15 + r * (n + 1) for r in range(10)}
        assert {sidekiq_backoff(n + 1, BOOM) for _ in range(300)} == chances, n
    assert 20 < sum(sidekiq_backoff(attempt, BOOM) for attempt in range(1, 26)) / 86400 < 21.5


def test_a_back_off_is_the_author_s_code():
    bad = {
        "says nan": lambda attempt, error: math.nan, "says nonsense": lambda attempt, error: "soon",
        "fails": lambda attempt, error: {}[attempt], "exits": lambda attempt, error: sys.exit("no"),
    }  # fmt: skip
    for name, backoff in bad.items():
        assert delay_of(backoff, 1, BOOM) is None, name
    assert delay_of(lambda attempt, error: -5, 1, BOOM) == 0
    assert delay_of(lambda attempt, error: math.inf, 1, BOOM) == LONGEST_S
    assert delay_of(lambda attempt, error: attempt * 10 + len(str(error)), 3, BOOM) == 34


# judging


@rows(
    ("policy", "error", "attempt", "since_s", "again", "discarded", "why"),
    [
        ({}, KeyboardInterrupt(), 1, 0, True, False, ""),
        # the most specific class wins
        (BOTH, ConnectionError(), 1, 0, True, False, ""), (BOTH, ConnectionResetError(), 1, 0, False, True, ""),
        (BOTH, BrokenPipeError(), 1, 0, True, False, ""), (BOTH, OSError(), 1, 0, False, True, ""),
        (BOTH, ValueError(), 1, 0, False, False, ""),
        # one list alone leaves the others to their retries
        ({"discard_on": (LookupError,)}, KeyError(), 1, 0, False, True, "discard_on names LookupError"),
        ({"discard_on": (LookupError,)}, ValueError(), 1, 0, True, False, ""),
        ({"retry_on": (OSError,)}, KeyError(), 1, 0, False, False, "retry_on does not name KeyError"),
        # the time since the first failure
        ({"retry_for": 60}, BOOM, 500, 59.9, True, False, ""),
        ({"retry_for": 60}, BOOM, 2, 60, False, False, "retry_for=60 s"),
    ],
)  # fmt: skip
def test_a_verdict(policy, error, attempt, since_s, again, discarded, why):
    verdict = Policy(**policy).judge(error, attempt, since_s)
    assert (verdict.again, verdict.discarded) == (again, discarded) and why in str(verdict.why)


# options


@rows(
    ("backoff", "retry_for", "retries"),
    [(None, None, 4), (exponential(), None, 4), (sidekiq_backoff, None, 25), (None, 60, WITHIN_TIME)],
)
def test_the_retries_of_a_task_that_gives_no_number(backoff, retry_for, retries):
    assert default_retries(backoff, retry_for, service=4) == retries


@rows(
    ("options", "sentence"),
    [
        ({"bakoff": 1}, "task t: there is no option 'bakoff'; did you mean 'backoff'?"),
        ({"backoff": 5}, "task t: backoff is a callable"),
        ({"retry_on": ("TimeoutError",)}, "task t: retry_on is a tuple of exception classes"),
        ({"retry_for": -1}, "task t: retry_for is seconds"), ({"retry_for": True}, "task t: retry_for is seconds"),
        ({"queue": ""}, "task t: queue is the name"),
        ({"on_crash": "explode"}, "task t: on_crash is 'retry' or 'fail', not 'explode'"),
        ({"retry_on": OSError, "discard_on": (OSError, KeyError)}, "OSError cannot be in both"),
    ],
)  # fmt: skip
def test_an_option_that_makes_no_sense_is_refused_in_one_sentence(options, sentence):
    with pytest.raises(errors.Misconfigured) as refused:
        task_options.read("t", options)
    assert sentence in str(refused.value)
    said = task_options.read("t", {"retry_on": OSError, "discard_on": [KeyError, ValueError]})
    assert said == {"retry_on": (OSError,), "discard_on": (KeyError, ValueError)}, "one class, or a list of them"
