"""On the path of a host whose clock is wrong: Python's clock is, by so many seconds. The steady ones are right."""

import os
import time

_right, _right_ns, _ahead_s = time.time, time.time_ns, int(os.environ["DUEY_TEST_AHEAD_S"])
time.time = lambda: _right() + _ahead_s
time.time_ns = lambda: _right_ns() + _ahead_s * 10**9
