"""What every channel is: a target of [alerts] that delivers a message within a deadline."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol
from urllib.parse import unquote, urlsplit

from duey.alerts.message import Message, clip, line
from duey.config.alerts import QuietHours, Target
from duey.recipes import Refused, Unavailable, http

logger = logging.getLogger(__name__)
LONGEST_ANSWER = 200
_SHORTEST_SECRET = 6  # shorter parts of a URL are words such as `api`


class Channel(Protocol):
    """A target of [alerts]. `rules` None: all that are on. During `quiet` hours messages wait."""

    kind: ClassVar[str]

    @property
    def name(self) -> str: ...
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


@dataclass(frozen=True)
class TargetChannel:
    """A channel for one target. The class below it delivers, and raises Refused or Unavailable where it cannot."""

    target: Target
    kind: ClassVar[str]

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def rules(self) -> frozenset[str] | None:
        return self.target.rules

    @property
    def quiet(self) -> QuietHours | None:
        return self.target.quiet

    def send(self, message: Message, timeout_s: float) -> str:
        try:
            return self._shown(self.deliver(message, timeout_s))
        except Refused as error:
            raise ChannelFailed(self._shown(str(error)), permanent=True) from None
        except Unavailable as error:
            raise ChannelFailed(self._shown(str(error)), error.retry_after_s) from None
        except Exception as error:  # a fault of ours in one channel must not stop the others
            logger.exception("the channel %s cannot send", self.name)
            raise ChannelFailed(f"a fault of Duey: {type(error).__name__}; the log says more") from None

    def check(self) -> None:
        """Raise Refused or Unavailable, with what to do, if the channel cannot work as it is configured."""

    def deliver(self, message: Message, timeout_s: float) -> str:
        """Send the message and return the server's answer."""
        raise NotImplementedError

    def secrets(self) -> set[str]:
        """What no answer may show: by default every part of the URL that is not its host."""
        parts = urlsplit(self.target.address)
        found = {self.target.token, *re.split(r"[/?&=;:,@]", f"{parts.path}?{parts.query}")}
        return {spelling for part in found for spelling in (part, unquote(part)) if len(part) >= _SHORTEST_SECRET}

    def _shown(self, answer: str) -> str:
        # A server's page about an error often repeats the path, which is the secret of a webhook.
        for secret in sorted(self.secrets(), key=len, reverse=True):
            answer = re.sub(re.escape(secret), "***", answer, flags=re.IGNORECASE)
        return clip(line(answer), LONGEST_ANSWER)


def post_json(url: str, body: Any, timeout_s: float, headers: dict[str, str] | None = None) -> str:
    """POST JSON to the operator's own URL, whose host may be private. Raises Refused and Unavailable."""
    content = json.dumps(body).encode()
    headers = {"content-type": "application/json", **(headers or {})}
    answer = http.request("POST", url, body=content, headers=headers, timeout_s=timeout_s, allow_hosts=None)
    return success(answer)


def success(answer: http.Answer) -> str:
    """What is shown of an answer that is a success. Its text is not: it may repeat what was sent."""
    return f"answered {answer.status} in {answer.ms:.0f} ms"
