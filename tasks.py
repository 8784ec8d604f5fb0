"""The author's page: what this service can do. Replace these examples by your own functions, or keep them.

A task is a function under `@huey.task(...)`. What its body returns is the job's result; an exception is a
failed attempt, tried again while `retries` are left; `Discard` ends the job as failed at once. The type hints
are checked before a job is accepted, and the docstring is the help that API and monitor show. The work itself
is in duey.recipes. A path is one of this machine, relative to the folder of config.ini, and below one of [files]
allow_folders; no task reads or writes the databases, backups, settings and code of the service itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import duey
from duey import Discard, current_job, huey, progress, settings
from duey.recipes import Refused, csv_import, mail, paths, sqlite_backup, webhook

OWN_FILES = (
    settings.storage.path,
    Path(f"{settings.storage.path}-workers"),
    settings.monitor.database,
    settings.auth.database,
    settings.periodic.backup_folder,
    settings.source,
    Path(duey.__file__).parent,
)


def files() -> paths.Files:
    """Which files these tasks may use."""
    return paths.Files(settings.root, settings.files.allow_folders, OWN_FILES)


@huey.task()
def add(a: int, b: int) -> int:
    """Add two whole numbers."""
    return a + b


@huey.task(retries=5, retry_delay=2, retry_backoff=5)
def deliver_webhook(
    url: str,
    body: dict[str, Any] | list[Any],
    secret: str | None = None,
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """POST a JSON body to a URL, with the headers of Standard Webhooks 1.0.0.

    url: http or https; its host must be in [webhook] allow_hosts or, where that is empty, public. The port is one of
        [webhook] allow_ports, unless allow_hosts names the host itself.
    body: the JSON to send.
    secret: signs the delivery with HMAC-SHA256: `whsec_` and base64, or any other text.
    headers: more headers to send.

    Returns {"status", "ms"}: the 2xx status and the milliseconds that it took.
    5xx, 429, network errors and more than [webhook] timeout_s seconds are tried again after 2, 10, 50, 250
    and 1250 s, always with the same webhook-id. Another 4xx, a redirect or a refused URL fails at once.
    """
    job = current_job()
    try:
        answer = webhook.deliver(
            url,
            body,
            message_id=job.id if job else str(uuid4()),
            timeout_s=settings.webhook.timeout_s,
            allow_hosts=settings.webhook.allow_hosts,
            allow_ports=settings.webhook.allow_ports,
            secret=secret,
            headers=headers,
        )
    except Refused as error:
        raise Discard(str(error)) from error
    return {"status": answer.status, "ms": answer.ms}


@huey.task(retries=5, retry_delay=30, retry_backoff=4)
def send_email(
    to: str | list[str],
    subject: str,
    text: str,
    html: str | None = None,
    reply_to: str | None = None,
    sender: str | None = None,
) -> dict[str, Any]:
    """Send one e-mail through the server of [smtp], to all recipients or to none.

    to: one address, `ann@example.org` or `Ann <ann@example.org>`, or a list of up to 100; their domains must be in
        [smtp] allow_recipients, unless that is empty.
    subject: one line.
    text, html: the body; html is added as the alternative to text.
    reply_to: the address that answers go to.
    sender: the address in From, one of [smtp] allow_senders; [smtp] sender when left out.

    Returns {"message_id", "recipients"}.
    A 4xx answer of the server and network errors are tried again after 30, 120, 480, 1920 and 7680 s, always
    with the same Message-ID. A 5xx answer or a bad address fails at once.
    """
    smtp, job = settings.smtp, current_job()
    if not smtp.host:
        raise Discard("no e-mail can be sent: set [smtp] host and sender in config.ini")
    try:
        message = mail.compose(
            sender or smtp.sender,
            [to] if isinstance(to, str) else to,
            subject,
            text,
            html=html,
            reply_to=reply_to,
            message_id=job.id if job else None,
        )
        mail.require_allowed(message, [smtp.sender, *smtp.allow_senders], smtp.allow_recipients)
        mail.send(mail.Server(smtp.host, smtp.port, smtp.username, smtp.password, smtp.starttls), message)
    except Refused as error:
        raise Discard(str(error)) from error
    return {"message_id": str(message["Message-ID"]), "recipients": len(message["To"].addresses)}


@huey.task(retries=3, retry_delay=10, retry_backoff=3)
def import_csv(path: str, database: str, table: str, delimiter: str = ",", encoding: str = "utf-8") -> dict[str, Any]:
    """Import a CSV file into a SQLite table, which then holds the rows of the file and no others.

    path: the CSV file; its first line names the columns.
    database: the SQLite file, with a name in .db, .sqlite or .sqlite3; made when there is none.
    table: made when there is none, with text columns; one that exists must have the columns of the file.
    delimiter: one character.
    encoding: of the file: utf-8, utf-16, ascii, latin-1, cp1250 to cp1258, iso-8859-1 to -16, or koi8-r.

    Returns {"table", "columns", "rows"}: the name and two counts.
    All rows are replaced at the end, in one transaction: it can be run again at any time, and a failed run
    changes nothing. A row with too few or too many fields or a byte that is not of the encoding fails at once
    and names the line; a locked database is tried again after 10, 30 and 90 s.
    """
    try:
        return csv_import.run(
            files().located(path),
            files().database(database),
            table,
            delimiter=delimiter,
            encoding=encoding,
            progress=progress,
        )
    except Refused as error:
        raise Discard(str(error)) from error


@huey.task(retries=3, retry_delay=10, retry_backoff=3)
def backup_sqlite(source: str, target: str) -> dict[str, Any]:
    """Copy a SQLite database that may be in use to a new file: the whole of it at one moment, or nothing.

    source: the SQLite file; its readers and writers go on meanwhile.
    target: the file to make, in a folder that exists, with a name in .db, .sqlite or .sqlite3; an older backup of this
        name is replaced at the end.

    Returns {"bytes", "seconds"}.
    A source that is damaged or missing or a target that is no SQLite file fails at once; a locked source and
    a full disk are tried again after 10, 30 and 90 s.
    """
    try:
        return sqlite_backup.copy(
            files().located(source),
            files().database(target),
            progress=progress,
        )
    except Refused as error:
        raise Discard(str(error)) from error
