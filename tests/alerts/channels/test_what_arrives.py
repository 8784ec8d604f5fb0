"""What each channel sends to a real server, and what it says of the answer."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace

import pytest

from duey.alerts.channels.chat import preset
from duey.errors import Misconfigured
from tests.alerts.channels.conftest import MESSAGE, Load
from tests.recipes.http_peer import HttpPeer
from tests.recipes.smtp_peer import SmtpPeer
from tests.support import rows

HOSTILE = "<b>\x1b[31m</b> \u202eevil\r\nBcc: eve@example.org \ud800 <!channel> @all [x](javascript:1)"
HOSTILE_MESSAGE = replace(
    MESSAGE, title=HOSTILE, lines=(HOSTILE * 200,), facts=((HOSTILE, HOSTILE),), deployment=HOSTILE, url=None
)
KINDS = ("webhook", "ntfy", "slack")


def test_mail_has_a_text_a_small_page_and_an_id_that_stays(load: Load) -> None:
    with SmtpPeer() as smtp:
        (channel,) = load("email = ann@example.org", f"port = {smtp.port}").values()
        assert [channel.send(MESSAGE, 5).startswith("250 taken") for _ in range(2)] == [True, True]
    first, second = (taken.message for taken in smtp.taken)
    assert (first["Subject"], first["To"]) == ("[Shop] send_report failed", "ann@example.org")
    assert first["Message-ID"] == second["Message-ID"] == "<n-1@example.org>"
    assert first["References"] == "<incident-i-7@example.org>"
    text, page = (first.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert MESSAGE.lines[0] in text and "error: ValueError: 3 > 2 & @all" in text and MESSAGE.url in text
    assert f'<a href="{MESSAGE.url}">' in page and "3 &gt; 2 &amp; @all" in page and len(page) < 3000


def test_a_webhook_gets_the_body_of_the_documents_signed(load: Load, peer: HttpPeer) -> None:
    key = b"0123456789abcdef01234567"
    secret = f"whsec_{base64.b64encode(key).decode()}"
    (channel,) = load(f"webhook = {peer.url()}?a=b\nwebhook_secret = {secret}").values()
    assert channel.send(MESSAGE, 5).startswith("answered 200 in ")
    (received,) = peer.received
    assert json.loads(received.body) == {
        "type": "incident.opened", "id": "i-7", "rule": "job_failed", "title": "send_report failed",
        "text": "The job failed for good after 3 attempts.\n\n"
        "task: send_report\nerror: ValueError: 3 > 2 & @all\nhost: web-1",
        "url": MESSAGE.url, "opened_at": "2027-01-15T07:59:50.500Z", "closed_at": None, "count": 3,
        "task": "send_report", "schedule": None, "error": "ValueError: 3 > 2 & @all",
    }  # fmt: skip
    head = received.headers
    signed = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + received.body
    assert head["webhook-id"] == "n-1" and received.path == "/hook?a=b"
    assert head["webhook-signature"] == "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def test_ntfy_gets_title_priority_tags_and_a_click(load: Load, peer: HttpPeer) -> None:
    (channel,) = load(f"ntfy = {peer.url(path='/push/duey-1')} token=tk_secret1").values()
    channel.send(MESSAGE, 5)
    channel.send(replace(MESSAGE, kind="drill", severity="ok", url=None), 5)
    first, second = (json.loads(received.body) for received in peer.received)
    assert peer.received[0].path == "/push/" and peer.received[0].headers["authorization"] == "Bearer tk_secret1"
    assert first == {
        "topic": "duey-1", "title": "[Shop] send_report failed", "message": MESSAGE.text, "priority": 4,
        "tags": ["rotating_light"], "click": MESSAGE.url,
    }  # fmt: skip
    assert (second["title"], second["tags"]) == ("[Shop] DRILL: send_report failed", ["white_check_mark", "test_tube"])
    assert "click" not in second and "Set [web] public_url" in second["message"]


@rows(
    ("host", "expected"),
    [
        ("hooks.slack.com", {
            "text": "[Shop] a &lt;!channel&gt; @all",
            "attachments": [{"color": "#d1242f", "fallback": "[Shop] a <!channel> @all", "blocks": [
                {"type": "section", "text": {"type": "plain_text", "text": "*b*", "emoji": False}},
                {"type": "section", "text": {"type": "mrkdwn", "text": "<https://x.org/1|Open the incident in Duey>"}},
            ]}],
        }),
        ("chat.example.org", {"attachments": [{
            "fallback": "[Shop] a <!channel> @all", "color": "#d1242f",
            "title": "\\[Shop\\] a \\<\\!channel\\> @\u200ball",
            "text": "\\*b\\*\n\n[Open the incident in Duey](https://x.org/1)",
        }]}),
        ("discord.com", {"embeds": [{
            "title": "\\[Shop\\] a \\<\\!channel\\> @\u200ball", "description": "\\*b\\*", "color": 0xD1242F,
            "url": "https://x.org/1",
        }], "allowed_mentions": {"parse": []}}),
    ],
)  # fmt: skip
def test_each_chat_gets_what_it_understands_and_no_mention(host: str, expected: object) -> None:
    message = replace(MESSAGE, title="a <!channel> @all", lines=("*b*",), facts=(), url="https://x.org/1")
    assert preset(host)(message) == expected
    assert preset("ptb.discord.com") is preset("discordapp.com") is preset("discord.com")
    assert preset("evildiscord.com") is preset("hooks.slack.com.example.org") is preset("rocket.example.org")


def test_a_hostile_text_is_sent_as_text_within_the_limits(load: Load, peer: HttpPeer) -> None:
    with SmtpPeer() as smtp:
        lines = "\n".join(f"{kind} = {peer.url()}" for kind in KINDS)
        channels = load(f"email = ann@example.org\n{lines}", f"port = {smtp.port}")
        assert list(channels) == ["email", *KINDS]
        for channel in channels.values():
            channel.send(HOSTILE_MESSAGE, 5)
    (mail,) = smtp.taken
    assert mail.recipients == ["ann@example.org"] and mail.message["Bcc"] is None
    page = mail.message.get_body(("html",)).get_content()
    assert "<b>" not in page and "\x1b" not in page + mail.message["Subject"] and len(mail.message["Subject"]) <= 200
    for received in peer.received:
        text = received.body.decode()
        assert not any(code in json.loads(text).get("title", "") for code in ("\x1b", "\n", "\u202e"))
        assert "\\u001b" not in text and "\\u202e" not in text and "\\ud800" not in text
    assert len(json.loads(peer.received[1].body)["message"].encode()) <= 4000
    assert len(json.loads(peer.received[2].body)["attachments"][0]["text"]) < 8000


def test_channels_have_the_rules_and_quiet_hours_of_their_line(load: Load) -> None:
    channels = load(
        "email = a@x.org rules=backup+peer, b@x.org quiet=never name=b, c@x.org quiet=12:00-13:00\n"
        "quiet_hours = 22:00-07:00\nntfy = https://ntfy.sh/duey"
    )
    quiet = {name: channel.quiet and tuple(channel.quiet) for name, channel in channels.items()}
    night, noon = (1320, 420, "Europe/Zagreb"), (720, 780, "Europe/Zagreb")
    assert quiet == {"email": night, "b": None, "email-3": noon, "ntfy": night}
    assert {name: channel.rules for name, channel in channels.items() if channel.rules} == {
        "email": frozenset({"backup", "peer"})
    }
    assert [channel.kind for channel in channels.values()] == ["email", "email", "email", "ntfy"]


def test_no_secret_is_in_the_repr_of_a_channel(load: Load) -> None:
    lists = "".join(f"{kind} = https://example.org/hunter2hunter2\n" for kind in KINDS)
    alerts = f"email = ann@example.org\n{lists}webhook_secret = hunter2hunter2"
    channels = load(alerts, "username = me\npassword = hunter2hunter2")
    assert len(channels) == 4 and "hunter2" not in repr(channels)


@rows(
    ("alerts", "sender", "sentence"),
    [
        ("webhook = https://example.org\nwebhook_secret = whsec_?", "Duey <duey@example.org>",
         "webhook, channel webhook: expected base64 after whsec_ in the secret, or any other valid text"),
        ("email = ann@example.org", "Duey duey", "email, channel email: [smtp] sender: expected an address, "
         "ann@example.org or Ann <ann@example.org>, found 'Duey duey'"),
    ],
)  # fmt: skip
def test_what_cannot_work_stops_the_start(load: Load, alerts: str, sender: str, sentence: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        load(alerts, sender=sender)
    assert str(caught.value) == f"[alerts] {sentence}"
