"""`check --deploy` names what remains open for production; plain `check` warns of what is dangerous anywhere."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from duey.cli.checks import FAIL, OK, WARN
from duey.cli.checks.settings import findings
from duey.config import load
from duey.recipes import backup_set

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ROOT / "tests" / "acceptance" / "on_path" / "commands.py"
READY = """
[storage]
url = redis://:word@127.0.0.1/0
[tasks]
secret = s3cret
[web]
host = 0.0.0.0
public_url = https://jobs.example.org
trusted_proxy = 10.0.0.1
[auth]
metrics_token = m
[webhook]
allow_hosts = hooks.example.org
[smtp]
host = mail.example.org
allow_recipients = example.org
"""
NOW = 2e9


def ready(folder: Path) -> Path:
    """The settings of a service that is ready, with a backup of an hour ago."""
    source, backup = folder / "config.ini", folder / "data" / "backups" / "day"
    source.write_text(READY)
    source.chmod(0o600)
    folder.chmod(0o755)
    (folder / "tasks.py").touch(mode=0o644)
    backup.mkdir(parents=True)
    with closing(sqlite3.connect(backup / "access.db")) as con:
        con.executescript("create table access_schema (version); insert into access_schema values (1)")
    size = (backup / "access.db").stat().st_size
    backup_set.write_list(backup, complete=True, files={"access.db": backup_set.Listed(size, "")})
    os.utime(backup / "backup.json", (NOW - 3600, NOW - 3600))
    return source


def without(*keys: str) -> Callable[[Path], object]:
    """Take lines out of the settings."""

    def change(source: Path) -> None:
        source.write_text("".join(line for line in source.open() if not line.startswith(keys)))

    return change


def put(old: str, new: str) -> Callable[[Path], object]:
    """Replace a line of the settings."""
    return lambda source: source.write_text(source.read_text().replace(old, new))


def apart(source: Path) -> None:
    """The secret in a file of its own, which others can read."""
    put("secret = s3cret", "secret_file = word")(source)
    (source.parent / "word").write_text("s3cret")
    (source.parent / "word").chmod(0o644)


def backup_file(source: Path) -> Path:
    return source.parent / "data" / "backups" / "day" / "backup.json"


# What is changed, the level that is found then, of what, and what the line says.
OPEN = {
    "config writable": (lambda s: s.chmod(0o602), FAIL, "config.ini", "chmod o-w"),
    "folder writable": (lambda s: s.parent.chmod(0o777), FAIL, "", "chmod o-w"),
    "module writable": (lambda s: (s.parent / "tasks.py").chmod(0o666), FAIL, "tasks.py", "chmod o-w"),
    "secrets readable": (
        lambda s: s.chmod(0o604), FAIL, "secrets", "[storage] url, [tasks] secret, [auth] metrics_token",
    ),
    "secrets readable by the group": (lambda s: s.chmod(0o640), WARN, "secrets", "chmod 600"),
    "file of a secret": (apart, FAIL, "secrets", "which holds one: chmod 600"),
    "pickle": (put("secret = s3cret", "serializer = pickle"), FAIL, "[tasks] secret", "runs any code"),
    "no secret": (without("secret"), WARN, "[tasks] secret", "set one to sign"),
    "no proxy": (without("trusted_proxy"), FAIL, "[web] host", "0.0.0.0 without TLS"),
    "plain http": (put("https", "http"), FAIL, "[web] public_url", "expected https://..., found http://jobs"),
    "no address": (without("public_url"), FAIL, "[web] public_url", "found none"),
    "here alone": (without("public_url", "trusted_proxy", "host"), WARN, "[web] public_url", "on your own machine"),
    "metrics": (without("metrics_token"), FAIL, "[auth] metrics_token", "figures at /metrics"),
    "metrics behind a proxy": (without("metrics_token", "host"), WARN, "[auth] metrics_token", "figures at /metrics"),
    "no backup": (lambda s: backup_file(s).unlink(), FAIL, "backup", "no complete one in"),
    "cut short": (
        lambda s: backup_set.write_list(backup_file(s).parent, complete=False, files={}), FAIL, "backup", "no c",
    ),
    "old backup": (lambda s: os.utime(backup_file(s), (NOW - 2e5, NOW - 2e5)), FAIL, "backup", "is 56 h old"),
    "any host": (without("allow_hosts"), WARN, "[webhook] allow_hosts", "can call every public host"),
    "any mailbox": (without("allow_recipients"), WARN, "[smtp] allow_recipients", "can write to every mailbox"),
}  # fmt: skip


def test_each_open_thing_is_named_alone(tmp_path):
    for case, (change, level, subject, said) in {"ready": (lambda s: None, OK, "", ""), **OPEN}.items():
        folder = tmp_path / case
        folder.mkdir()
        source = ready(folder)
        change(source)
        found = findings(load(source, {}), {"deliver_webhook", "send_email"}, NOW)
        named = [each for each in found if each.level != OK]
        if case == "ready":
            assert named == [] and len(found) >= 8
            continue
        mine = [each for each in named if each.level == level and each.subject.endswith(subject) and said in each.text]
        assert len(mine) == 1, (case, found)
        assert len(named) == 1 or case in ("here alone", "no proxy"), (case, named)
        assert all("\n" not in each.text for each in found)


def test_tasks_that_are_not_registered_need_no_limits(tmp_path):
    source = ready(tmp_path)
    without("allow_hosts", "allow_recipients")(source)
    assert [each for each in findings(load(source, {}), (), NOW) if each.level != OK] == []


def test_check_warns_and_check_deploy_fails(tmp_path):
    (tmp_path / "config.ini").write_text("[tasks]\nmodules = jobs\nserializer = pickle\n")
    (tmp_path / "config.ini").chmod(0o666)
    (tmp_path / "jobs.py").write_text("from duey import huey\n\n\n@huey.task()\ndef add(a, b):\n    return a + b\n")
    program = [sys.executable, str(COMMANDS), json.dumps([["check"], ["check", "--deploy"]])]
    environ = {**os.environ, "DUEY_CONFIG": str(tmp_path / "config.ini"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(program, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=True)
    (status, out, err), (deploy_status, deploy_out, deploy_err) = json.loads(done.stdout)
    assert (status, err) == (0, "")
    warnings = [line for line in out.splitlines() if line.startswith("warning ")]
    assert len(warnings) == 2 and "chmod o-w" in warnings[0] and "with pickle and no secret" in warnings[1]
    assert deploy_status == 1 and deploy_err.count("\n") == 1
    assert "not ready for production: fix" in deploy_err and "backup" in deploy_err
    levels = {line.split()[0] for line in deploy_out.splitlines()}
    assert {"ok", "warn", "fail"} <= levels and "warning" not in levels
