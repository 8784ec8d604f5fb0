"""What the keeper remembers of acceptances while it pairs them with successes: all of them, in little room."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from duey.storage.compaction import Acceptances

JOBS = st.integers(0, 400)


@given(st.lists(st.one_of(st.tuples(JOBS, st.integers(1, 2**62)), JOBS)))
def test_it_is_a_dict_of_numbers(steps):
    found, wanted = Acceptances(), {}
    for step in steps:
        if isinstance(step, tuple):
            found.put(*step)
            wanted[step[0]] = step[1]
        else:
            assert found.take(step) == wanted.pop(step, 0)
    assert len(found._pages) == len({job // Acceptances.PAGE for job in wanted}), "a page that is empty goes"
    assert {job: found.take(job) for job in list(wanted)} == wanted
    assert not found._pages


def test_a_job_among_many_takes_a_few_bytes():
    tracemalloc.start()
    try:
        found = Acceptances()
        for job in range(20_000):
            found.put(job, 10**6 + job)
        assert tracemalloc.get_traced_memory()[0] < 20 * 20_000
    finally:
        tracemalloc.stop()
