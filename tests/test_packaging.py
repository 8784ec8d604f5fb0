"""The wheel in an empty environment: it makes a service in an empty folder and runs it beside a user's code."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from duey.tasks.options import HUEYS_OPTIONS, OPTIONS
from duey.tasks.typed import TaskOptions
from tests.support.pages import blocks
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("apprise==", "segno==", "psycopg[binary]==")
# What applications are made of. None of these names may mean anything of ours.
COMMON_NAMES = ("api", "app", "config", "consumer", "engine", "manage", "monitor", "operations", "recipes", "service")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that holds the wheel and what it needs, each by the hash in the lock."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist"), cwd=ROOT)
    (wheel,) = (folder / "dist").glob("*.whl")
    wanted = folder / "wanted.txt"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    wanted.write_text(f"-r {ROOT / 'requirements.lock'}\n{wheel} --hash=sha256:{digest}\n")
    # Without a pip of its own and without compiling what nobody imports: that takes longer than all the rest.
    run(sys.executable, "-m", "venv", "--without-pip", str(folder / "venv"), cwd=folder)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(folder / "venv/bin/python"))
    run(*pip, "install", "--quiet", "--no-compile", "--require-hashes", "-r", str(wanted), cwd=folder)
    for part in folder.glob("venv/lib/*/site-packages/redis*"):  # in the lock, and only an extra of the wheel
        shutil.rmtree(part)
    return folder / "venv" / "bin"


def run(*command: str, cwd: Path, **environ: str) -> str:
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("DUEY_", "PYTHON"))}
    done = subprocess.run(command, cwd=cwd, env={**clean, **environ}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def service(bin: Path, folder: Path) -> Iterator[None]:
    """`duey run` in a folder, once it is ready."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith(("DUEY_", "PYTHON"))}
    command, port = [str(bin / "duey"), "run"], str(free_port())
    process = subprocess.Popen(
        command, cwd=folder, env={**environ, "DUEY_WEB_PORT": port}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    try:
        lines = []
        while not lines or lines[-1] != "ready\n":
            lines.append(process.stdout.readline())
            assert lines[-1], f"it ended before it was ready: {''.join(lines)}"
        yield
    finally:
        process.terminate()
        assert process.wait(60) == 0


def test_a_wheel_makes_a_service_in_an_empty_folder_and_runs_it_beside_a_users_code(
    installed: Path, tmp_path: Path
) -> None:
    duey, folder = str(installed / "duey"), tmp_path / "mine"
    assert "Duey 0." in run(duey, "--version", cwd=tmp_path)
    run(str(installed / "python"), "-m", "duey", "init", str(folder), cwd=tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == [".gitignore", "config.ini", "periodic.py", "tasks.py"]
    for name in ("tasks.py", "periodic.py", "config.ini"):
        assert (folder / name).read_text() == (ROOT / name).read_text()
    again = subprocess.run([duey, "init", str(folder)], capture_output=True, text=True)
    assert again.returncode == 1 and "expected a folder without tasks.py" in again.stderr
    for name in (*COMMON_NAMES, "tasks"):  # the user's own packages, and a package for the module of tasks
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(f"MINE = '{name}'\n")
    names, module = ", ".join(COMMON_NAMES), folder / "tasks" / "__init__.py"
    (folder / "tasks.py").rename(module)
    more = f"import {names}\n\n\n@huey.task()\ndef names():\n    return [each.MINE for each in ({names})]\n"
    module.write_text(f"{module.read_text()}\n\n{more}")
    with service(installed, folder):
        answer = run(duey, "enqueue", "names", "--wait", cwd=folder)
    assert re.findall(r"\w+", answer.splitlines()[-1]) == list(COMMON_NAMES)
    modules = "import importlib.util, sys; sys.path.remove('') if '' in sys.path else None"
    asked = f"{modules}; print([name for name in {COMMON_NAMES!r} if importlib.util.find_spec(name)])"
    assert run(str(installed / "python"), "-I", "-c", asked, cwd=tmp_path) == "[]\n"


def test_task_files_of_users_are_typed(installed: Path, tmp_path: Path) -> None:
    """Those of `duey init`, one that uses everything, and the examples of the pages."""
    for name in ("tests/typing/user_tasks.py", "tasks.py", "periodic.py"):
        (tmp_path / Path(name).name).write_text((ROOT / name).read_text(encoding="utf-8"))
    for page in ("tasks", "queues", "workflows"):
        for n, block in enumerate(each for each in blocks(f"docs/{page}.md") if each.kind == "python"):
            (tmp_path / f"page_{page}_{n}.py").write_text(block.text)
    checker = (sys.executable, "-m", "mypy", "--strict", "--python-executable", str(installed / "python"))
    run(*checker, "--config-file=", *(path.name for path in tmp_path.glob("*.py")), cwd=tmp_path)
    assert set(TaskOptions.__annotations__) == {*OPTIONS, *HUEYS_OPTIONS, "name", "context"} - {
        "timetable", "retries", "retry_delay",
    }, "duey.tasks.typed.TaskOptions names each option that the decorators take"  # fmt: skip


def test_the_wheel_asks_for_what_requirements_txt_pins(installed: Path) -> None:
    (wheel,) = (installed.parents[1] / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        asked = message_from_bytes(archive.read(name)).get_all("Requires-Dist", [])
    pinned = requirements_lines("requirements.txt")
    extra = {line for line in requirements_lines("requirements-dev.txt") if line.startswith(EXTRAS)}
    without = {re.sub("; extra == '(redis|alerts|qr|postgres)'", "", line) for line in asked}
    assert set(map(plain, without)) == set(map(plain, pinned | extra))


def requirements_lines(name: str) -> set[str]:
    lines = (line.split(" #")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return {line for line in lines if line and not line.startswith("#")}


def plain(requirement: str) -> str:
    return requirement.replace("'", '"').replace(" ", "")


def requirements(name: str) -> list[Requirement]:
    """The requirements in a file, without comments, options and hashes."""
    text = re.sub(r"\\\n", "", (ROOT / name).read_text(encoding="utf-8"))
    lines = (re.split(r"\s+#|\s+--hash=", line)[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "--"))]


def test_the_lock_holds_what_requirements_txt_pins_and_all_that_this_needs() -> None:
    lock = requirements("requirements.lock")
    assert set(map(str, requirements("requirements.txt"))) <= set(map(str, lock))
    assert all(re.fullmatch(r"==[\d.]+", str(each.specifier)) for each in lock)
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert len(set(re.findall(r"--hash=sha256:([0-9a-f]{64})$", text, re.MULTILINE))) == len(lock)
    needed = set()
    for full in ("3.10.0", "3.11.0", "3.11.9", "3.12.0", "3.13.0", "3.14.0"):
        python = {"python_version": full.rpartition(".")[0], "python_full_version": full, "extra": ""}

        def applies(each: Requirement, python: dict[str, str] = python) -> bool:
            return each.marker is None or each.marker.evaluate(python)

        held = {each.name for each in lock if applies(each)}
        for name in held - {"async-timeout"}:  # it needs nothing, and is not installed everywhere
            asked = {each.name for each in map(Requirement, requires(name) or ()) if applies(each)}
            assert asked <= held, f"{name} needs {asked - held} on Python {full}"
            needed |= asked
    assert {each.name for each in lock} == {each.name for each in requirements("requirements.txt")} | needed


def test_all_of_the_package_is_in_the_wheel(installed: Path) -> None:
    (wheel,) = (installed.parents[1] / "dist").glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    tracked = run("git", "ls-files", "duey", "monitor", cwd=ROOT).split()
    expected = {name if name.startswith("duey/") else f"duey/{name}" for name in tracked} - {"duey/monitor"}
    assert expected - packed == set()
