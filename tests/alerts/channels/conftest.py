"""Channels as config.ini makes them, and a message for them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from duey import config
from duey.alerts.channels import Channel, channels_of
from duey.alerts.message import Message
from tests.recipes.conftest import authority
from tests.recipes.http_peer import HttpPeer

__all__ = ["authority"]
Load = Callable[..., dict[str, Channel]]

MESSAGE = Message(
    kind="incident.opened",
    id="n-1",
    incident="i-7",
    rule="job_failed",
    title="send_report failed",
    lines=("The job failed for good after 3 attempts.",),
    facts=(("task", "send_report"), ("error", "ValueError: 3 > 2 & @all"), ("host", "web-1")),
    url="https://duey.example.org/monitor/alerts/i-7",
    at=1_800_000_000.0,
    deployment="Shop",
    opened_at=1_799_999_990.5,
    closed_at=None,
    count=3,
    severity="bad",
)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """load("email = a@x.org", smtp="port = 25"): the channels of such a config.ini."""

    def channels(alerts: str, smtp: str = "", sender: str = "Duey <duey@example.org>") -> dict[str, Channel]:
        mail = f"[smtp]\nhost = 127.0.0.1\nsender = {sender}\nstarttls = no\n{smtp}\n"
        (tmp_path / "config.ini").write_text(f"[schedule]\ntimezone = Europe/Zagreb\n{mail}[alerts]\n{alerts}\n")
        return channels_of(config.load(tmp_path / "config.ini", {}))

    return channels


@pytest.fixture
def peer() -> Iterator[HttpPeer]:
    with HttpPeer() as server:
        yield server
