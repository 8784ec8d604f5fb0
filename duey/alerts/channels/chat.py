"""Incoming webhooks of Slack, Mattermost and Discord, and of what understands those of Mattermost, such as Rocket.Chat.

Which of them it is, the host of the URL says. Texts are escaped, so that they neither format nor notify anybody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from duey.alerts.channels.contract import TargetChannel, post_json
from duey.alerts.message import NO_LINK, Message, clip

COLORS = {"bad": 0xD1242F, "info": 0x57606A, "ok": 0x1A7F37}
LONGEST_TITLE = 150
LONGEST_TEXT = 2800  # Slack's limit for a block is 3,000, Discord's for an embed 4,096
LINK = "Open the incident in Duey"


@dataclass(frozen=True)
class ChatChannel(TargetChannel):
    kind = "slack"

    def deliver(self, message: Message, timeout_s: float) -> str:
        host = urlsplit(self.target.address).hostname or ""
        return post_json(self.target.address, preset(host)(message), timeout_s)


def preset(host: str) -> Any:
    """The function that makes the body for the service on this host."""
    if re.fullmatch(r"([\w-]+\.)?discord(app)?\.com", host):
        return discord
    return slack if re.fullmatch(r"hooks\.slack(-gov)?\.com", host) else mattermost


def slack(message: Message) -> dict[str, Any]:
    """https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks"""
    blocks: list[dict[str, Any]] = []
    if text := clip(message.text, LONGEST_TEXT):
        blocks.append({"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}})
    # With <, > and | a text could end the link or mention a whole channel.
    link = f"<{message.url}|{LINK}>" if message.url else _slack_escaped(NO_LINK)
    blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": link}})
    color = f"#{COLORS[message.severity]:06x}"
    title = clip(message.subject, LONGEST_TITLE)
    return {"text": _slack_escaped(title), "attachments": [{"color": color, "blocks": blocks, "fallback": title}]}


def mattermost(message: Message) -> dict[str, Any]:
    """https://developers.mattermost.com/integrate/webhooks/incoming/"""
    title = clip(message.subject, LONGEST_TITLE)
    link = f"[{LINK}]({message.url})" if message.url else NO_LINK
    text = "\n\n".join(filter(None, (_markdown_escaped(clip(message.text, LONGEST_TEXT)), link)))
    color = f"#{COLORS[message.severity]:06x}"
    return {"attachments": [{"fallback": title, "color": color, "title": _markdown_escaped(title), "text": text}]}


def discord(message: Message) -> dict[str, Any]:
    """https://docs.discord.com/developers/resources/webhook#execute-webhook"""
    text = _markdown_escaped(clip(message.text, LONGEST_TEXT)) + ("" if message.url else f"\n\n{NO_LINK}")
    embed = {
        "title": _markdown_escaped(clip(message.subject, LONGEST_TITLE)),
        "description": clip(text, 4096),
        "color": COLORS[message.severity],
    }
    return {"embeds": [embed | ({"url": message.url} if message.url else {})], "allowed_mentions": {"parse": []}}


def _slack_escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _markdown_escaped(text: str) -> str:
    # A mark without width after @ keeps @all and @channel from notifying everybody.
    return re.sub(r"([\\`*_{}\[\]()#+!|~<>-])", r"\\\1", text).replace("@", "@\u200b")
