"""The section [alerts]: targets, rules and quiet hours."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from duey import config
from duey.config.alerts import RULES, QuietHours, Target
from duey.config.table import table
from duey.config.values import Refused
from tests.support import rows

KEYS = {key.name: key for key in table() if key.section == "alerts"}
SECRET = "s3cretT0ken"
NIGHT = QuietHours(22 * 60, 7 * 60)


def read(name, text):
    return KEYS[name].parse(text, Path("/srv/duey"))


@rows(
    ("name", "text", "value"),
    [
        ("email", "ann@example.org", (Target("email", "ann@example.org"),)),
        ("email", "a@x.org, b@x.org,\nc@x.org name=c",
         (Target("email", "a@x.org"), Target("email-2", "b@x.org"), Target("c", "c@x.org"))),
        ("webhook", "http://10.0.0.7:8080/x?y=z rules=queue_age+disk_free",
         (Target("webhook", "http://10.0.0.7:8080/x?y=z", frozenset({"queue_age", "disk_free"})),)),
        ("slack", "https://hooks.slack.com/services/T/B/x quiet=22:00-07:00 name=ops",
         (Target("ops", "https://hooks.slack.com/services/T/B/x", None, NIGHT, own_quiet=True),)),
        ("slack", "https://chat.example.org/hooks/x quiet=never",
         (Target("slack", "https://chat.example.org/hooks/x", own_quiet=True),)),
        ("ntfy", "https://ntfy.sh/my_t-1 token=tk", (Target("ntfy", "https://ntfy.sh/my_t-1", token="tk"),)),
        ("apprise", "tgram://1:2/3/", (Target("apprise", "tgram://1:2/3/"),)),
        ("rules", "all", frozenset(RULES)), ("rules", "", frozenset()),
        ("rules", "queue_age, disk_free", frozenset({"queue_age", "disk_free"})),
        ("rules", "all, -backup", frozenset(RULES) - {"backup"}),
        ("quiet_hours", "22:00-07:00", NIGHT), ("quiet_hours", "", None),
        ("error_rate_per_hour", "", None), ("error_rate_per_hour", "5", 5), ("slow_factor", "2.5", 2.5),
        ("peers", "https://b.example.org/readyz", ("https://b.example.org/readyz",)),
    ],
)  # fmt: skip
def test_accepted(name, text, value):
    assert read(name, text) == value


@rows(
    ("name", "text", "found"),
    [
        ("email", "ann", "'ann'"), ("email", "Ann <ann@x.org>", "'Ann'"), ("email", "ann@x", "'ann@x'"),
        ("email", "a@x.org b@x.org", "a word without ="), ("email", "a@x.org name=", "'name'"),
        ("email", "a@x.org name=a/b", "name='a/b'"), ("email", "a@x.org name=b, b@x.org name=b", "name=b twice"),
        ("email", "a@x.org token=x", "'token'"), ("email", "a@x.org rules=queue_aeg", "did you mean queue_age?"),
        ("email", "a@x.org quiet=25:00-07:00", ""), ("email", "a@x.org quiet=07:00-07:00", ""),
        ("webhook", f"htp://example.org/{SECRET}", "scheme 'htp'"), ("webhook", f"example.org/{SECRET}", "without ://"),
        ("webhook", f"https://u:{SECRET}@example.org/", "'https'"), ("webhook", f"https://x:99999/{SECRET}", "'https'"),
        ("webhook", f"https://example.org/{SECRET} {SECRET}", "a word without ="),
        ("webhook", f"https://example.org/#{SECRET}", "'https'"), ("slack", f"https:///{SECRET}", "'https'"),
        ("ntfy", "https://ntfy.sh/", "'https'"), ("ntfy", f"https://ntfy.sh/a.{SECRET}", "'https'"),
        ("apprise", SECRET, "without ://"), ("rules", "everything", "the rule 'everything'"),
        ("rules", "all, -backups", "did you mean backup?"), ("quiet_hours", "10-12", ""), ("quiet_hours", "never", ""),
        ("drill", "daily", ""), ("peers", "other.example.org", ""), ("cap_per_hour", "0", ""), ("repeat_s", "1", ""),
    ],
)  # fmt: skip
def test_refused_in_words_that_hold_no_secret(name, text, found):
    with pytest.raises(Refused) as refused:
        read(name, text)
    assert found in refused.value.found
    if name in ("webhook", "slack", "ntfy", "apprise"):
        assert refused.value.found and SECRET not in refused.value.found + refused.value.expected


def test_what_does_not_fit_together_is_one_sentence(tmp_path):
    path = tmp_path / "config.ini"
    path.write_text("[alerts]\nemail = a@x.org name=one\nwebhook = https://x.org/a name=one\n")
    with pytest.raises(config.ConfigError) as error:
        config.load(path, {})
    assert [each.partition(": [alerts] ")[2] for each in error.value.errors] == [
        "email: expected [smtp] host and sender to be set, found none; set both.",
        "webhook: expected names that no other channel has, found one again.",
    ]


@rows(
    ("quiet", "now", "end"),
    [
        (NIGHT, "2026-03-01 21:59:59", None), (NIGHT, "2026-03-01 22:00:00", "2026-03-02 07:00:00"),
        (NIGHT, "2026-03-02 06:59:59", "2026-03-02 07:00:00"), (NIGHT, "2026-03-02 07:00:00", None),
        (QuietHours(60, 300), "2026-03-02 03:00:00", "2026-03-02 05:00:00"),
        (QuietHours(60, 300), "2026-03-02 00:30:00", None),
        # The clocks are put forward at 02:00: 5 h, not 6.
        (NIGHT._replace(zone="Europe/Zagreb"), "2026-03-29 01:00:00", "2026-03-29 07:00:00"),
    ],
)  # fmt: skip
def test_quiet_hours_end_at_the_clock_of_their_zone(quiet, now, end):
    zone = ZoneInfo(quiet.zone)
    at = datetime.fromisoformat(now).replace(tzinfo=zone).timestamp()
    assert quiet.end(at) == (end and datetime.fromisoformat(end).replace(tzinfo=zone).timestamp())
