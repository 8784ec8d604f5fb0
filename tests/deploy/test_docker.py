"""The image and compose.yaml: what a linter and Compose say, and that the files suffice; no engine has to run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.deploy.conftest import DEPLOY, SHUTDOWN_S, served
from tests.support.pages import ROOT

DOCKER = DEPLOY / "docker"
TEXT = (DOCKER / "Dockerfile").read_text()


def test_the_linter_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([str(hadolint), str(DOCKER / "Dockerfile")], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_what_the_image_is_built_from_suffices(tmp_path: Path) -> None:
    lines = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    for name in [line[1:] for line in lines if line.startswith("!")]:
        source, target = ROOT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    for words in re.findall(r"^COPY (?!--from)(.+) \S+$", TEXT, re.MULTILINE):
        assert [name for name in words.split() if not (tmp_path / name).exists()] == []
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, timeout=100)
    assert list((tmp_path / "dist").glob("duey-*.whl"))


def test_the_health_check_asks_the_service(tmp_path: Path) -> None:
    (words,) = re.findall(r"^HEALTHCHECK [^[]*(\[.*\])$", TEXT, re.MULTILINE)
    command = json.loads(words)
    with served(tmp_path, web_url_prefix="/duey") as service:
        code = command[2].replace(":8080/", f":{service.settings.web.port}/")
        exec(code, {})
    with pytest.raises(OSError):
        exec(code, {})


def test_compose_understands_it(compose: str) -> None:
    words = [compose, "--file", str(DOCKER / "compose.yaml"), "--profile", "redis", "config"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert {name: each.get("profiles") for name, each in services.items()} == {
        "web": None, "consumer": None, "redis": ["redis"],
    }  # fmt: skip
    for name in ("web", "consumer"):
        assert seconds(services[name]["stop_grace_period"]) == SHUTDOWN_S, name
        assert services[name]["read_only"] and services[name]["cap_drop"] == ["ALL"], name


def seconds(text: str) -> int:
    """40s and 1m30s, as Compose writes times."""
    return sum(int(number) * {"m": 60, "s": 1}[unit] for number, unit in re.findall(r"(\d+)([ms])", text))
