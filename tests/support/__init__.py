"""What several tests need: `from tests.support import free_port, needs, rounds, rows, wait_until`."""

from tests.support.needs import needs
from tests.support.ports import free_port
from tests.support.rounds import rounds
from tests.support.rows import rows
from tests.support.waiting import wait_until

__all__ = ["free_port", "needs", "rounds", "rows", "wait_until"]
