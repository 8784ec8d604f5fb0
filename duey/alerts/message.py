"""What a channel delivers: one message about an incident, a digest, or a drill."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["incident.opened", "incident.updated", "incident.closed", "digest", "drill"]
Severity = Literal["bad", "ok", "info"]
NO_LINK = "Set [web] public_url to get a link to the incident here."
# Controls, marks that turn the direction of text, and halves of surrogate pairs, which no channel can encode.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True)
class Message:
    """One message, as every channel gets it. Its texts come from tasks and errors, so that they are hostile.

    `id` is that of the notification and the same at each attempt. `title` is one line. `facts` are labels and values
    in the order in which they are shown; those labeled `task`, `schedule` and `error` are fields of a webhook, too.
    Times are epoch seconds.
    """

    kind: Kind
    id: str
    incident: str | None
    rule: str
    title: str
    lines: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    url: str | None
    at: float
    deployment: str
    opened_at: float | None
    closed_at: float | None
    count: int
    severity: Severity

    @property
    def subject(self) -> str:
        """One line that names the deployment and, for a drill, says that it is one."""
        drill = "DRILL: " if self.kind == "drill" else ""
        return f"[{line(self.deployment)}] {drill}{line(self.title)}"

    @property
    def text(self) -> str:
        """The lines and facts as plain text, without the link."""
        facts = [f"{line(label)}: {plain(value)}" for label, value in self.facts]
        return "\n\n".join("\n".join(each) for each in ([plain(each) for each in self.lines], facts) if each)

    @property
    def link(self) -> str:
        """The address of the page about it, or how to get one."""
        return self.url or NO_LINK


def plain(text: str) -> str:
    """The text without characters that cannot be shown. Tabs and line breaks stay."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def line(text: str) -> str:
    """The text on one line."""
    return " ".join(plain(text).split())


def clip(text: str, limit: int) -> str:
    """The text with at most so many characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
