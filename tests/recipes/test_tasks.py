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
from tests.support import rows
from tests.support.ports import free_port


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    made = replace(
        tasks.settings, root=tmp_path, webhook=replace(tasks.settings.webhook, allow_hosts=("127.0.0.1",)),
        files=replace(tasks.settings.files, allow_folders=(tmp_path,)),
    )  # fmt: skip
    monkeypatch.setattr(tasks, "settings", made)
    return made


@pytest.fixture
def smtp(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmtpPeer]:
    with SmtpPeer() as peer:
        mine = replace(
            settings.smtp, host="127.0.0.1", port=peer.port, starttls=False, sender="Duey <duey@example.org>"
        )
        monkeypatch.setattr(tasks, "settings", replace(settings, smtp=mine))
        yield peer


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "current_job", lambda: SimpleNamespace(id="job-1"))


def test_add() -> None:
    assert tasks.add.call_local(2, 3) == 5


@rows("name", ["deliver_webhook", "send_email", "import_csv", "backup_sqlite"])
def test_the_help_tells_when_it_is_tried_again(name: str) -> None:
    task = getattr(tasks, name).task_class
    factor, delay = task.default_retry_backoff, task.default_retry_delay
    delays = [str(delay * factor**n) for n in range(task.default_retries)]
    text = " ".join(getattr(tasks, name).func.__doc__.split())
    assert f"after {', '.join(delays[:-1])} and {delays[-1]} s" in text


@rows("name", ["add", "deliver_webhook", "send_email", "import_csv", "backup_sqlite"])
def test_the_help_names_every_parameter(name: str) -> None:
    func = getattr(tasks, name).func
    named = set(re.findall(r"\w+", " ".join(re.findall(r"^([a-z_, ]+):", inspect.getdoc(func) or "", re.MULTILINE))))
    parameters = set(func.__code__.co_varnames[: func.__code__.co_argcount])
    assert named == (parameters if name != "add" else set())


# deliver_webhook


def test_a_webhook_is_delivered_under_the_jobs_id(settings: Settings, peer: HttpPeer, job: None) -> None:
    peer.behave = answer(202, b"thanks")
    got = tasks.deliver_webhook.call_local(peer.url(), {"a": 1}, secret="s", headers={"x-y": "z"})
    assert got == {"status": 202, "ms": got["ms"]}
    assert 0 < got["ms"] < 10_000
    (received,) = peer.received
    assert received.body == b'{"a":1}'
    assert received.headers["webhook-id"] == "job-1"
    assert received.headers["webhook-signature"].startswith("v1,")
    assert received.headers["x-y"] == "z"


def test_a_webhook_outside_of_a_job_has_an_id_of_its_own(settings: Settings, peer: HttpPeer) -> None:
    for _ in range(2):
        tasks.deliver_webhook.call_local(peer.url(), [])
    assert len({received.headers["webhook-id"] for received in peer.received}) == 2


def test_only_some_failures_of_a_webhook_are_tried_again(settings: Settings, peer: HttpPeer) -> None:
    for status, error in ((500, Unavailable), (429, Unavailable), (404, Discard), (301, Discard)):
        peer.behave = answer(status)
        with pytest.raises(error, match=f"answered {status}"):
            tasks.deliver_webhook.call_local(peer.url(), {})
    with pytest.raises(Discard, match=r"is not in \[webhook\] allow_hosts"):
        tasks.deliver_webhook.call_local("http://example.org/", {})


def test_the_settings_time_limit_holds(settings: Settings, peer: HttpPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "settings", replace(settings, webhook=replace(settings.webhook, timeout_s=0.2)))
    peer.behave = lambda handler: peer.closing.wait(20) and None
    with pytest.raises(Unavailable, match=r"did not answer within 0\.2 s"):
        tasks.deliver_webhook.call_local(peer.url(), {})


def test_by_default_no_webhook_goes_to_this_machine(peer: HttpPeer) -> None:
    with pytest.raises(Discard, match=r"not a public address"):
        tasks.deliver_webhook.call_local(peer.url(), {})
    assert not peer.received


# send_email


def test_an_email_is_sent_under_the_jobs_id(smtp: SmtpPeer, job: None) -> None:
    got = tasks.send_email.call_local(
        ["ann@example.org", "bob@example.org"], "Hello", "Hi", html="<p>Hi</p>", reply_to="help@example.org"
    )
    assert got == {"message_id": "<job-1@example.org>", "recipients": 2}
    (taken,) = smtp.taken
    assert taken.sender == "duey@example.org"
    assert taken.message["Message-ID"] == "<job-1@example.org>"
    assert taken.message["Reply-To"] == "help@example.org"


def test_one_recipient_may_be_a_text(smtp: SmtpPeer) -> None:
    tasks.send_email.call_local("ann@example.org", "Hello", "Hi")
    assert smtp.taken[0].recipients == ["ann@example.org"]


def test_mail_goes_from_and_to_whom_the_settings_allow(smtp: SmtpPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Discard, match=r"sender: expected \[smtp\] sender or one of allow_senders"):
        tasks.send_email.call_local("ann@example.org", "Hello", "Hi", sender="boss@example.org")
    made = tasks.settings
    mine = replace(made.smtp, allow_senders=("Me <ME@example.net>",), allow_recipients=("example.org",))
    monkeypatch.setattr(tasks, "settings", replace(made, smtp=mine))
    for recipient in ("bob@elsewhere.org", "bob@sub.example.org"):
        with pytest.raises(Discard, match=r"to: expected an address in \[smtp\] allow_recipients"):
            tasks.send_email.call_local(["ann@example.org", recipient], "Hello", "Hi")
    assert smtp.taken == []
    tasks.send_email.call_local("ann@Example.org", "Hello", "Hi", sender="You <me@example.net>")
    assert smtp.taken[0].sender == "me@example.net"


def test_only_some_failures_of_an_email_are_tried_again(smtp: SmtpPeer) -> None:
    smtp.answers["DATA"] = "451 later"
    with pytest.raises(Unavailable, match="451"):
        tasks.send_email.call_local("ann@example.org", "Hello", "Hi")
    smtp.answers["DATA"] = "550 never"
    with pytest.raises(Discard, match="550"):
        tasks.send_email.call_local("ann@example.org", "Hello", "Hi")
    with pytest.raises(Discard, match=r"^to: expected one line"):
        tasks.send_email.call_local("ann@example.org\nBcc: bob@example.org", "Hello", "Hi")
    assert smtp.taken == []


def test_without_a_mail_server_one_sentence_says_so(settings: Settings) -> None:
    with pytest.raises(Discard, match=r"no e-mail can be sent: set \[smtp\] host and sender in config\.ini"):
        tasks.send_email.call_local("ann@example.org", "Hello", "Hi")


# import_csv and backup_sqlite


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    seen: list[tuple[Any, ...]] = []
    monkeypatch.setattr(tasks, "progress", lambda *step: seen.append(step))
    return seen


def test_a_csv_file_is_imported_and_backed_up(
    settings: Settings, tmp_path: Path, reports: list[tuple[Any, ...]]
) -> None:
    (tmp_path / "rows.csv").write_bytes("a;b\nä;2\n".encode("cp1252"))
    got = tasks.import_csv.call_local("rows.csv", "mine.db", "t", delimiter=";", encoding="cp1252")
    assert got == {"table": "t", "columns": 2, "rows": 1}
    assert reports.pop(0) == (8, 8, "1 rows read")
    copied = tasks.backup_sqlite.call_local("mine.db", "copy.db")
    assert copied["bytes"] == (tmp_path / "copy.db").stat().st_size
    assert reports[-1][0] == reports[-1][1]
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        assert connection.execute("SELECT * FROM t").fetchall() == [("ä", "2")]


@pytest.mark.parametrize(
    ("task", "arguments"),
    [
        ("import_csv", ("in/rows.csv", "other.db", "t")),
        ("import_csv", ("rows.csv", "in/mine.db", "t")),
        ("backup_sqlite", ("mine.db", "in/copy.db")),
        ("backup_sqlite", ("in/mine.db", "copy.db")),
    ],
)
def test_no_task_leaves_the_folders_that_are_allowed(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, arguments: tuple[str, ...]
) -> None:
    files = replace(settings.files, allow_folders=(tmp_path / "in",))
    monkeypatch.setattr(tasks, "settings", replace(settings, files=files))
    with pytest.raises(Discard, match=r"outside of the folders that jobs may use"):
        getattr(tasks, task).call_local(*arguments)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_succeed_is_not_tried_again(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(Discard, match="expected a CSV file at"):
        tasks.import_csv.call_local("absent.csv", "mine.db", "t")
    with pytest.raises(Discard, match="expected a SQLite file"):
        tasks.backup_sqlite.call_local("absent.db", "copy.db")
    assert list(tmp_path.iterdir()) == []


def test_no_task_touches_what_belongs_to_the_service(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "mine.db").touch()
    (tmp_path / "rows.csv").write_text("a\n1\n")
    monitor, access = (Path(location.removeprefix("sqlite:///")) for location in tasks.OWN_FILES[2:4])
    own = [
        tasks.OWN_FILES[0], monitor, access, tasks.OWN_FILES[1] / "1.life",
        tasks.settings.periodic.backup_folder / "x.db",
    ]  # fmt: skip
    allowed = replace(settings.files, allow_folders=(Path("/"),))
    tasks.settings = replace(settings, files=allowed)  # the fixture puts the settings of before back
    for path in map(str, [*own, tasks.settings.source, tasks.__file__]):
        for call in (
            lambda path=path: tasks.import_csv.call_local(path, "mine.db", "t"),
            lambda path=path: tasks.import_csv.call_local("rows.csv", path, "t"),
            lambda path=path: tasks.backup_sqlite.call_local(path, "copy.db"),
            lambda path=path: tasks.backup_sqlite.call_local("mine.db", path),
        ):
            with pytest.raises(Discard, match=r"belongs to the service|expected a database's name"):
                call()


def test_a_closed_port_is_worth_another_attempt(settings: Settings) -> None:
    with pytest.raises(Unavailable):
        tasks.deliver_webhook.call_local(f"http://127.0.0.1:{free_port()}/", {})
