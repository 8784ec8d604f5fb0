"""The right to make hosts, and the programs that they run."""

import pytest

from tests.acceptance.hosts.cluster import Programs
from tests.acceptance.hosts.network import find_namespaces
from tests.support import needs
from tests.support.redis_server import MISSING, redis_binary


@pytest.fixture
def namespaces() -> None:
    needs(*find_namespaces())


@pytest.fixture
def programs(namespaces: None, nginx: str) -> Programs:
    return Programs(needs(redis_binary(), MISSING), nginx)
