"""`duey doctor`: each thing that is wrong has a line that says what to do, and nothing is written."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from duey import files
from duey.cli.checks import FAIL, OK, WARN, Finding, backups, doctor, machine, reach
from duey.cli.checks import settings as of_settings
from duey.config import load
from duey.storage.redis import keys as redis_keys
from duey.tasks import discovery
from tests.cli.test_check_deploy import COMMANDS, ROOT
from tests.deploy.conftest import served
from tests.support import free_port
from tests.support.pages import text_of
from tests.support.redis_server import RedisServer
from tests.support.whole_service import whole_service

NOW = 2e9
Change = Callable[[Path, pytest.MonkeyPatch], object]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service with its databases and a backup."""
    tmp_path = tmp_path_factory.mktemp("original")
    with whole_service(tmp_path) as service:
        service.huey.task(name="add")(lambda a, b: a + b)
        service.huey.storage.prepare()
        service.history.prepare()
    copy = tmp_path / "data" / "backups" / "day"
    environ = os.environ | {"DUEY_CONFIG": str(tmp_path / "config.ini"), "PYTHONPATH": str(ROOT)}
    (tmp_path / "config.ini").write_text("[tasks]\nmodules = jobs\n")
    (tmp_path / "config.ini").chmod(0o600)
    (tmp_path / "jobs.py").write_text("from duey import huey\n\n\n@huey.task()\ndef add(a, b):\n    return a + b\n")
    run = [sys.executable, "-m", "duey", "backup", str(copy)]
    subprocess.run(run, cwd=tmp_path, env=environ, check=True, capture_output=True, timeout=60)
    return tmp_path


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of the service for one test."""
    return Path(shutil.copytree(original, tmp_path / "s"))


def unit(name: str, **changed: str) -> Change:
    """systemd, whose unit has these settings."""
    shown = {"Id": name, "KillMode": "mixed", "TimeoutStopUSec": "40s", "OOMPolicy": "continue"} | changed

    def change(folder: Path, patch: pytest.MonkeyPatch) -> None:
        tool = folder / "systemctl"
        tool.write_text("#!/bin/sh\ncat <<'E'\n" + "".join(f"{key}={text}\n" for key, text in shown.items()) + "E\n")
        tool.chmod(0o755)
        patch.setattr(machine, "SYSTEMD", folder)
        patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    return change


def kind(name: str) -> Change:
    return lambda folder, patch: patch.setattr(files, "filesystem_of", lambda path: name)


def free(mb: int) -> Change:
    return lambda folder, patch: patch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=mb * 2**20))


def grown(name: str) -> Change:
    return lambda folder, patch: (folder / "data" / "backups" / "day" / name).open("a").write("x")


def other_database(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """As long as the copy, but no database."""
    path = folder / "data" / "backups" / "day" / "queue.db"
    path.write_bytes(b"x" * path.stat().st_size)


def later(folder: Path, patch: pytest.MonkeyPatch) -> None:
    os.utime(folder / "data" / "queue.db", (4e9, 4e9))


def old_package(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(machine.metadata, "version", lambda name: "0.1")


def of_another(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(machine, "databases", lambda settings: {"a": folder / "data/queue.db", "b": Path("/proc/1/cmdline")})
    patch.setattr(files, "OTHERS", 0)
    patch.setattr(machine, "name_of", str)
    stat = Path.stat
    strange = SimpleNamespace(st_uid=4711, st_mode=0o600)
    patch.setattr(Path, "stat", lambda path, **how: strange if "/proc/1" in str(path) else stat(path, **how))


def proxied(more: str = "") -> Change:
    """With a proxy that names users."""
    lines = f"[web]\ntrusted_proxy = 127.0.0.1\n[auth]\nremote_user_header = Remote-User\n{more}\n"
    return lambda folder, patch: (folder / "config.ini").write_text(lines)


def readable_key(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "data" / "access.key").touch()
    (folder / "data" / "access.key").chmod(0o644)


# What is changed, the check, and its first line that is not ok; None for a service without a fault.
FAULTS: dict[str, tuple[Change | None, Callable[[Any], Iterable[Finding]], str, str]] = {
    "files": (None, machine.data_files, OK, "belong to"),
    "readable": (lambda f, p: (f / "data/queue.db").chmod(0o644), machine.data_files, FAIL, "chmod go= "),
    "open folder": (lambda f, p: (f / "data").chmod(0o755), machine.data_files, FAIL, "chmod go= "),
    "of another user": (of_another, machine.data_files, FAIL, "belongs to 4711, the first database to"),
    "disk": (free(1000), machine.disk, OK, "1,000 MB free"),
    "small disk": (free(100), machine.disk, WARN, "100 MB free, and [alerts] disk_free_mb is 512: make room"),
    "full disk": (free(10), machine.disk, FAIL, "make room"),
    "local": (kind("ext4"), machine.file_systems, OK, "on ext4"),
    "network": (kind("nfs4"), machine.file_systems, WARN, "where SQLite's locks do not hold"),
    "memory": (kind("tmpfs"), machine.file_systems, WARN, "empty after a restart"),
    "clock": (None, machine.clock, OK, "T"),
    "clock of 1970": (None, lambda settings: machine.clock(settings, 0.0), FAIL, "it says 1970-01-01"),
    "clock that went back": (later, machine.clock, FAIL, "s in the future: the clock was set back"),
    "clock before the jobs": (None, lambda settings: machine.clock(settings, 1.74e9), FAIL, "in the future"),
    "versions": (None, machine.versions, OK, "Python"),
    "old SQLite": (
        lambda f, p: p.setattr(machine.sqlite3, "sqlite_version_info", (3, 7, 0)), machine.versions, FAIL, "a newer",
    ),
    "old package": (old_package, machine.versions, WARN, "huey 0.1 instead of"),
    "no systemd": (lambda f, p: p.setattr(machine, "SYSTEMD", f / "none"), machine.systemd, OK, ""),
    "unit": (unit("duey-web.service"), machine.systemd, OK, "time to end"),
    "impatient": (unit("duey-web.service", TimeoutStopUSec="20s"), machine.systemd, WARN, "TimeoutStopSec=40"),
    "patient": (unit("duey-web.service", TimeoutStopUSec="1min 30s"), machine.systemd, OK, "time to end"),
    "kills programs": (unit("duey-web.service", KillMode="control-group"), machine.systemd, WARN, "KillMode=mixed"),
    "stops": (unit("duey-consumer@1.service", OOMPolicy="stop"), machine.systemd, WARN, "OOMPolicy=continue"),
    "few files": (unit("duey-web.service", LimitNOFILESoft="99"), machine.systemd, WARN, "LimitNOFILE=1024"),
    "no unit": (unit(""), machine.systemd, WARN, "no unit duey*.service is loaded"),
    "backup": (None, backups.backups, OK, "0 h old"),
    "backup of other length": (grown("access.db"), backups.backups, FAIL, "access.db has"),
    "backup of something else": (other_database, backups.backups, FAIL, "queue.db is no database of Duey"),
    "proxy users": (proxied("proxy_secret = s"), of_settings.proxy_users, OK, "Remote-User, believed from"),
    "no proxy users": (None, of_settings.proxy_users, OK, ""),
    "proxy without a secret": (proxied(), of_settings.proxy_users, WARN, "set [auth] proxy_secret"),
    "readable key": (readable_key, machine.data_files, FAIL, "access.key"),
    "no channel": (None, reach.channels, WARN, "name a channel in [alerts]"),
    "SQLite alone": (None, reach.redis, OK, ""),
}  # fmt: skip


def test_each_fault_has_its_line(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    for case, (change, check, level, said) in FAULTS.items():
        here = tmp_path_factory.mktemp("case") / "s"
        shutil.copytree(folder, here)
        (here / "data" / "backups").chmod(0o700)
        with pytest.MonkeyPatch.context() as patch:
            if change:
                change(here, patch)
            found = list(check(load(here / "config.ini", {})))
        wrong = [each for each in found if each.level != OK]
        shown = (wrong or found or [Finding(OK, "", "")])[0]
        assert (shown.level, said in shown.text) == (level, True), (case, found)
        assert all("\n" not in each.text for each in found), case


def test_the_host_that_records_is_named(folder: Path, redis_server: RedisServer) -> None:
    name, data = f"t{folder.stat().st_ino}", folder / "data"
    variables = {"DUEY_STORAGE_BACKEND": "redis", "DUEY_STORAGE_URL": redis_server.url, "DUEY_STORAGE_NAME": name}
    settings = load(folder / "config.ini", variables)
    client = redis.Redis.from_url(redis_server.url)
    before, here = sorted(data.rglob("*")), f"{socket.gethostname()}:{(data / 'monitor.db').resolve()}"
    for where, level, said in (
        (None, OK, "nothing was recorded yet"),
        (here, OK, "recorded here"),
        ("boreas:/d/m.db", WARN, f"recorded at boreas:/d/m.db, last at 2033-05-18T03:33:20.000Z, not at {here}"),
    ):  # fmt: skip
        if where:
            owner = {"history": "a" * 13, "where": where, "term": 1, "at": NOW}
            client.hset(f"{redis_keys.prefix(name)}:outbox_owner", mapping=owner)
        (found,) = reach.history(settings)
        assert (found.level, said in found.text) == (level, True), found
    (data / "monitor.db").unlink()
    assert [each.level for each in reach.history(settings)] == [OK], "of a host that has no web"
    assert sorted([*data.rglob("*"), data / "monitor.db"]) == before
    client.close()


def test_redis_is_asked_what_it_keeps_and_who_runs(
    folder: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(
        folder / "config.ini",
        {"DUEY_STORAGE_BACKEND": "redis", "DUEY_STORAGE_URL": redis_server.url, "DUEY_STORAGE_NAME": "asked"},
    )
    client = redis.Redis.from_url(redis_server.url)
    before = {name: client.config_get(name)[name] for name in ("maxmemory-policy", "appendonly")}
    try:
        for policy, append, level, said in (
            ("noeviction", "yes", OK, "keeps accepted jobs"),
            ("noeviction", "no", WARN, "set `appendonly yes`"),
            ("allkeys-lru", "yes", FAIL, "set `maxmemory-policy noeviction`"),
        ):
            client.config_set("maxmemory-policy", policy)
            client.config_set("appendonly", append)
            (found,), consumers = reach.redis(settings), reach.consumers(settings)
            assert (found.level, said in found.text) == (level, True), (policy, append, found)
            assert [each.text for each in consumers] == ["none runs on any machine: start `duey worker`"]
        client.config_set("maxmemory-policy", "noeviction")
        monkeypatch.setattr(reach, "FAR_MS", -1.0)
        prefix = redis_keys.prefix(settings.storage.name)
        for n, (host, code, level, said) in enumerate((
            ("one", discovery.code(), OK, "1 worker processes, on one, run the task modules of this machine"),
            ("two", "1a2b3c4", WARN, "run other task modules on two (1a2b3c4) than this machine has"),
        )):  # fmt: skip
            client.zadd(f"{prefix}:leases", {n: 4e15})
            client.hset(f"{prefix}:worker:{n}", mapping={"host": host, "code": code})
            (far,), (consumers,) = reach.redis(settings), reach.consumers(settings)
            assert far.level == WARN and "Put this machine near the server" in far.text
            assert (consumers.level, said in consumers.text) == (level, True), consumers
        client.zadd(f"{prefix}:leases", {0: 1, 1: 1})
    finally:
        for name, text in before.items():
            client.config_set(name, text)
        client.close()
    away = {"DUEY_STORAGE_BACKEND": "redis", "DUEY_STORAGE_URL": f"redis://:s3cret@127.0.0.1:{free_port()}/0"}
    (found,) = reach.redis(load(folder / "config.ini", away))
    assert found.level == FAIL and "s3cret" not in found.text


def test_the_service_is_asked_as_a_visitor_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The headers of real proxies: tests/deploy/test_proxies.py."""
    with served(tmp_path, web_trusted_proxy="127.0.0.1") as service:
        web, port = service.settings.web, service.settings.web.port
        cases = {
            "": (OK, f"http://127.0.0.1:{port} is ready"),
            f"http://127.0.0.1:{port}": (FAIL, "believes the X-Forwarded-For of visitors"),
            f"http://127.0.0.1:{free_port()}": (FAIL, "does not answer"),
        }
        for public, (level, said) in cases.items():
            settings: Any = SimpleNamespace(
                web=SimpleNamespace(**{**vars(web), "public_url": public}), storage=service.settings.storage
            )
            found = list(reach.service(settings))
            assert (found[-1].level, said in found[-1].text) == (level, True), (public, found)
        for backend, level in (("sqlite", FAIL), ("redis", WARN)):
            settings = SimpleNamespace(
                web=SimpleNamespace(**{**vars(web), "port": free_port()}), storage=SimpleNamespace(backend=backend)
            )
            (found_,) = reach.service(settings)
            assert found_.level == level and ("unless this host is for consumers" in found_.text) is (level == WARN)
        monkeypatch.setattr(reach, "asked", lambda url, headers: (503, {"detail": "no consumer is running"}))
        (found_,) = reach.service(service.settings)
        assert found_.level == FAIL and "no consumer is running" in found_.text
        monkeypatch.undo()
    (tmp_path / "b").mkdir()
    with served(tmp_path / "b") as service:
        base = f"http://127.0.0.1:{service.settings.web.port}"
        for public, level, said in (
            (base, OK, "the visitor 127.0.0.1"),
            ("https://127.0.0.1", FAIL, "set [web] trusted_proxy to its address (now none)"),
            ("http://jobs.example.org", FAIL, "expected X-Forwarded-Host jobs.example.org"),
        ):
            (found_,) = reach.proxy_headers(SimpleNamespace(public_url=public, trusted_proxy=""), base)
            assert (found_.level, said in found_.text) == (level, True), (public, found_)


def test_servers_of_alerts_are_tried_and_nothing_is_sent(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port, closed = listening.getsockname()[1], free_port()
        (folder / "config.ini").write_text(
            f"[smtp]\nhost = 127.0.0.1\nport = {port}\nsender = a@example.org\n[alerts]\nemail = b@example.org\n"
            f"webhook = http://127.0.0.1:{closed}/s3cret-path name=pager\napprise = json://127.0.0.1:{port}\n"
        )
        found = {each.subject: each for each in reach.channels(load(folder / "config.ini", {}))}
        listening.settimeout(5)
        sent = listening.accept()[0].recv(1)
    levels = {"channel [smtp]": OK, "channel email": OK, "channel pager": FAIL, "channel apprise": OK}
    assert {name: each.level for name, each in found.items()} == levels
    assert sent == b"" and "s3cret" not in str(found)
    assert "duey alerts test apprise" in found["channel apprise"].text


def test_a_check_that_fails_or_hangs_is_a_line_and_delays_no_other() -> None:
    over = threading.Event()

    def breaks() -> Iterable[Finding]:
        raise PermissionError(13, "Permission denied", "/data")

    def hangs() -> Iterable[Finding]:
        over.wait(60)
        return []

    fine = Finding(OK, "fine", "yes")
    found = doctor.results([("hangs", hangs), ("breaks", breaks), ("none", list), ("fine", lambda: [fine])], 0.2)
    over.set()
    (late,), (broken,), nothing, last = found
    assert late.level == broken.level == FAIL and nothing == [] and last == [fine]
    assert "not checked within 0.2 s" in late.text and "Permission denied" in broken.text


def tree(folder: Path) -> dict[str, tuple[int, int, int]]:
    stats = {str(path): path.stat() for path in folder.rglob("*")}
    return {name: (found.st_mode, found.st_size, found.st_mtime_ns) for name, found in stats.items()}


def test_the_command_prints_lines_or_json_and_writes_nothing(folder: Path) -> None:
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    (folder / "data" / "queue.db").chmod(0o640)
    before = tree(folder)
    environ = {name: text for name, text in os.environ.items() if not name.startswith("DUEY_")}
    environ |= {"DUEY_CONFIG": str(folder / "config.ini"), "PYTHONPATH": str(ROOT), "DUEY_WEB_PORT": str(free_port())}

    def run(*commands: list[str], **more: str) -> list[Any]:
        program = [sys.executable, str(COMMANDS), json.dumps(commands)]
        done = subprocess.run(
            program, cwd=folder, env=environ | more, capture_output=True, text=True, timeout=60, check=True
        )
        answers: list[Any] = json.loads(done.stdout)
        return answers

    (status, out, err), (json_status, json_out, _) = run(["doctor"], ["doctor", "--json"])
    assert status == json_status == 1 and err.startswith("fix ") and err.count("\n") == 1, err
    lines, told = out.splitlines(), json.loads(json_out)
    assert [f"{each['level']:<4}  {each['check']}: " for each in told["checks"]] == [
        f"{line[:4]}  {line[6:].partition(': ')[0]}: " for line in lines
    ]
    page = text_of("docs/production.md")
    section = page[page.index("## Before you go public") : page.index("## The first account")]
    named = {each["check"].partition(" of /")[0] for each in told["checks"] if not each["check"].startswith("/")}
    assert {name for name in named if f"`{name}`" not in section} == set(), "the page lists each check"
    assert (
        told["ok"] is False and "1 are registered" in out and {line[:4].strip() for line in lines} == {OK, WARN, FAIL}
    )
    ((_, out, _),) = run(["doctor", "--worker"])
    subjects = {line[6:].partition(":")[0] for line in out.splitlines()}
    assert {"tasks", "data files"} <= subjects and not subjects & {"service", "alerts", "backup"}, "it serves no pages"
    ((status, out, err),) = run(["doctor"], DUEY_WEB_PORT="x")
    assert (status, err) == (1, "fix settings\n") and out.startswith("fail  settings: DUEY_WEB_PORT: ")
    assert tree(folder) == before
