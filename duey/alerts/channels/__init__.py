"""The channels: each delivers a message within a deadline, and says in one line what its server answered."""

from __future__ import annotations

from typing import Protocol

from duey.alerts.message import Message
from duey.config import Settings
from duey.config.alerts import QuietHours


class Channel(Protocol):
    """A target of [alerts]. `rules` None: all that are on. During `quiet` hours messages wait."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def rules(self) -> frozenset[str] | None: ...
    @property
    def quiet(self) -> QuietHours | None: ...

    def send(self, message: Message, timeout_s: float) -> str:
        """Deliver the message. Return what the server answered: one short line without secrets.

        Takes at most `timeout_s` seconds in all. Raises ChannelFailed and no other error.
        """
        ...


class ChannelFailed(Exception):
    """The message was not delivered. `answer`: one short line without secrets. `retry_after_s`: what the server asked
    for. `permanent`: another attempt fails in the same way, until the configuration is changed."""

    def __init__(self, answer: str, retry_after_s: float | None = None, permanent: bool = False) -> None:
        self.answer, self.retry_after_s, self.permanent = answer, retry_after_s, permanent
        super().__init__(answer)


def channels_of(settings: Settings) -> dict[str, Channel]:
    """Each channel of [alerts] by its name. Raises Misconfigured with one sentence."""
    return {}
