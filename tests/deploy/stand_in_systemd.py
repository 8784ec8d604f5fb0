#!/usr/bin/python3
"""Stands in for systemd in a chroot, where it cannot be process 1: `systemctl` and `systemd-run`, as far as the units
and commands of docs/production.md use them. It runs with nothing but Python 3.

A unit is started as its file says: user, folder, state folder, umask, credentials, environment, NOTIFY_SOCKET. It
counts as started when it has sent READY=1. What protects the machine from the service (ProtectSystem and so on) is
left out; tests/deploy/test_units.py has systemd check that.
"""

import fnmatch
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

UNITS, RUN = Path("/etc/systemd/system"), Path("/run/stand-in")


def settings_of(name):
    """The settings of a unit, the last value of each; %i is what follows the @."""
    stem, _, instance = name.partition("@")
    text = (UNITS / (f"{stem}@.service" if "@" in name else f"{name}.service")).read_text()
    return dict(re.findall(r"^(\w+)=(.*)$", text.replace("%i", instance), re.MULTILINE))


def prepared(settings, name):
    """The environment of a process with these settings, after its folders are made."""
    account = pwd.getpwnam(settings["User"])
    state = Path("/var/lib", settings["StateDirectory"])
    state.mkdir(exist_ok=True)
    os.chmod(state, int(settings["StateDirectoryMode"], 8))
    os.chown(state, account.pw_uid, account.pw_gid)
    prefix, _, source = settings["LoadCredential"].partition(":")
    credentials = RUN / "credentials" / name
    credentials.mkdir(parents=True, exist_ok=True)
    for secret in Path(source).iterdir():
        copy = credentials / f"{prefix}_{secret.name}"
        copy.write_bytes(secret.read_bytes())
        os.chown(copy, account.pw_uid, account.pw_gid)
        copy.chmod(0o400)
    environ = {"PATH": os.environ["PATH"], "HOME": account.pw_dir, "CREDENTIALS_DIRECTORY": str(credentials)}
    given = Path(settings.get("EnvironmentFile", "-/").lstrip("-"))
    if given.is_file():
        environ |= dict(line.split("=", 1) for line in given.read_text().splitlines() if "=" in line)
    return account, environ


def launch(settings, name, words, **options):
    account, environ = prepared(settings, name)
    return subprocess.Popen(
        words, cwd=settings["WorkingDirectory"], env={**environ, **options.pop("env", {})}, user=account.pw_uid,
        group=account.pw_gid, extra_groups=[], umask=int(settings["UMask"], 8), **options,
    )  # fmt: skip


def run(arguments):
    """systemd-run --wait --pipe."""
    settings = {}
    while arguments[0].startswith("--"):
        option = arguments.pop(0)
        if option.startswith("--property="):
            key, _, value = option.removeprefix("--property=").partition("=")
            settings[key] = value
    return launch(settings, f"run-{os.getpid()}", arguments).wait()


def pid_of(name):
    """The process of a unit that runs, or None."""
    try:
        pid = int((RUN / f"{name}.pid").read_text())
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return None if state == "Z" else pid
    except (OSError, ValueError):
        return None


def start(name):
    if pid_of(name):
        return 0
    settings = settings_of(name)
    address = RUN / f"{name}.notify"
    address.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(address))
    address.chmod(0o666)
    listening.settimeout(1)
    with open(f"/var/log/{name}.log", "ab") as log:
        process = launch(
            settings, name, settings["ExecStart"].split(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, env={"NOTIFY_SOCKET": str(address), "JOURNAL_STREAM": "1:2"},
        )  # fmt: skip
    (RUN / f"{name}.pid").write_text(str(process.pid))
    until = time.monotonic() + float(settings["TimeoutStartSec"])
    while time.monotonic() < until and process.poll() is None:
        try:
            if "READY=1" in listening.recv(4096).decode().split("\n"):
                return 0
        except TimeoutError:
            continue
    last = Path(f"/var/log/{name}.log").read_text().strip().splitlines()[-1:]
    print(f"Job for {name}.service failed: {' '.join(last)}", file=sys.stderr)
    return 1


def stop(name):
    pid = pid_of(name)
    if pid is None:
        return 0
    os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + float(settings_of(name)["TimeoutStopSec"])
    while pid_of(name):
        if time.monotonic() > until:
            os.killpg(pid, signal.SIGKILL)
            print(f"{name}.service: stop timed out", file=sys.stderr)
            return 1
        time.sleep(0.05)
    return 0


def nginx(verb):
    running = Path("/run/nginx.pid").exists() and Path("/run/nginx.pid").read_text().strip()
    words = {"stop": ["-s", "stop"], "reload": ["-s", "reload"]}.get(verb, []) if running else []
    return 0 if verb == "stop" and not running else subprocess.run(["/usr/sbin/nginx", *words]).returncode


def control(arguments):
    """systemctl."""
    verb, *rest = [each for each in arguments if each != "--now"]
    if verb == "daemon-reload":
        for unit in UNITS.glob("*.service"):
            assert settings_of(unit.stem.replace("@", "@x"))["ExecStart"], unit
        return 0
    known = [path.stem for path in RUN.glob("*.pid")]
    names = [name for each in rest for name in (fnmatch.filter(known, each) if "*" in each else [each])]
    status = 0
    for name in names:
        if name == "nginx":
            status |= nginx(verb)
            continue
        if verb in ("stop", "restart"):
            status |= stop(name)
        if verb in ("start", "restart", "enable"):
            status |= start(name)
        if verb == "reload" and (pid := pid_of(name)):
            os.kill(pid, signal.SIGHUP)
        if verb == "is-active" and not pid_of(name):
            status = 3
    return status


if __name__ == "__main__":
    RUN.mkdir(exist_ok=True)
    sys.exit((run if sys.argv[0].endswith("systemd-run") else control)(sys.argv[1:]))
