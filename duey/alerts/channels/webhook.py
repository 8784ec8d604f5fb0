"""A webhook: POST JSON, signed per Standard Webhooks when [alerts] webhook_secret is set."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from duey.alerts.channels.contract import TargetChannel, success
from duey.alerts.message import Message, line, plain
from duey.recipes import webhook


@dataclass(frozen=True)
class WebhookChannel(TargetChannel):
    secret: str = field(repr=False)
    kind = "webhook"

    def check(self) -> None:
        if self.secret:
            webhook.sign(self.secret, "id", 0, b"")

    def secrets(self) -> set[str]:
        return super().secrets() | ({self.secret} if self.secret else set())

    def deliver(self, message: Message, timeout_s: float) -> str:
        return success(
            webhook.deliver(
                self.target.address, body_of(message), message_id=message.id, timeout_s=timeout_s, allow_hosts=None,
                secret=self.secret or None,
            )
        )  # fmt: skip


def body_of(message: Message) -> dict[str, Any]:
    """The body as docs/alerts.md describes it. `id` is the incident's, that of the notification if there is none."""
    facts = {label: plain(value) for label, value in message.facts}
    return {
        "type": message.kind,
        "id": message.incident or message.id,
        "rule": message.rule,
        "title": line(message.title),
        "text": message.text,
        "url": message.url,
        "opened_at": _time(message.opened_at),
        "closed_at": _time(message.closed_at),
        "count": message.count,
        "task": facts.get("task"),
        "schedule": facts.get("schedule"),
        "error": facts.get("error"),
    }


def _time(seconds: float | None) -> str | None:
    """RFC 3339 in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
