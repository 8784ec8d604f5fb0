"""The units of systemd: valid, closed, in agreement with the settings; the programs tell systemd how they are."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.conftest import DEPLOY, SHUTDOWN_S
from tests.support import free_port, wait_until
from tests.support.pages import FENCE, ROOT, text_of
from tests.support.redis_server import die_with_parent

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
MOST_EXPOSED = "15"  # tenths of systemd's points, of which a service without any of these settings has 96


def settings_of(unit: Path) -> dict[str, list[str]]:
    """Each setting with its values, those of all sections together."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def test_the_units_are_valid_and_closed(systemd_analyze: str, tmp_path: Path) -> None:
    assert [unit.name for unit in UNITS] == ["duey-consumer@.service", "duey-web.service"]
    for unit in UNITS:
        here = tmp_path / unit.name.replace("@", "@1")
        here.write_text(unit.read_text().replace("/opt/duey/bin/duey", sys.executable))
        for words in (["verify"], ["security", "--offline=true", f"--threshold={MOST_EXPOSED}"]):
            done = subprocess.run([systemd_analyze, *words, str(here)], capture_output=True, text=True, timeout=60)
            said = "" if words[0] == "security" else done.stdout
            assert (done.returncode, said + done.stderr) == (0, ""), (unit.name, words, done.stdout[-300:])


def test_the_units_agree_with_each_other_and_with_the_settings() -> None:
    web, consumer = (settings_of(DEPLOY / "systemd" / name) for name in ("duey-web.service", "duey-consumer@.service"))
    shared = ("User", "Group", "WorkingDirectory", "StateDirectory", "StateDirectoryMode", "UMask", "LoadCredential")
    for name in (*shared, "TimeoutStopSec", "WatchdogSec", "KillMode", "Type", "ProtectSystem", "NoNewPrivileges"):
        assert web[name] == consumer[name], name
    wanted = {"TimeoutStopSec": str(SHUTDOWN_S), "KillMode": "mixed", "Type": "notify", "StateDirectoryMode": "0700"}
    assert {name: web[name][0] for name in wanted} == wanted
    assert float(web["WatchdogSec"][0]) > SHUTDOWN_S, "a reload waits for running jobs"
    assert consumer["OOMPolicy"] == ["continue"]


def test_the_command_runs_as_the_services_do(tmp_path: Path) -> None:
    fake = tmp_path / "systemd-run"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    words = [str(DEPLOY / "systemd" / "duey"), "user", "add", "ana b"]
    environ = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    told = subprocess.run(words, env=environ, capture_output=True, text=True, check=True).stdout.splitlines()
    assert told[-4:] == ["/opt/duey/bin/duey", "user", "add", "ana b"]
    unit = settings_of(UNITS[0])
    for name in (
        "User",
        "Group",
        "UMask",
        "WorkingDirectory",
        "StateDirectory",
        "StateDirectoryMode",
        "LoadCredential",
    ):
        assert f"--property={name}={unit[name][0]}" in told, name


# What the page calls that is not for the test: each writes down how it was called.
STUBS = ("apt-get", "useradd", "python3", "systemctl", "nginx", "pip", "duey")


def test_the_commands_of_the_page_lay_out_the_service(tmp_path: Path) -> None:
    programs, root = tmp_path / "programs", tmp_path / "root"
    for name in STUBS:
        stub = (root / "opt/duey/bin" if name in ("pip", "duey") else programs) / name
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/called\n')
        stub.chmod(0o755)
    (programs / "duey").symlink_to(root / "opt/duey/bin/duey")
    for folder in ("srv/duey", "usr/local/bin", "etc/systemd/system", "etc/nginx/sites-available"):
        (root / folder).mkdir(parents=True)
    (root / "etc/nginx/sites-enabled").mkdir()
    page = text_of("docs/production.md")
    section = page[page.index("## From nothing") : page.index("## Before you go public")]
    script = "\n".join(text for kind, _, text in FENCE.findall(section) if kind == "sh")
    script = re.sub(r"(?<=[ >])/(?=(opt|srv|var|etc|usr/local)/)", f"{root}/", script.replace("\n", " \n "))
    script = script.replace(f"{root}/var/lib", "/var/lib")  # the target of the link; not there
    environ = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-eu"], input=script, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    assert os.readlink(root / "srv/duey/data") == "/var/lib/duey"
    secret = root / "etc/duey/secrets/tasks_secret"
    assert len(secret.read_text()) > 40 and secret.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in (root / "etc/systemd/system").iterdir()) == [unit.name for unit in UNITS]
    assert (root / "etc/nginx/sites-enabled/duey").read_text() == (DEPLOY / "proxy/nginx.conf").read_text()
    called = (tmp_path / "called").read_text().splitlines()
    assert {line.split()[0] for line in called} == set(STUBS)
    (started,) = (line for line in called if line.startswith("systemctl enable"))
    assert started.split()[3:] == ["duey-web", "duey-consumer@1", "duey-consumer@2"]


@pytest.fixture
def manager(tmp_path: Path) -> socket.socket:
    """The end of systemd's of NOTIFY_SOCKET."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(tmp_path / "notify"))
    listening.settimeout(60)
    return listening


def test_each_service_says_when_it_is_ready_and_beats_until_it_stops(tmp_path: Path, manager: socket.socket) -> None:
    (tmp_path / "config.ini").write_text("[tasks]\nmodules = jobs\n")
    (tmp_path / "jobs.py").touch()
    (tmp_path / "duey_tasks_secret").write_text("s3cret\n")
    environ = {name: text for name, text in os.environ.items() if not name.startswith("DUEY_")}
    environ |= {
        "NOTIFY_SOCKET": str(tmp_path / "notify"), "CREDENTIALS_DIRECTORY": str(tmp_path), "PYTHONPATH": str(ROOT),
        "DUEY_WEB_PORT": str(free_port()), "JOURNAL_STREAM": "1:2",
    }  # fmt: skip
    for unit in reversed(UNITS):  # the web first: it makes the files
        words = shlex.split(
            settings_of(unit)["ExecStart"][0].replace("/opt/duey/bin/duey", f"{sys.executable} -m duey")
        )
        with subprocess.Popen(
            words, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            preexec_fn=die_with_parent,
        ) as process:  # fmt: skip
            for state in ("READY=1", "WATCHDOG=1", "WATCHDOG=1"):
                wait_until(lambda state=state: state in manager.recv(99).decode().split(), 60, f"{unit.name}: {state}")
            process.send_signal(signal.SIGTERM)
            said = process.communicate(timeout=60)[0]
            assert process.returncode == 0, said
        assert "Traceback" not in said, said


def test_a_log_file_is_rotated_while_it_is_written(logrotate: str, tmp_path: Path) -> None:
    log, rules = tmp_path / "consumer.log", tmp_path / "rules"
    text = (DEPLOY / "logrotate").read_text()
    assert text.count("/var/log/duey/*.log") == text.count("su duey duey") == 1
    rules.write_text(text.replace("/var/log/duey/*.log", str(log)).replace("    su duey duey\n", ""))
    with log.open("a") as writer:  # as logging opens it
        for line in ("before\n", "after\n"):
            writer.write(line)
            writer.flush()
            assert log.read_text() == line
            words = [logrotate, "--force", "--state", str(tmp_path / "state"), str(rules)]
            subprocess.run(words, check=True, capture_output=True, timeout=60)
    assert (tmp_path / "consumer.log.1").read_text() == "after\n"
