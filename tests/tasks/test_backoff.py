"""What a task's policy says of a failed attempt, and how long the back-offs wait."""

from __future__ import annotations

import math
import os
import sys
import time

import pytest

from duey import errors, exponential, sidekiq_backoff
from duey.tasks import options as task_options
from duey.tasks.retry import LONGEST_S, WITHIN_TIME, Policy, default_retries, delay_of
from tests.support import rows

BOOM = ValueError("boom")


# back-offs


@rows(("attempt", "seconds"), [(1, 2), (2, 6), (3, 18), (4, 54), (5, 100), (6, 100), (5000, 100)])
def test_exponential_without_jitter_is_the_formula(attempt, seconds):
    assert exponential(2, 3, 100, 0)(attempt, BOOM) == seconds


def test_exponential_takes_no_more_than_its_jitter_away():
    backoff = exponential(base_s=10, factor=2, cap_s=1000, jitter=0.25)
    delays = [backoff(3, BOOM) for _ in range(500)]
    assert 30 <= min(delays) < 31 and 39 < max(delays) <= 40


def test_a_hundred_that_failed_together_do_not_return_together():
    backoff = exponential(base_s=10)
    delays = sorted(backoff(1, BOOM) for _ in range(100))
    assert max(sum(1 for d in delays if start <= d < start + 1) for start in delays) < 60


@rows("wrong", [(-1, 2, 10, 0), (1, 0.5, 10, 0), (1, 2, -1, 0), (1, 2, 10, 2), (math.nan, 2, 10, 0)])
def test_exponential_refuses_what_makes_no_sense(wrong):
    with pytest.raises(ValueError, match="expected base_s"):
        exponential(*wrong)


@rows("attempt", [1, 2, 3, 10, 25])
def test_sidekiq_s_delays_are_its_formula(attempt):
    n = attempt - 1
    chances = {n**4 + 15 + r * (n + 1) for r in range(10)}
    assert {sidekiq_backoff(attempt, BOOM) for _ in range(300)} == chances


def test_sidekiq_s_25_retries_take_about_three_weeks():
    days = sum(sidekiq_backoff(attempt, BOOM) for attempt in range(1, 26)) / 86400
    assert 20 < days < 21.5


# delay_of: a back-off is the author's code


def test_a_back_off_that_fails_or_says_nonsense_falls_back_to_the_retry_delay():
    def broken(attempt, error):
        raise KeyError(attempt)

    assert delay_of(broken, 1, BOOM) is None
    assert delay_of(lambda attempt, error: math.nan, 1, BOOM) is None
    assert delay_of(lambda attempt, error: "soon", 1, BOOM) is None


def test_a_delay_is_neither_negative_nor_endless():
    assert delay_of(lambda attempt, error: -5, 1, BOOM) == 0
    assert delay_of(lambda attempt, error: math.inf, 1, BOOM) == LONGEST_S


def test_a_back_off_is_told_the_number_of_the_failure_and_the_error():
    assert delay_of(lambda attempt, error: attempt * 10 + len(str(error)), 3, BOOM) == 34


def test_a_back_off_that_is_asked_apart_harms_nobody():
    """A consumer's parent asks it, after a time-out that it had to end by a kill."""
    asked = []
    harms = {
        "exits": lambda attempt, error: os._exit(0), "kills": lambda attempt, error: os.kill(os.getpid(), 9),
        "raises": lambda attempt, error: sys.exit("no"), "sleeps": lambda attempt, error: time.sleep(60),
        "says nonsense": lambda attempt, error: "soon",
    }  # fmt: skip
    for name, harm in harms.items():
        since = time.monotonic()
        assert delay_of(harm, 1, BOOM, apart=True) is None, name
        assert time.monotonic() - since < 30, name
    assert delay_of(lambda attempt, error: asked.append(1) or attempt + 0.5, 2, BOOM, apart=True) == 2.5
    assert asked == [], "it was called in another process"


# judging


def test_without_lists_every_error_is_tried_again():
    assert Policy().judge(KeyboardInterrupt(), 1, 0).again


@rows(
    ("error", "again", "discarded"),
    [
        (ConnectionError(), True, False),
        (ConnectionResetError(), False, True),  # nearer to discard_on
        (BrokenPipeError(), True, False),
        (OSError(), False, True),
        (ValueError(), False, False),
    ],
)
def test_the_most_specific_class_wins(error, again, discarded):
    policy = Policy(retry_on=(ConnectionError,), discard_on=(OSError, ConnectionResetError))
    verdict = policy.judge(error, 1, 0)
    assert (verdict.again, verdict.discarded) == (again, discarded)


def test_discard_on_alone_leaves_the_others_to_their_retries():
    policy = Policy(discard_on=(LookupError,))
    assert not policy.judge(KeyError(), 1, 0).again
    assert policy.judge(ValueError(), 1, 0).again


def test_a_verdict_says_why():
    assert Policy(discard_on=(LookupError,)).judge(KeyError(), 1, 0).why == "discard_on names LookupError"
    assert Policy(retry_on=(OSError,)).judge(KeyError(), 1, 0).why == "retry_on does not name KeyError"
    assert "retry_for=60 s" in str(Policy(retry_for=60).judge(KeyError(), 9, 60).why)


def test_retry_for_ends_by_the_time_since_the_first_failure():
    policy = Policy(retry_for=60)
    assert policy.judge(BOOM, 500, 59.9).again
    assert not policy.judge(BOOM, 2, 60).again


@rows(
    ("backoff", "retry_for", "retries"),
    [(None, None, 4), (exponential(), None, 4), (sidekiq_backoff, None, 25), (None, 60, WITHIN_TIME)],
)
def test_the_retries_of_a_task_that_gives_no_number(backoff, retry_for, retries):
    assert default_retries(backoff, retry_for, service=4) == retries


# options


@rows(
    ("options", "sentence"),
    [
        ({"bakoff": 1}, "task t: there is no option 'bakoff'; did you mean 'backoff'?"),
        ({"backoff": 5}, "task t: backoff is a callable"),
        ({"retry_on": ("TimeoutError",)}, "task t: retry_on is a tuple of exception classes"),
        ({"retry_for": -1}, "task t: retry_for is seconds"),
        ({"retry_for": True}, "task t: retry_for is seconds"),
        ({"queue": ""}, "task t: queue is the name"),
        ({"on_crash": "explode"}, "task t: on_crash is 'retry' or 'fail', not 'explode'"),
        ({"retry_on": OSError, "discard_on": (OSError, KeyError)}, "OSError cannot be in both"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_in_one_sentence(options, sentence):
    with pytest.raises(errors.Misconfigured) as refused:
        task_options.read("t", options)
    assert str(refused.value).startswith(sentence) or sentence in str(refused.value)


def test_one_class_or_a_list_of_them_is_taken_for_the_tuple_that_is_meant():
    said = task_options.read("t", {"retry_on": OSError, "discard_on": [KeyError, ValueError]})
    assert said == {"retry_on": (OSError,), "discard_on": (KeyError, ValueError)}
