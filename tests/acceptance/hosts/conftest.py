"""The right to make hosts, and the programs that they run."""

from pathlib import Path

import pytest

from tests.acceptance.hosts.cluster import Programs
from tests.acceptance.hosts.network import find_namespaces
from tests.support import needs
from tests.support.postgres_server import MISSING as POSTGRES_MISSING
from tests.support.postgres_server import postgres_binaries
from tests.support.redis_server import MISSING, redis_binary


@pytest.fixture
def namespaces() -> None:
    needs(*find_namespaces())


@pytest.fixture
def postgres_programs() -> Path:
    return needs(postgres_binaries(), POSTGRES_MISSING)


@pytest.fixture
def programs(namespaces: None, nginx: str, postgres_programs: Path) -> Programs:
    return Programs(needs(redis_binary(), MISSING), nginx, postgres_programs)
