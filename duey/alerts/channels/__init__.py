"""The channels: each delivers a message within a deadline, and says in one line what its server answered."""

from __future__ import annotations

from dataclasses import replace

from duey.alerts.channels.apprise_urls import AppriseChannel
from duey.alerts.channels.chat import ChatChannel
from duey.alerts.channels.contract import Channel, ChannelFailed, TargetChannel
from duey.alerts.channels.mail import MailChannel
from duey.alerts.channels.ntfy import NtfyChannel
from duey.alerts.channels.webhook import WebhookChannel
from duey.config import Settings
from duey.errors import Misconfigured
from duey.recipes import Refused, Unavailable

__all__ = ["Channel", "ChannelFailed", "channels_of"]


def channels_of(settings: Settings) -> dict[str, Channel]:
    """Each channel of [alerts] by its name. Raises Misconfigured with one sentence."""
    alerts = settings.alerts
    found: list[TargetChannel] = [
        *(MailChannel(target, settings.smtp) for target in alerts.email),
        *(WebhookChannel(target, alerts.webhook_secret) for target in alerts.webhook),
        *(NtfyChannel(target) for target in alerts.ntfy),
        *(ChatChannel(target) for target in alerts.slack),
        *(AppriseChannel(target) for target in alerts.apprise),
    ]
    channels: dict[str, Channel] = {}
    for channel in found:
        try:
            channel.check()
        except (Refused, Unavailable) as error:
            raise Misconfigured(f"[alerts] {channel.kind}, channel {channel.name}: {error}") from None
        target = channel.target
        quiet = target.quiet if target.own_quiet else alerts.quiet_hours
        if quiet is not None:
            quiet = quiet._replace(zone=settings.schedule.timezone)
        channels[channel.name] = replace(channel, target=replace(target, quiet=quiet))
    return channels
