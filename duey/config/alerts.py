"""The section [alerts]: whom to tell what, and from which threshold on.

A target is one entry of a list: an address, and after it words `name=`, `rules=`, `quiet=` and, for ntfy, `token=`:

    email = ann@example.org, bob@example.org name=bob rules=no_consumer+disk_free quiet=22:00-07:00

Nothing of a target but its name is shown, because the URL of a webhook is its secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from duey.config import values as read
from duey.config.key import key
from duey.config.values import Parser, Refused

# Each rule, and what it tells.
RULES = {
    "error_new": "an error that was never seen before",
    "error_regressed": "an error that came back after it was marked as fixed",
    "error_rate": "an error occurs more often than error_rate_per_hour",
    "job_failed": "a job failed for good",
    "schedule_missed": "a run of a schedule was missed",
    "schedule_failed": "a run of a schedule failed",
    "schedule_late": "a run of a schedule had not started late_s after it was due",
    "schedule_overdue": "a schedule has not succeeded within its interval",
    "queue_age": "the oldest waiting job of a queue has waited longer than queue_age_s",
    "no_consumer": "no consumer has run, or the storage of the queue was away, for no_consumer_s",
    "worker_killed": "a worker process died, or a job was failed because its workers died",
    "disk_free": "less than disk_free_mb is free where the files of the service are",
    "history": "the history could not be recorded for history_s",
    "backup": "the backup failed, or is older than backup_hours",
    "slow_job": "a job runs longer than slow_factor times the p95 of its task",
    "peer": "a service of peers does not answer that it is ready",
}
KINDS = ("email", "webhook", "ntfy", "slack", "apprise")  # the keys that are lists of targets
ALL, NEVER = "all", "never"
_NAMES = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_MAIL = re.compile(r"[^\s@,;:<>()\"\\\[\]]{1,64}@(?=[^@]*\.|localhost$)[^\s@]{1,253}")
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class QuietHours(NamedTuple):
    """From a minute of the day to another, which may be on the next day, in a time zone."""

    start_min: int
    end_min: int
    zone: str = "UTC"

    def end(self, now: float) -> float | None:
        """The instant at which the quiet hours around `now` end, None outside of them. Both in epoch seconds."""
        local = datetime.fromtimestamp(now, ZoneInfo(self.zone))
        minute = local.hour * 60 + local.minute
        if (minute - self.start_min) % 1440 >= (self.end_min - self.start_min) % 1440:
            return None
        day = local + timedelta(days=minute >= self.end_min)
        return day.replace(hour=self.end_min // 60, minute=self.end_min % 60, second=0, microsecond=0).timestamp()


@dataclass(frozen=True)
class Target:
    """One channel as it is configured. `rules` None: those that are on. `quiet` None: not quiet at any time."""

    name: str
    address: str = field(repr=False)
    rules: frozenset[str] | None = None
    quiet: QuietHours | None = None
    token: str = field(default="", repr=False)
    own_quiet: bool = False  # whether `quiet` is its own, instead of that of quiet_hours


def rule(text: str) -> str:
    """The name of a rule."""
    if text not in RULES:
        likely = get_close_matches(text, RULES, n=1, cutoff=0.5)
        hint = f" (did you mean {likely[0]}?)" if likely else ""
        raise Refused("rules of docs/alerts.md", found=f"the rule {text[:40]!r}{hint}")
    return text


def rules(value: str, root: Path) -> frozenset[str]:
    """The rules that are on: `all`, names, and -NAME for all but these."""
    chosen: set[str] = set()
    for entry in filter(None, re.split(r"[,\s]+", value)):
        if entry == ALL:
            chosen |= set(RULES)
        elif entry.startswith("-"):
            chosen -= {rule(entry[1:])}
        else:
            chosen.add(rule(entry))
    return frozenset(chosen)


def quiet_hours(value: str, root: Path) -> QuietHours | None:
    """Quiet hours such as 22:00-07:00, None for nothing."""
    if not value:
        return None
    match = _HOURS.fullmatch(value)
    if match is None or match[0][:5] == match[0][6:]:
        raise Refused("two different times, such as 22:00-07:00, or nothing")
    hour, minute, end_hour, end_minute = map(int, match.groups())
    return QuietHours(hour * 60 + minute, end_hour * 60 + end_minute)


def mail_address(text: str) -> None:
    if not _MAIL.fullmatch(text):
        raise Refused("addresses such as ann@example.org", found=repr(text[:80]))


def web_address(text: str) -> None:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not re.fullmatch(r"[!-~]+", text) or "\\" in text:
        raise Refused("URLs such as https://example.org/hook", found=read.outline(text))
    if parts.username is not None or parts.fragment:
        raise Refused("URLs without user name, password and #", found=read.outline(text))


def topic_address(text: str) -> None:
    web_address(text)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", urlsplit(text).path.rpartition("/")[2]):
        raise Refused("URLs that end in a topic, such as https://ntfy.sh/my-topic", found=read.outline(text))


def apprise_address(text: str) -> None:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://[!-~]+", text):
        raise Refused("URLs of Apprise such as tgram://TOKEN/CHAT", found=read.outline(text))


def targets(kind: str, *further: str) -> Parser:
    """A tuple of Target for a list of `ADDRESS [name=NAME] [rules=RULE+RULE] [quiet=22:00-07:00]`."""
    options = ("name", "rules", "quiet", *further)
    check = {"email": mail_address, "ntfy": topic_address, "apprise": apprise_address}.get(kind, web_address)

    def parse(value: str, root: Path) -> tuple[Target, ...]:
        found: list[Target] = []
        for entry in filter(None, re.split(r"[,\n]\s*", value)):
            default = kind if not found else f"{kind}-{len(found) + 1}"
            found.append(_target(entry.strip(), default, check, options))
        names = [each.name for each in found]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise Refused("each name once", found=f"name={twice} twice")
        return tuple(found)

    return parse


def _target(entry: str, name: str, check: Callable[[str], None], options: tuple[str, ...]) -> Target:
    address, *words = entry.split()
    check(address)
    target = Target(name, address)
    for word in words:
        option, equals, text = word.partition("=")
        if option not in options or not equals or not text:
            raise Refused(f"after an address only {', '.join(f'{each}=' for each in options)}", found=_hidden(word))
        if option == "rules":
            target = replace(target, rules=frozenset(rule(each) for each in text.split("+")))
        elif option == "quiet":
            quiet = None if text == NEVER else quiet_hours(text, Path())
            target = replace(target, quiet=quiet, own_quiet=True)
        elif option == "token":
            target = replace(target, token=text)
        elif not _NAMES.fullmatch(text):
            raise Refused("a name of up to 40 letters, digits or _ . -", found=f"name={text[:60]!r}")
        else:
            target = replace(target, name=text)
    return target


def _hidden(word: str) -> str:
    """The option that a word names. What follows may be a secret."""
    return f"the option {word.partition('=')[0][:20]!r}" if "=" in word else "a word without ="


_LIST = "ADDRESS, then name=, rules=, quiet= as docs/alerts.md says"
_url = read.secret_url("URLs such as https://other.example.org/readyz")
_or_off = "; empty: the rule is off"


def optional(parse: Parser) -> Parser:
    """The value of `parse`, None for an empty text."""

    def parse_or_none(value: str, root: Path) -> object:
        return read.or_empty(parse)(value, root) if value else None

    return parse_or_none


@dataclass(frozen=True)
class Alerts:
    """Whom to tell what, and from which threshold on. docs/alerts.md has an example for each channel."""

    email: tuple[Target, ...] = key("", targets("email"), f"mail addresses; [smtp] names the server. {_LIST}")
    webhook: tuple[Target, ...] = key("", targets("webhook"), f"URLs that get JSON by POST. {_LIST}", True)
    webhook_secret: str = key("", read.text, "if set, what is sent to webhook is signed with it", True)
    ntfy: tuple[Target, ...] = key("", targets("ntfy", "token"), f"URLs of ntfy topics. {_LIST}, and token=", True)
    slack: tuple[Target, ...] = key(
        "", targets("slack"), f"URLs of incoming webhooks of Slack, Mattermost or Discord. {_LIST}", True
    )
    apprise: tuple[Target, ...] = key(
        "", targets("apprise"), f"URLs of Apprise, which the extra duey[alerts] installs. {_LIST}", True
    )
    rules: frozenset[str] = key("all", rules, "rules that are on: all, names of rules, -NAME for all but that one")
    queue_age_s: float = key(
        "600", read.number(1, "seconds"), "rule queue_age: how long the oldest waiting job of a queue may wait"
    )
    no_consumer_s: float = key(
        "60", read.number(1, "seconds"), "rule no_consumer: how long no consumer may run, or the storage be away"
    )
    late_s: float = key("300", read.number(1, "seconds"), "rule schedule_late: how late a run may start")
    disk_free_mb: int = key("512", read.whole(1), "rule disk_free: how much must be free")
    history_s: float = key("300", read.number(1, "seconds"), "rule history: how long events may remain unrecorded")
    error_rate_per_hour: int | None = key(
        "", optional(read.whole(1)), "rule error_rate: how often one error may occur within an hour" + _or_off
    )
    backup_hours: float | None = key(
        "", optional(read.number(1, "hours")), "rule backup: how old the newest backup may be" + _or_off
    )
    slow_factor: float | None = key(
        "", optional(read.number(1, "times p95")), "rule slow_job: how many times its p95 a job may run" + _or_off
    )
    repeat_s: float = key("21600", read.number(60, "seconds"), "an incident that stays open is told again after this")
    flips_per_hour: int = key("6", read.whole(2), "a rule that opens and closes more often becomes one incident")
    cap_per_hour: int = key("20", read.whole(1), "messages of one channel within an hour; further ones become a digest")
    quiet_hours: QuietHours | None = key(
        "", quiet_hours, "when channels without quiet= wait, in [schedule] timezone, for example 22:00-07:00"
    )
    drill: str = key("off", read.choice("off", "weekly"), "weekly: a fire drill through every channel each week")
    peers: tuple[str, ...] = key("", read.entries(_url), "rule peer: URLs of /readyz of other services to watch", True)
