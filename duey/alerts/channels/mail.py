"""E-mail: a text and a small HTML part, by the mail server of [smtp]."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from duey.alerts.channels.contract import TargetChannel
from duey.alerts.message import NO_LINK, Message, clip, line, plain
from duey.config.table import Smtp
from duey.recipes import Refused, mail

LONGEST_SUBJECT = 200
COLORS = {"bad": "#b42318", "info": "#475467", "ok": "#067647"}


@dataclass(frozen=True)
class MailChannel(TargetChannel):
    smtp: Smtp
    kind = "email"

    def check(self) -> None:
        try:
            mail.compose(self.smtp.sender, [self.target.address], "subject", "text")
        except Refused as error:
            raise Refused(str(error).replace("sender:", "[smtp] sender:")) from None

    def secrets(self) -> set[str]:
        return {self.smtp.password} - {""}

    def deliver(self, message: Message, timeout_s: float) -> str:
        smtp, subject = self.smtp, clip(message.subject, LONGEST_SUBJECT)
        text = f"{message.text}\n\n{message.link}\n"
        letter = mail.compose(smtp.sender, [self.target.address], subject, text, html_of(message), None, message.id)
        if message.incident:  # mail programs show all messages about an incident as one conversation
            domain = letter["From"].addresses[0].domain
            letter["References"] = f"<incident-{re.sub('[^A-Za-z0-9_-]', '_', message.incident)}@{domain}>"
        server = mail.Server(smtp.host, smtp.port, smtp.username, smtp.password, smtp.starttls)
        return mail.send(server, letter, timeout_s)


def html_of(message: Message) -> str:
    """A page without pictures, scripts and links but the one to the incident."""
    lines = "".join(f"<p>{escape(plain(each))}</p>" for each in message.lines)
    cell = 'style="padding:2px 12px 2px 0;vertical-align:top;text-align:left"'
    facts = "".join(
        f'<tr><th {cell}>{escape(line(label))}</th><td {cell}><span style="white-space:pre-wrap">{escape(plain(value))}'
        "</span></td></tr>"
        for label, value in message.facts
    )
    link = f'<a href="{escape(message.url)}">Open the incident in Duey</a>' if message.url else escape(NO_LINK)
    return (
        '<!doctype html><html><body style="font:15px/1.5 sans-serif">'
        f'<h1 style="font-size:18px;color:{COLORS[message.severity]}">{escape(message.subject)}</h1>'
        f"{lines}<table>{facts}</table><p>{link}</p></body></html>"
    )
