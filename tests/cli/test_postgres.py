"""Commands of a service with accounts and history on PostgreSQL: what they do, and what they leave to pg_dump."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from duey.cli.checks import FAIL, OK, WARN, backups, reach
from duey.config import load, secrets_in
from tests.cli.test_check_deploy import COMMANDS, ROOT
from tests.support import free_port
from tests.support.postgres_server import PASSWORD, PostgresServer

Ran = tuple[int, str, str]


@pytest.fixture
def manage(tmp_path: Path) -> Callable[..., list[Ran]]:
    """Run commands one after another in one process; exit status, standard output and standard error of each."""
    (tmp_path / "jobs.py").write_text("from duey import huey\n\n\n@huey.task()\ndef add(a, b):\n    return a + b\n")

    def run(*commands: list[str]) -> list[Ran]:
        environ = {**os.environ, "DUEY_CONFIG": str(tmp_path / "config.ini"), "PYTHONPATH": str(ROOT)}
        program = [sys.executable, str(COMMANDS), json.dumps(commands)]
        done = subprocess.run(program, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=True)
        ran = [(code, out, err) for code, out, err in json.loads(done.stdout)]
        for _, out, err in ran:
            assert "Traceback" not in err and "pass%20word" not in out + err and PASSWORD not in out + err
        return ran

    return run


def configure(folder: Path, url: str, *sections: str) -> None:
    (folder / "url").write_text(f"{url}\n")
    text = "".join(f"[{section}]\ndatabase_file = url\n" for section in sections or ("auth", "monitor"))
    (folder / "config.ini").write_text(f"[tasks]\nmodules = jobs\n{text}")


def test_each_command_does_its_part_and_says_what_is_left(
    manage: Callable[..., list[Ran]], tmp_path: Path, postgres: str
) -> None:
    configure(tmp_path, postgres)
    copies = str(tmp_path / "copies")
    check, added, checked, enqueued, backup, restore, users, status, audit = manage(
        ["check"], ["user", "add", "ana", "--role", "admin"], ["check"], ["enqueue", "add", "1", "2"],
        ["backup", copies], ["restore", copies], ["user", "list"], ["status", "--ready"], ["audit", "--format", "json"],
    )  # fmt: skip
    for schema in ("duey_access", "duey_history"):
        assert check[0] == 0 and f"(schema {schema}): none yet, the next start makes it" in check[1]
    assert added[0] == 0 and "(schema duey_access): schema " in checked[1]
    assert (enqueued[0], backup[0], restore[0]) == (0, 0, 0)
    for role in ("access", "monitor"):
        assert f"{role}: not copied, it is in postgresql://127.0.0.1:" in backup[1]
        assert f"{role}: not restored, it is in postgresql://127.0.0.1:" in restore[1]
    assert "pg_dump --schema=duey_access copies it" in backup[1] and "queue: restored" in restore[1]
    assert sorted(path.name for path in Path(copies).iterdir()) == ["backup.json", "queue.db"]
    assert "ana\tadmin" in users[1] and "no consumer is running" in status[2]
    actions = [json.loads(line)["action"] for line in audit[1].splitlines()]
    assert actions == ["restore", "backup", "enqueue", "add account"]


def test_accounts_of_a_file_are_copied_to_the_server(
    manage: Callable[..., list[Ran]], tmp_path: Path, postgres: str
) -> None:
    (tmp_path / "config.ini").write_text("[tasks]\nmodules = jobs\n")
    file = str(tmp_path / "data" / "access.db")
    *_, refused = manage(["user", "add", "ana"], ["token", "create", "ci"], ["user", "copy", file])
    assert refused[0] == 1 and "expected [auth] database = postgresql://... to copy to, found a file" in refused[2]
    configure(tmp_path, postgres)
    missing, copied, again, users, tokens = manage(
        ["user", "copy", f"{file}x"], ["user", "copy", file], ["user", "copy", file], ["user", "list"],
        ["token", "list"],
    )  # fmt: skip
    assert missing[0] == 1 and "found nothing at" in missing[2]
    assert copied[0] == 0 and "copied 1 accounts, 0 sessions, 1 tokens, 2 lines of the audit log to" in copied[1]
    assert again[0] == 1 and "has accounts or tokens already, so nothing was copied" in again[2]
    assert "ana\tviewer" in users[1] and "ci" in tokens[1]


def test_what_cannot_be_used_is_said_in_a_sentence(
    manage: Callable[..., list[Ran]], tmp_path: Path, postgres: str, postgres_server: PostgresServer
) -> None:
    nobody = f"postgresql://duey:pass%20word@127.0.0.1:{free_port()}/duey"
    configure(tmp_path, nobody, "monitor")
    for code, _, err in manage(["check"], ["status", "--ready"], ["jobs"]):
        assert code == 1 and "the history postgresql://" in err and "cannot be reached (Connection refused)" in err
    configure(tmp_path, nobody, "auth")
    for code, _, err in manage(["check"], ["user", "list"], ["audit"], ["status", "--ready"]):
        assert code == 1 and "cannot be reached (Connection refused): start its server" in err
    settings = load(tmp_path / "config.ini", {})
    (found,) = reach.postgresql(settings)
    assert found.level == FAIL and "cannot be reached" in found.text
    warned, failed = backups.backups(settings, 0.0)
    assert (warned.level, failed.level) == (WARN, FAIL) and "pg_dump" in warned.text

    name = postgres.rpartition("/")[2]
    configure(tmp_path, postgres, "auth")
    (found,) = reach.postgresql(load(tmp_path / "config.ini", {}))
    assert (found.level, "none yet" in found.text) == (OK, True)
    configure(tmp_path, postgres, "monitor")
    warned, _ = reach.postgresql(load(tmp_path / "config.ini", {"DUEY_STORAGE_BACKEND": "redis"}))
    assert warned.level == WARN and "each other web has accounts and tokens of its own" in warned.text
    configure(tmp_path, postgres, "auth")
    postgres_server.sql(f"ALTER DATABASE {name} OWNER TO postgres")
    (found,) = reach.postgresql(load(tmp_path / "config.ini", {}))
    assert found.level == FAIL and "GRANT CREATE ON DATABASE" in found.text, "before a start would find it"


def test_a_password_in_the_settings_is_a_secret_and_second_factors_need_a_key(tmp_path: Path) -> None:
    ini = tmp_path / "config.ini"
    ini.write_text("[auth]\ndatabase = postgresql://duey:hunter2@db/duey\n[monitor]\ndatabase = sqlite:///a:b@c.db\n")
    assert secrets_in(ini) == ["[auth] database"]
    ini.write_text("[auth]\ndatabase = postgresql://db/duey\nrequire_totp = admins\n")
    with pytest.raises(Exception, match="expected totp_key to be set, found none; set it to the same text"):
        load(ini, {})
