"""tasks.py: what each task hands to its recipe, and which failures end the job at once."""

import inspect
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tasks
from duey import Discard
from duey.config import Settings
from duey.recipes import Unavailable
from tests.recipes.http_peer import HttpPeer, answer
from tests.recipes.smtp_peer import SmtpPeer
from tests.support import free_port, rows

LETTER = ("Hello", "Hi")
NAMES = ["deliver_webhook", "send_email", "import_csv", "backup_sqlite"]
email, deliver, import_csv, backup = (
    getattr(tasks, name).call_local for name in ("send_email", "deliver_webhook", "import_csv", "backup_sqlite")
)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    made = replace(
        tasks.settings, root=tmp_path, webhook=replace(tasks.settings.webhook, allow_hosts=("127.0.0.1",)),
        files=replace(tasks.settings.files, allow_folders=(tmp_path,)),
    )  # fmt: skip
    monkeypatch.setattr(tasks, "settings", made)
    return made


def change(**parts: dict[str, Any]) -> None:
    """Change settings by section; the fixture puts those of before back."""
    changed = {section: replace(getattr(tasks.settings, section), **keys) for section, keys in parts.items()}
    tasks.settings = replace(tasks.settings, **changed)


@pytest.fixture
def smtp(settings: Settings) -> Iterator[SmtpPeer]:
    with SmtpPeer() as peer:
        change(smtp=dict(host="127.0.0.1", port=peer.port, starttls=False, sender="Duey <duey@example.org>"))
        yield peer


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "current_job", lambda: SimpleNamespace(id="job-1"))


@rows("name", ["add", *NAMES])
def test_the_help_names_every_parameter_and_tells_when_it_is_tried_again(name: str) -> None:
    func, task = getattr(tasks, name).func, getattr(tasks, name).task_class
    named = set(re.findall(r"\w+", " ".join(re.findall(r"^([a-z_, ]+):", inspect.getdoc(func) or "", re.MULTILINE))))
    assert named == (set(inspect.signature(func).parameters) if name != "add" else set())
    if name != "add":
        delays = [str(task.default_retry_delay * task.default_retry_backoff**n) for n in range(task.default_retries)]
        assert f"after {', '.join(delays[:-1])} and {delays[-1]} s" in " ".join(func.__doc__.split())
    assert tasks.add.call_local(2, 3) == 5


# deliver_webhook


def test_a_webhook_is_delivered_under_the_jobs_id(settings: Settings, peer: HttpPeer, job: None) -> None:
    peer.behave = answer(202, b"thanks")
    got = deliver(peer.url(), {"a": 1}, secret="s", headers={"x-y": "z"})
    assert got == {"status": 202, "ms": got["ms"]} and 0 < got["ms"] < 10_000
    (received,) = peer.received
    assert received.body == b'{"a":1}' and received.headers["x-y"] == "z"
    assert received.headers["webhook-id"] == "job-1" and received.headers["webhook-signature"].startswith("v1,")


def test_a_webhook_outside_of_a_job_has_an_id_of_its_own(settings: Settings, peer: HttpPeer) -> None:
    for _ in range(2):
        deliver(peer.url(), [])
    assert len({received.headers["webhook-id"] for received in peer.received}) == 2


def test_only_some_failures_of_a_webhook_are_tried_again(settings: Settings, peer: HttpPeer) -> None:
    for status, error in ((500, Unavailable), (429, Unavailable), (404, Discard), (301, Discard)):
        peer.behave = answer(status)
        with pytest.raises(error, match=f"answered {status}"):
            deliver(peer.url(), {})
    with pytest.raises(Unavailable):
        deliver(f"http://127.0.0.1:{free_port()}/", {})
    with pytest.raises(Discard, match=r"is not in \[webhook\] allow_hosts"):
        deliver("http://example.org/", {})
    change(webhook={"timeout_s": 0.2})
    peer.behave = lambda handler: peer.closing.wait(20) and None
    with pytest.raises(Unavailable, match=r"did not answer within 0\.2 s"):
        deliver(peer.url(), {})


def test_by_default_no_webhook_goes_to_this_machine(peer: HttpPeer) -> None:
    with pytest.raises(Discard, match=r"not a public address"):
        deliver(peer.url(), {})
    assert not peer.received


# send_email


def test_an_email_is_sent_under_the_jobs_id(smtp: SmtpPeer, job: None) -> None:
    both = ["ann@example.org", "bob@example.org"]
    got = email(both, *LETTER, html="<p>Hi</p>", reply_to="help@example.org")
    assert got == {"message_id": "<job-1@example.org>", "recipients": 2}
    email("ann@example.org", *LETTER)  # one recipient may be a text
    first, second = smtp.taken
    assert (first.sender, second.recipients) == ("duey@example.org", ["ann@example.org"])
    assert first.message["Message-ID"] == "<job-1@example.org>" and first.message["Reply-To"] == "help@example.org"


def test_mail_goes_from_and_to_whom_the_settings_allow(smtp: SmtpPeer) -> None:
    with pytest.raises(Discard, match=r"sender: expected \[smtp\] sender or one of allow_senders"):
        email("ann@example.org", *LETTER, sender="boss@example.org")
    change(smtp=dict(allow_senders=("Me <ME@example.net>",), allow_recipients=("example.org",)))
    for recipient in ("bob@elsewhere.org", "bob@sub.example.org"):
        with pytest.raises(Discard, match=r"to: expected an address in \[smtp\] allow_recipients"):
            email(["ann@example.org", recipient], *LETTER)
    assert smtp.taken == []
    email("ann@Example.org", *LETTER, sender="You <me@example.net>")
    assert smtp.taken[0].sender == "me@example.net"


def test_only_some_failures_of_an_email_are_tried_again(smtp: SmtpPeer) -> None:
    for line, to, error, sentence in (
        ("451 later", "ann@example.org", Unavailable, "451"), ("550 never", "ann@example.org", Discard, "550"),
        ("250 OK", "ann@example.org\nBcc: bob@example.org", Discard, "^to: expected one line"),
    ):  # fmt: skip
        smtp.answers["DATA"] = line
        with pytest.raises(error, match=sentence):
            email(to, *LETTER)
    assert smtp.taken == []
    change(smtp={"host": "", "sender": ""})
    with pytest.raises(Discard, match=r"no e-mail can be sent: set \[smtp\] host and sender in config\.ini"):
        email("ann@example.org", *LETTER)


# import_csv and backup_sqlite


def test_a_csv_file_is_imported_and_backed_up(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[tuple[Any, ...]] = []
    monkeypatch.setattr(tasks, "progress", lambda *step: reports.append(step))
    (tmp_path / "rows.csv").write_bytes("a;b\nä;2\n".encode("cp1252"))
    got = import_csv("rows.csv", "mine.db", "t", delimiter=";", encoding="cp1252")
    assert got == {"table": "t", "columns": 2, "rows": 1} and reports.pop(0) == (8, 8, "1 rows read")
    assert backup("mine.db", "copy.db")["bytes"] == (tmp_path / "copy.db").stat().st_size
    assert reports[-1][0] == reports[-1][1]
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        assert connection.execute("SELECT * FROM t").fetchall() == [("ä", "2")]


def test_what_cannot_succeed_or_leaves_the_allowed_folders_is_not_tried_again(
    settings: Settings, tmp_path: Path
) -> None:
    def refused(sentence: str, *calls: tuple[Any, ...]) -> None:
        for task, *arguments in calls:
            with pytest.raises(Discard, match=sentence):
                task(*arguments)
        assert list(tmp_path.iterdir()) == []

    refused("expected a CSV file at", (import_csv, "absent.csv", "mine.db", "t"))
    refused("expected a SQLite file", (backup, "absent.db", "copy.db"))
    change(files={"allow_folders": (tmp_path / "in",)})
    refused(
        r"outside of the folders that jobs may use",
        (import_csv, "in/rows.csv", "other.db", "t"), (import_csv, "rows.csv", "in/mine.db", "t"),
        (backup, "mine.db", "in/copy.db"), (backup, "in/mine.db", "copy.db"),
    )  # fmt: skip


def test_no_task_touches_what_belongs_to_the_service(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "mine.db").touch()
    (tmp_path / "rows.csv").write_text("a\n1\n")
    databases = [Path(location.removeprefix("sqlite:///")) for location in tasks.OWN_FILES[2:4]]
    own = [tasks.OWN_FILES[0], tasks.OWN_FILES[1] / "1.life", settings.periodic.backup_folder / "x.db"]
    change(files={"allow_folders": (Path("/"),)})
    for path in map(str, [*own, *databases, settings.source, tasks.__file__]):
        for task, *arguments in (
            (import_csv, path, "mine.db", "t"), (import_csv, "rows.csv", path, "t"),
            (backup, path, "copy.db"), (backup, "mine.db", path),
        ):  # fmt: skip
            with pytest.raises(Discard, match=r"belongs to the service|expected a database's name"):
                task(*arguments)
                pytest.fail(f"{task} touched {arguments}")
