"""From nothing to a service and through an upgrade, in a minimal Debian, by the commands of docs/production.md alone.

    python -m tests.deploy.minimal_debian [--base FOLDER]      as root, on a Debian with debootstrap

A chroot that holds only Debian's minimal system, python3, python3-venv and make is given the commit before the newest
change of a schema. Then the code blocks of the page are run as they are: install, accounts, start, proxy. A job runs
through nginx, the service stops and starts, and is upgraded to this commit with its data. The older version is put
back and refused, and the backup is restored. Every step is printed.

What the page leaves to the operator is done here: a certificate, the places of settings in config.ini, and ports that
are free on this machine. systemd cannot run in a chroot; stand_in_systemd.py does what it would.
"""

from __future__ import annotations

import argparse
import configparser
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.support import free_port
from tests.support.pages import FENCE, ROOT, text_of

SCHEMAS = ("monitor/access/schema.py", "monitor/history/schema.py", "duey/storage/sqlite/connection/schema.py")
MIRROR, SUITE = "http://deb.debian.org/debian", "bookworm"
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
CHECKOUT = "/usr/src/duey"


class Failed(Exception):
    """A command did not end as it should."""


def say(text: str) -> None:
    print(text, flush=True)


def blocks_below(page: str, heading: str, kind: str) -> list[str]:
    """The code blocks of a section of a page, up to the next heading of any level."""
    section = text_of(page).partition(f"\n{heading}\n")[2]
    return [
        text for found, _, text in FENCE.findall(re.split(r"^##+ ", section, flags=re.MULTILINE)[0]) if found == kind
    ]


def git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout


class Machine:
    """The chroot, and the steps that are taken in it."""

    def __init__(self, root: Path) -> None:
        self.root, self.port, self.tls_port = root, free_port(), free_port()
        self.began = time.monotonic()

    def step(self, text: str) -> None:
        say(f"\n== {text}  [{time.monotonic() - self.began:.0f} s]")

    def sh(self, script: str, fails: bool = False, stdin: str | None = None) -> str:
        """Run a script in the checkout; return what it printed. `fails`: it must fail."""
        for line in script.replace("\\\n", " ").strip().splitlines():
            say(f"   # {line.strip()}")
        environ = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        kept = re.compile("PIP_|.*_PROXY$|.*_CA_BUNDLE$|SSL_CERT_", re.IGNORECASE)
        environ |= {name: text for name, text in os.environ.items() if kept.match(name)}
        environ |= {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            ["chroot", str(self.root), "sh", "-euc", f"cd {CHECKOUT}\n{script}"], env=environ, input=stdin or "",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900,
        )  # fmt: skip
        for line in done.stdout.strip().splitlines()[-6:]:
            say(f"     {line[:160]}")
        if (done.returncode != 0) != fails:
            raise Failed(
                f"expected this to {'fail' if fails else 'succeed'}, found status {done.returncode}:\n{done.stdout}"
            )
        return done.stdout

    def write(self, path: str, text: str) -> None:
        (self.root / path.lstrip("/")).write_text(text)

    # before the page begins

    def bootstrap(self, base: Path | None) -> None:
        self.step("a minimal Debian with python3, python3-venv and make")
        if base is not None and base.exists():
            subprocess.run(["cp", "-a", f"{base}/.", str(self.root)], check=True)
        else:
            words = [
                "debootstrap",
                "--variant=minbase",
                "--include=python3,python3-venv,make",
                SUITE,
                str(self.root),
                MIRROR,
            ]
            say(f"   # {' '.join(words[:4])} {SUITE}")
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        for name in ("resolv.conf", "hosts"):
            shutil.copy(f"/etc/{name}", self.root / "etc" / name)
        shutil.copy(BUNDLE, self.root / "tmp" / "bundle")
        for kind, where in (("proc", "proc"), ("none", "dev")):
            options = ["-t", kind] if kind == "proc" else ["--bind", "/dev"]
            source = ["proc"] if kind == "proc" else []
            subprocess.run(["mount", *options, *source, str(self.root / where)], check=True)
        (self.root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
        (self.root / "usr/sbin/policy-rc.d").chmod(0o755)
        for name in ("systemctl", "systemd-run"):
            shutil.copy(Path(__file__).with_name("stand_in_systemd.py"), self.root / "usr/local/sbin" / name)
            (self.root / "usr/local/sbin" / name).chmod(0o755)
        (self.root / "etc/systemd/system").mkdir(parents=True, exist_ok=True)
        (self.root / CHECKOUT[1:]).mkdir(parents=True)
        # The machine may reach the network through a proxy with a certificate of its own.
        self.sh("mkdir -p /etc/ssl/certs && cp /tmp/bundle /etc/ssl/certs/ca-certificates.crt")

    def check_out(self, commit: str) -> None:
        folder = self.root / CHECKOUT[1:]
        shutil.rmtree(folder)
        folder.mkdir()
        subprocess.run(["tar", "x", "-C", folder], input=git("archive", commit), check=True)
        say(f"   {CHECKOUT} is {git('log', '-1', '--format=%h %s', commit).decode().strip()[:100]}")
        proxy = folder / "deploy/proxy/nginx.conf"
        text = proxy.read_text().replace("listen 80;", f"listen 127.0.0.1:{free_port()};")
        text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{self.tls_port} ssl;")
        proxy.write_text(text.replace("127.0.0.1:8080", f"127.0.0.1:{self.port}"))

    def configure(self, shown: str) -> None:
        """Set in config.ini what the page shows, and the port."""
        wanted = configparser.ConfigParser(interpolation=None)
        wanted.read_string(shown)
        wanted["web"]["port"] = str(self.port)
        file = self.root / "srv/duey/config.ini"
        text = file.read_text()
        for section in wanted.sections():
            for name, value in wanted[section].items():
                pattern = rf"(^\[{section}\]$(?:\n(?!\[).*)*?\n){name} *=.*$"
                text, found = re.subn(pattern, rf"\g<1>{name} = {value}", text, flags=re.MULTILINE)
                assert found == 1, (section, name)
                say(f"   config.ini: [{section}] {name} = {value}")
        file.write_text(text)

    # what is looked at

    def ask(self, token: str, path: str, body: Any = None) -> Any:
        """A request through nginx."""
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.tls_port}{path}", None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Host": "jobs.example.org"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=40, context=ssl._create_unverified_context()) as answer:
            return json.load(answer)

    def run_job(self, token: str, a: int, b: int) -> str:
        job = self.ask(token, "/api/jobs", {"task": "add", "args": [a, b]})["id"]
        found = self.ask(token, f"/api/jobs/{job}?wait=30")
        say(f"   https: add({a}, {b}) is {found['state']}, result {found['result']}")
        if (found["state"], found["result"]) != ("done", a + b):
            raise Failed(f"expected a job that is done, found {found}")
        return str(job)


def walk(machine: Machine, base: Path | None) -> None:
    page = "docs/production.md"
    install, accounts, start, proxy = blocks_below(page, "## From nothing to a service", "sh")
    (settings,) = blocks_below(page, "## From nothing to a service", "ini")
    (upgrade,) = blocks_below(page, "### Upgrading", "sh")
    (restore,) = blocks_below(page, "## Backup and restore", "sh")
    newest = git("log", "-1", "--format=%H", "--", *SCHEMAS).decode().strip()

    machine.bootstrap(base)
    machine.step("the commit before the newest schema, installed by the page")
    machine.check_out(f"{newest}~1")
    machine.sh(install)
    machine.configure(settings)
    machine.step("accounts, a token, a backup")
    printed = machine.sh(accounts)
    token = re.findall(r"^duy_\S+$", printed, re.MULTILINE)[0]
    machine.step("start")
    machine.sh(start)
    machine.step("a certificate, and nginx in front")
    subject = (
        "-subj /CN=jobs.example.org -keyout /etc/ssl/private/jobs.example.org.key -out /etc/ssl/jobs.example.org.pem"
    )
    machine.sh(f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 {subject}\nrm /etc/nginx/sites-enabled/default")
    machine.sh(proxy)
    machine.step("a job")
    first = machine.run_job(token, 1, 2)
    later = machine.ask(token, "/api/jobs", {"task": "add", "args": [3, 4], "eta": "2035-01-01T00:00:00Z"})["id"]
    machine.step("stop, and start again")
    machine.sh("systemctl stop 'duey-*'")
    machine.sh("systemctl start duey-web duey-consumer@1 duey-consumer@2")
    machine.run_job(token, 5, 6)

    machine.step("upgrade to this commit, with the data")
    machine.check_out("HEAD")
    migrated = machine.sh(upgrade)
    if "will migrate" not in migrated:
        raise Failed("expected the page's `duey check` to say what will be migrated")
    states = [machine.ask(token, f"/api/jobs/{job}")["state"] for job in (first, later)]
    say(f"   the jobs of before: {', '.join(states)}")
    if states != ["done", "scheduled"]:
        raise Failed(f"expected the jobs of before, found {states}")
    after = machine.run_job(token, 7, 8)

    machine.step("the older version again: it refuses the newer files")
    machine.sh("systemctl stop 'duey-*'")
    machine.check_out(f"{newest}~1")
    machine.sh("/opt/duey/bin/pip install --quiet --no-deps .")
    refused = machine.sh("duey check", fails=True) + machine.sh("systemctl start duey-web", fails=True)
    if "Traceback" in refused or "newer" not in refused:
        raise Failed(f"expected one sentence that names a newer version, found {refused}")

    machine.step("the backup of before the upgrade, restored")
    machine.sh(restore)
    found = machine.ask(token, f"/api/jobs/{later}")["state"]
    lost = machine.sh(f"duey job {after}", fails=True) if "duey job " in text_of("docs/commands.md") else ""
    say(
        f"   the job of before is {found}; the one of after the backup is not there{': ' if lost else ''}{lost.strip()}"
    )
    machine.run_job(token, 9, 10)
    machine.step("stop")
    machine.sh("systemctl stop 'duey-*' nginx")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, help="a folder that debootstrap has made before")
    options = parser.parse_args()
    if "DUEY_TEST_UNSHARED" not in os.environ:
        # A mount namespace of its own, so that what is mounted is gone with this program.
        os.environ["DUEY_TEST_UNSHARED"] = "1"
        os.execvp(
            "unshare", ["unshare", "--mount", "--", sys.executable, "-m", "tests.deploy.minimal_debian", *sys.argv[1:]]
        )
    with tempfile.TemporaryDirectory(prefix="duey-debian-", ignore_cleanup_errors=True) as folder:
        machine = Machine(Path(folder))
        Path(folder).chmod(0o755)
        try:
            walk(machine, options.base)
            say(f"\nall of it worked, in {time.monotonic() - machine.began:.0f} s")
            return 0
        except Failed as error:
            say(f"\nFAILED: {error}")
            return 1
        finally:
            if (machine.root / "usr/local/sbin/systemctl").exists():
                words = ["chroot", folder, "/usr/local/sbin/systemctl", "stop", "duey-*", "nginx"]
                subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for where in ("proc", "dev"):
                subprocess.run(["umount", "--lazy", f"{folder}/{where}"], stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
