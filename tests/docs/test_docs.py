"""The pages for users: commands and settings exist, examples do what the pages say.

The examples of tasks.md, queues.md and workflows.md are run by test_tasks_docs.py on both storages, those of
schedules.md and monitor.md by tests of their own. tests/test_house.py looks at links, and at messages that are quoted.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import duey
from duey.api.answer import KINDS
from duey.cli.context import ATTENTION
from duey.cli.main import parsed
from duey.config import load
from duey.config.table import table
from tests.contracts.rig import run_all
from tests.support.pages import DOCS, PAGES, ROOT, blocks, commands, text_of
from tests.support.ports import free_port
from tests.support.whole_service import whole_service

ADDRESS = "http://127.0.0.1:8080"


def test_the_readme_is_short_and_every_page_is_in_it_and_in_llms_txt() -> None:
    for index in ("README.md", "llms.txt"):
        linked = set(re.findall(r"\]\((docs/[\w-]+\.md)", text_of(index)))
        missing = {f"docs/{page.name}" for page in DOCS.glob("*.md")} - linked
        assert missing == set(), f"{index} names each page"
    lines = text_of("llms.txt").splitlines()
    assert lines[0].startswith("# ") and lines[2].startswith("> ")  # llmstxt.org: a title and a summary
    assert [line for line in lines if line.startswith("- ") and not re.match(r"- \[[^]]+\]\([^)]+\): \w", line)] == []
    assert len(text_of("README.md").splitlines()) <= 100
    for page in ("README.md", "docs/install.md", "docs/upgrading.md"):  # Debian has no `python`
        assert [line for line in commands(page) if re.match(r"python\b", line)] == []


# what a page names


def test_commands_of_the_pages_are_understood(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        inline = re.findall(r"`(duey [^`]+)`", text) if page.name not in ("CHANGELOG.md", "commands.md") else []
        lines = [line for line in commands(str(page.relative_to(ROOT))) if line.startswith("duey ")]
        for line in [*inline, *lines]:
            words = shlex.split(line)[1:]
            if "..." in line or words[0].isupper() or words == ["--version"]:
                continue
            try:
                parsed([word if word != "S" else "1" for word in words])
            except SystemExit:
                wrong.append(f"{page.name}: {line}: {capsys.readouterr().err.splitlines()[-1]}")
    assert wrong == []


def test_settings_of_the_pages_exist() -> None:
    known = {(each.section, each.name) for each in table()}
    variables = {each.variable for each in table()} | {"DUEY_CONFIG", "DUEY_SECTION_KEY"}
    wrong = []
    for page in [each for each in PAGES if each.name not in ("CHANGELOG.md", "upgrading.md")]:
        text = page.read_text(encoding="utf-8")
        wrong += [f"{page.name}: [{a}] {b}" for a, b in re.findall(r"`\[(\w+)\] (\w+)", text) if (a, b) not in known]
        wrong += [f"{page.name}: {name}" for name in re.findall(r"\bDUEY_\w+", text) if name not in variables]
    assert wrong == []


# testing.md: a project


def test_the_project_of_the_testing_page_passes(tmp_path: Path) -> None:
    for block in blocks("docs/testing.md"):
        if block.kind == "python":
            name, _, source = block.text.partition("\n")
            (tmp_path / name.removeprefix("# ")).write_text(source)
    environ = {name: text for name, text in os.environ.items() if not name.startswith(("DUEY_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis", "--rootdir=.", "."],
        cwd=tmp_path, env={**environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr


# README.md and http-api.md: a running service


class Running:
    """`duey run` in a folder that `duey init` made, with the task of the README."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.token, self.job = folder / "my-service", free_port(), "", ""
        self.environ = {name: text for name, text in os.environ.items() if not name.startswith("DUEY_")}
        self.environ |= {"PYTHONPATH": str(ROOT), "DUEY_WEB_PORT": str(self.port)}
        self.duey("init", str(self.folder), cwd=folder)
        (source,) = (block.text for block in blocks("README.md") if block.kind == "python")
        with open(self.folder / "tasks.py", "a") as file:
            file.write(source)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "duey", "run"], cwd=self.folder, env=self.environ, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        for line in self.process.stdout:
            self.token = line.split()[1] if line.startswith("  token ") else self.token
            if line == "ready\n":
                return
        raise AssertionError("it ended before it was ready")

    def duey(self, *words: str, cwd: Path | None = None) -> str:
        """Run a command in the service's folder; what it printed."""
        command = [sys.executable, "-m", "duey", *words]
        done = subprocess.run(
            command, cwd=cwd or self.folder, env=self.environ, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def curl(self, line: str) -> tuple[int, Any]:
        """What `curl` would do: the status and the JSON of the answer."""
        filled = line.replace("$TOKEN", self.token).replace("$JOB", self.job)
        words = shlex.split(filled.replace(ADDRESS, ""))[1:]
        method, path, headers, body = "", "", {}, None
        while words:
            word = words.pop(0)
            if word == "-X":
                method = words.pop(0)
            elif word == "-H":
                name, _, value = words.pop(0).partition(": ")
                headers[name] = value
            elif word == "-d":
                body = words.pop(0)
            else:
                assert not word.startswith("-") and not path, f"the test does not know this part of the example: {word}"
                path = word
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)
        connection.request(method or ("GET" if body is None else "POST"), path, body, headers)
        answer = connection.getresponse()
        found = json.loads(answer.read())
        connection.close()
        if answer.status == 202 and "id" in found:
            self.job = found["id"]
        return answer.status, found

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(60) == 0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    service = Running(tmp_path_factory.mktemp("docs"))
    yield service
    service.stop()


def test_the_first_task_of_the_readme(running: Running) -> None:
    lines = list(commands("README.md"))
    assert "duey init my-service" in lines and "duey run" in lines
    (line,) = (each for each in lines if each.startswith("duey enqueue"))
    assert running.duey(*shlex.split(line)[1:]).splitlines()[-1] == '"hello Ana, hello Ana"'
    (line,) = (each for each in lines if each.startswith("curl"))
    status, job = running.curl(line)
    assert (status, job["task"], "url" in job) == (202, "greet", True)


def test_the_commands_of_the_pages_do_their_work(running: Running) -> None:
    lines = [
        line for page in ("access", "schedules", "production", "upgrading", "troubleshooting")
        for line in commands(f"docs/{page}.md") if re.match(r"duey (?!run|web|worker|restore)", line)
    ]  # fmt: skip
    # One process for all, since most of a command is the start of Python.
    program = (
        "import json, sys; from duey.cli.main import main; print(json.dumps([main(a) for a in json.load(sys.stdin)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps([shlex.split(line)[1:] for line in lines]),
        cwd=running.folder, env=running.environ, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert len(lines) > 15 and done.stdout, done.stderr
    statuses = dict(zip(lines, json.loads(done.stdout.splitlines()[-1]), strict=True))
    missed = [line for line in lines if "--slot" in line]  # a slot that nobody missed
    # `status` finds the jobs that the commands before it made fail.
    assert {line for line, status in statuses.items() if status not in (0, ATTENTION)} == set(missed), done.stderr


def differs(shown: Any, found: Any, path: str = "") -> list[str]:
    """Where an answer is not as the page shows it: `...` is any value, and what is left out is not compared."""
    if shown == "...":
        return []
    if isinstance(shown, dict) and isinstance(found, dict):
        return [line for name in shown for line in differs(shown[name], found.get(name, "(missing)"), f"{path}.{name}")]
    if isinstance(shown, list) and isinstance(found, list) and len(shown) <= len(found):
        return [line for n, each in enumerate(shown) for line in differs(each, found[n], f"{path}[{n}]")]
    return [] if shown == found else [f"{path}: the page shows {shown!r}, the answer is {found!r}"]


def test_the_requests_of_the_api_page_are_answered_as_it_says(running: Running) -> None:
    wrong: list[str] = []
    examples = [block for block in blocks("docs/http-api.md") if block.kind in ("sh", "json")]
    first = ""
    for asked, answer in itertools.pairwise(examples):
        if not asked.text.startswith("curl"):
            continue
        line = asked.text.replace("\\\n", " ").strip()
        if "?wait=" in line:
            running.job = first
        status, found = running.curl(line)
        until = time.monotonic() + 20
        while "?state=" in line and differs(json.loads(answer.text), found) and time.monotonic() < until:
            status, found = running.curl(line)  # ended jobs appear in lists a moment later
        first = first or running.job
        if (answer.kind, answer.note) != ("json", str(status)):
            wrong.append(f"{line}: answered {status} {found}")
        else:
            wrong += [f"{line}{each}" for each in differs(json.loads(answer.text), found)]
    assert wrong == []


def test_the_api_page_names_every_problem_and_every_call(tmp_path: Path) -> None:
    text = text_of("docs/http-api.md")
    table_of_errors = text[text.index("## Errors") :]
    for kind, (status, _) in KINDS.items():
        (line,) = re.findall(rf"^\| {status} \|.*$", table_of_errors, re.MULTILINE)
        assert f"`{kind}`" in line, f"the table of errors names {kind}"
    with whole_service(tmp_path) as service:
        for endpoint in service.api.endpoints:
            path = re.sub(r"\{\w+\}", lambda name: "ID" if name[0] == "{id}" else "NAME", endpoint.path)
            stem = path.removesuffix("/resume").removesuffix("/stop").removesuffix("/pause")
            assert path in text or stem in text.replace("$JOB", "ID"), f"the page names {endpoint.method} {path}"


# coming-from.md: what to write


def snippets(page: str) -> Iterator[str]:
    """The code in the second column of its tables."""
    for row in re.findall(r"^\| .+ \| (.+) \|$", text_of(page), re.MULTILINE):
        yield from re.findall(r"`([^`]+)`", row)


def test_what_the_coming_from_page_tells_to_write_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with whole_service(tmp_path) as service:
        huey = service.huey
        monkeypatch.setattr(duey, "huey", huey)
        names = {name: getattr(duey, name) for name in duey.__all__} | {"tell": print, "__name__": "tasks"}
        names["add"] = huey.task(name="add")(lambda a, b: a + b)
        names["total"] = huey.task(name="total")(sum)
        run = huey.task(name="run")(lambda code: exec(code, names))
        wrong, checked = [], 0
        for code in snippets("docs/coming-from.md"):
            if code.startswith("@huey."):
                exec(f"{code}\ndef made{checked}():\n    pass", names)
            elif re.match(r"(add|group|chord|huey|progress|current_job|raise|from)\b", code):
                handle = run(code.replace("timeout=10", "timeout=0.01"))
                run_all(huey)
                error = service.control.job(handle.id).error
                if error and error.type not in ("Retry", "Discard", "ResultTimeout"):
                    wrong.append(f"{code}: {error.type}: {error.message}")
            else:
                continue  # a command, a setting, the name of a fixture: other tests look at these
            checked += 1
        assert wrong == [] and checked > 40
        (block,) = (each.text for each in blocks("docs/coming-from.md") if each.kind == "python")
        exec(block, names)
        assert "etc" in names["nightly_listing"].func()


# settings files that pages show


def test_settings_that_pages_show_are_accepted(tmp_path: Path) -> None:
    shown = [block.text for page in PAGES for block in blocks(str(page.relative_to(ROOT))) if block.kind == "ini"]
    for n, text in enumerate(each for each in shown if not each.startswith("[Definition]")):
        (tmp_path / f"{n}.ini").write_text(text)
        load(tmp_path / f"{n}.ini", {})
