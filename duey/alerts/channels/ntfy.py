"""ntfy: a push message to a topic. https://docs.ntfy.sh/publish/#publish-as-json"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from duey.alerts.channels.contract import TargetChannel, post_json
from duey.alerts.message import NO_LINK, Message, clip

LONGEST_BYTES = 4000  # a longer message becomes an attachment; ntfy's own limit is 4,096
LONGEST_TITLE = 200
PRIORITIES = {"bad": 4, "info": 3, "ok": 2}  # 5 would sound until somebody picks up the phone
TAGS = {"bad": "rotating_light", "info": "information_source", "ok": "white_check_mark"}


@dataclass(frozen=True)
class NtfyChannel(TargetChannel):
    kind = "ntfy"

    def deliver(self, message: Message, timeout_s: float) -> str:
        parts = urlsplit(self.target.address)
        path, _, topic = parts.path.rpartition("/")
        headers = {"authorization": f"Bearer {self.target.token}"} if self.target.token else {}
        server = urlunsplit(parts._replace(path=f"{path}/"))
        return post_json(server, {"topic": topic, **body_of(message)}, timeout_s, headers)


def body_of(message: Message) -> dict[str, Any]:
    """The message without its topic."""
    text = message.text if message.url else f"{message.text}\n\n{NO_LINK}"
    drill = ["test_tube"] if message.kind == "drill" else []
    body: dict[str, Any] = {
        "title": clip(message.subject, LONGEST_TITLE),
        "message": text.encode()[:LONGEST_BYTES].decode(errors="ignore"),
        "priority": PRIORITIES[message.severity],
        "tags": [TAGS[message.severity], *drill],
    }
    return body | ({"click": message.url} if message.url else {})
