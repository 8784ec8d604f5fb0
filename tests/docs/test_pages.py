"""The pages for users: links lead somewhere, commands and settings exist, examples do what the pages say.

The examples of tasks.md, queues.md and workflows.md are run by test_tasks_page.py on both storages, those of
schedules.md and monitor.md by tests of their own.
"""

from __future__ import annotations

import ast
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
from typing import Any, NamedTuple

import pytest

from duey.api.problem import KINDS
from duey.cli.main import parsed
from duey.config.table import table
from tests.support.ports import free_port
from tests.support.whole_service import whole_service

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / name for name in ("README.md", "SECURITY.md", "CHANGELOG.md", "llms.txt")] + sorted(DOCS.glob("*.md"))
FENCE = re.compile(r"^```(\w*) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:8080"


class Block(NamedTuple):
    """One code block of a page: ```kind note."""

    kind: str
    note: str
    text: str


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    return [Block(*each) for each in FENCE.findall(text_of(page))]


def commands(page: str) -> Iterator[str]:
    """The lines of the page's shell blocks, without comments, those that go on joined."""
    for block in blocks(page):
        if block.kind == "sh":
            for line in block.text.replace("\\\n", " ").splitlines():
                if line.partition("#")[0].strip():
                    yield line.partition(" #")[0].strip()


# links


def anchors(page: Path) -> set[str]:
    """Those of its headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
        found.add(re.sub(r"[^\w\- ]", "", words).replace(" ", "-"))
    return found


def test_every_link_and_anchor_leads_somewhere() -> None:
    wrong = []
    for page in [*PAGES, *sorted((DOCS / "internals").glob("*.md"))]:
        for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text(encoding="utf-8"))):
            if link.startswith(("http://", "https://", "mailto:")):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.is_relative_to(ROOT) or not target.exists():
                wrong.append(f"{page.name}: {link}: there is no such file in the repository")
            elif anchor and anchor not in anchors(target):
                wrong.append(f"{page.name}: {link}: {target.name} has no such heading")
    assert wrong == []


def test_every_page_is_in_the_readme_and_in_llms_txt() -> None:
    for index in ("README.md", "llms.txt"):
        linked = set(re.findall(r"\]\((docs/[\w-]+\.md)", text_of(index)))
        missing = {f"docs/{page.name}" for page in DOCS.glob("*.md")} - linked
        assert missing == set(), f"{index} names each page"
    lines = text_of("llms.txt").splitlines()
    assert lines[0].startswith("# ") and lines[2].startswith("> ")  # llmstxt.org: a title and a summary
    assert [line for line in lines if line.startswith("- ") and not re.match(r"- \[[^]]+\]\([^)]+\): \w", line)] == []


def test_the_readme_is_short() -> None:
    assert len(text_of("README.md").splitlines()) <= 100


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


def test_no_page_calls_a_python_that_debian_does_not_have() -> None:
    for page in ("README.md", "docs/install.md", "docs/upgrading.md"):
        assert [line for line in commands(page) if re.match(r"python\b", line)] == []


def test_tests_that_a_page_names_exist() -> None:
    there = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    for page in ("docs/promises.md", "docs/internals/reliability.md"):
        missing = set(re.findall(r"`(test_\w+)`", text_of(page))) - there
        assert missing == set(), f"{page} names the tests that prove it"


# testing.md: a project


def test_the_project_of_the_testing_page_passes(tmp_path: Path) -> None:
    for block in blocks("docs/testing.md"):
        if block.kind == "python":
            name, _, source = block.text.partition("\n")
            (tmp_path / name.removeprefix("# ")).write_text(source)
    environ = {name: text for name, text in os.environ.items() if not name.startswith(("DUEY_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
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


# troubleshooting.md: what Duey says


def fragments() -> set[str]:
    """What stands in the texts of the code between what they fill in."""
    found: set[str] = set()
    for file in [*(ROOT / "duey").rglob("*.py"), *(ROOT / "monitor").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= {part for part in re.split(r"%[sdr]|\{\w*\}", node.value) if 5 <= len(part) < 200}
    return found


def test_the_sentences_of_the_troubleshooting_page_are_those_of_the_code() -> None:
    text = text_of("docs/troubleshooting.md")
    storage = text[text.index("## The storage cannot be used") :].partition("## Log-in")[0]
    quoted = re.findall(r"^> (.*)$", text, re.MULTILINE) + re.findall(r"^\| `([^`]+)` \|", storage, re.MULTILINE)
    assert len(quoted) > 30
    known = sorted(fragments(), key=len, reverse=True)
    unknown = []
    for sentence in quoted:
        rest = sentence
        for fragment in known:
            rest = rest.replace(fragment, "\0")
        if len(rest.replace("\0", "")) > 0.5 * len(sentence) or any(len(part) > 18 for part in rest.split("\0")):
            unknown.append(sentence)
    assert unknown == [], "docs/troubleshooting.md quotes what no message of the code says: quote what it says now"
