"""The house rules that a machine can hold: who may know whom, how long files are, what is never committed.

The rooms need not be there yet. A rule that finds something names file, line and rule.
"""

import functools
import io
import os
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

from docs.generate import generated
from tests.support import rows
from tests.support.imports import ROOMS, room_of, violations
from tests.support.pages import DOCS, FENCE, PAGES, anchors, fragments, text_of

ROOT = Path(__file__).resolve().parent.parent
NO_ROOMS = ("tests", "bench", "docs", "deploy")  # they may import anything, and nothing imports them
LONGEST_LINES = 300
BINARY = {".png", ".ico", ".woff2", ".gz", ".db"}


@functools.cache
def files() -> list[Path]:
    """Every file of the project; not what tools and the service leave behind."""
    found: list[Path] = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [
            name
            for name in folders
            if (not name.startswith(".") or name in (".ci", ".github"))
            and name not in ("__pycache__", "data", "node_modules")
            and not Path(folder, name, "pyvenv.cfg").exists()
        ]
        found += [Path(folder, name) for name in names if Path(folder, name).is_file()]
    return found


@functools.cache
def text_of_file(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def ours() -> Iterator[tuple[Path, str]]:
    """What runs in the service, in Python and Lua, with its text."""
    for file in files():
        if file.suffix in (".py", ".lua") and file.relative_to(ROOT).parts[0] in ("duey", "monitor"):
            yield file, text_of_file(file)


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def room_files() -> Iterator[Path]:
    return (file for file in files() if file.suffix == ".py" and file.relative_to(ROOT).parts[0] not in NO_ROOMS)


def test_each_room_knows_only_whom_it_may():
    found = []
    for file in room_files():
        package = file.name == "__init__.py"
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        module = f"duey.{module}" if module.split(".")[0] == "monitor" else module  # what duey/monitor links to
        for line, sentence in violations(module, text_of_file(file), package=package):
            found.append(f"{name_of(file)}:{line}: {sentence}")
    assert not found, "\n" + "\n".join(found)


ALLOWED = [
    ("duey.config.reader", "from duey.config import table\nimport json"),
    ("duey.storage.sqlite.workers", "from ...errors import DueyError"),
    ("duey.tasks.signature", "import annotationlib"),
    ("duey.control.call", "import pydantic"),
    ("duey.scheduling.scheduler", "import cronsim, huey.api"),
    ("tasks", "import requests, duey.recipes.mail, sqlite3, periodic"),
    ("periodic", "from duey import huey\nimport tasks"),
    ("duey.recipes.webhook", "from . import Refused"),
    ("duey.monitor.history.recording.recorder", "from duey import errors\nimport duey.model.event"),
    ("duey.monitor.web.pages", "from ...control.service import Control\nimport bottle"),
    ("duey.api.jobs", "from duey.model.job import Job\nfrom prometheus_client import Counter"),
    ("app", "from duey.server.main import main"),
]
REFUSED = [
    ("duey.config.reader", "import huey"), ("duey.model.job", "from duey.storage import contract"),
    ("duey.storage.sqlite.steps.claim", "from duey.execution import outcomes"),
    ("duey.storage.sqlite.steps.claim", "from ....worker import prefetcher"), ("duey.worker.process", "import bottle"),
    ("duey.worker.process", "import pydantic"), ("duey.tasks.signature", "import pydantic"),
    ("duey.execution.huey", "from duey.control.call import bind"), ("duey.control.service", "import peewee"),
    ("duey.control.service", "from duey.monitor.history import queries"), ("duey.control.service", "import tasks"),
    ("duey.control.service", "def f():\n    import importlib; importlib.import_module('bottle')"),
    ("duey.recipes.mail", "from duey import huey"), ("duey.server.main", "import tasks"),
    ("duey.server.main", "import app"), ("periodic", "import app"),
    ("duey.monitor.history.recording.recorder", "import duey.instance"),
    ("duey.monitor.history.recording.recorder", "from duey.monitor import access"),
    ("duey.monitor.access.tokens", "from ..web import pages"), ("duey.monitor.web.pages", "import peewee"),
    ("duey.monitor.web.pages", "from duey import huey"), ("duey.api.jobs", "from duey.monitor import web"),
    ("app", "import consumer"), ("consumer", "import bottle"), ("helpers", "import os"),
]  # fmt: skip


def test_the_import_rule_tells_right_from_wrong():
    assert [each for each in ALLOWED if violations(*each)] == []
    assert [each for each in REFUSED if len(violations(*each)) != 1] == []


def test_a_violation_names_its_line_and_the_rule():
    assert violations("consumer", "import os\n\nimport bottle\n") == [
        (3, "consumer imports bottle, but may import: duey")
    ]


def test_relative_imports_of_a_package_start_at_the_package():
    assert violations("duey.monitor.access", "from . import tokens", package=True) == []
    assert len(violations("duey.monitor.access", "from ..history import queries", package=True)) == 1


def test_nothing_may_import_the_programs():
    for room in ("app", "consumer", "manage"):
        assert not [each for each, allowed in ROOMS.items() if room in allowed]
        assert room_of(room) == room


def test_no_file_is_too_long():
    found = []
    for file in files():
        if file.suffix in (".py", ".lua") and file.relative_to(ROOT).parts[0] != "tests":
            lines = len(text_of_file(file).splitlines())
            if lines > LONGEST_LINES:
                found.append(f"{name_of(file)}: {lines} lines, at most {LONGEST_LINES}: does it still hold one noun?")
    assert not found, "\n" + "\n".join(found)


# What is called otherwise now: the field's word for it is in docs/internals. Whole identifiers in Python and Lua.
OLD_WORDS = {
    "Desk": "Prefetcher", "DeskWorker": "PrefetchWorker", "_watchman": "_flush_stale", "plans_of": "worker_specs",
    "shares_of": "pools_of", "Life": "Presence", "RedisLife": "RedisPresence", "Ringer": "Notifier",
    "ring_workers": "notify_workers", "ring_waiters": "notify_waiters", "CommitGate": "GroupCommit",
    "pass_through": "submit", "Acceptance": "EnqueueResult", "Deferral": "EnqueueAnswer",
    "DeferringHuey": "EnqueuingHuey", "let_through": "unblock", "open_places": "free_slots",
    "bring_tokens": "refill_tokens", "hand_token": "manual_token", "give_back": "release_claims",
    "keep_house": "run_maintenance", "bury": "reap", "burial": "reaper", "Corpse": "DeadPresence",
    "SqliteLedger": "SqliteScheduleStore", "RedisLedger": "RedisScheduleStore", "Firing": "Tick",
    "SlotRow": "OccurrenceRow", "IF_FREE": "SKIP_IF_RUNNING", "IN_LINE": "QUEUE_BEHIND", "Books": "History",
    "BooksUnavailable": "HistoryUnavailable", "books_stamp": "history_etag", "Shelf": "HistoryStatus",
    "House": "Services", "Visit": "Request", "Office": "CliContext", "Turnstile": "MetricsAuth",
    "current_body": "current_job_context", "BodyLog": "JobLog", "look_over": "warn_every_minute",
    "parked": "blocked", "unpark": "unblock", "unpark_tasks": "unblock_tasks", "park_paused": "block_paused",
    "deliveries": "crashes", "stop_asked": "stop_requested", "defer_batch": "enqueue_batch",
    "Composer": "Outcomes", "storage.compose": "huey.outcomes", "Settlement": "Outcome", "settlement": "outcome",
    "settlements": "outcomes", "settlement_count": "outcome_count", "after_settlement": "after_outcome",
    "Told": "Showing", "crew": "worker_threads", "duey_books_up": "duey_history_up", "stand_ready": "make_ready",
    "_told": "_named_error", "_bell": "_pipe", "PARK_STEP": "BLOCK_STEP",
}  # fmt: skip
# As names they do not say what a variable holds.
VERBS_AS_NAMES = {"said", "told", "met", "stand", "standing", "stood"}
# What reads the formats of older versions names what they hold.
OLD_WORDS_MAY_STAND_IN = ("schema.py", "open.lua", "outbox.py", "projection.py")


def test_the_pages_that_the_code_names_exist():
    named = {(name_of(file), page) for file, text in ours() for page in re.findall(r"docs/[\w/-]+\.md", text)}
    assert named, "no page is named"
    assert not [f"{file}: {page}" for file, page in sorted(named) if not (ROOT / page).is_file()]


def test_old_words_are_gone():
    found = []
    pattern = re.compile(r"\b(" + "|".join(OLD_WORDS) + r")\b")
    for file, text in ours():
        for number, line in enumerate(text.splitlines(), 1):
            if file.name not in OLD_WORDS_MAY_STAND_IN and (match := pattern.search(line)):
                found.append(f"{name_of(file)}:{number}: {match[0]} is called {OLD_WORDS[match[0]]} now")
    assert not found, "\n" + "\n".join(found)


def names_in(file: Path, text: str) -> Iterator[tuple[int, str]]:
    """The line and text of each name in Python or Lua code, apart from comments and strings."""
    if file.suffix == ".py":
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        yield from ((token.start[0], token.string) for token in tokens if token.type == tokenize.NAME)
    else:
        for number, line in enumerate(text.splitlines(), 1):
            code = re.sub(r"'[^']*'|\"[^\"]*\"|--.*", "", line)
            yield from ((number, name) for name in re.findall(r"[A-Za-z_]\w*", code))


def test_names_say_what_they_hold():
    found, word = [], re.compile(rf"\b_*({'|'.join(VERBS_AS_NAMES)})_*\b")
    for file, text in ours():
        if word.search(text):  # to take all files apart takes long
            for number, name in names_in(file, text):
                if name.strip("_") in VERBS_AS_NAMES:
                    found.append(f"{name_of(file)}:{number}: {name}: name what it holds")
    assert not found, "\n" + "\n".join(found)


def test_nothing_that_git_ignores_is_committed():
    """A checkout of it would put it over what stands there: a link `.venv` over the environment."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert not found, f"expected nothing, found these: take them out with git rm --cached\n{found}"


def test_no_path_of_somebodys_machine_is_committed():
    # Where this checkout and its Python stand; short ones such as /app or /usr are words of their own.
    places = {str(ROOT), sys.prefix, str(Path.home())}
    places = {re.escape(place) for place in places if len(Path(place).parts) > 2 and not place.startswith("/usr")}
    pattern = re.compile("|".join([*sorted(places), r"(?<![\w.$}~<-])/(?:home|Users|root)/\w"]))
    found = []
    for file in files():
        if file.suffix in BINARY:
            continue
        for number, line in enumerate(text_of_file(file).splitlines(), 1):
            if match := pattern.search(line):
                found.append(f"{name_of(file)}:{number}: {match[0]} is a path of one machine: make it relative")
    assert not found, "\n" + "\n".join(found)


@rows("name", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_are_pinned(name):
    pinned = re.compile(
        r"(-r requirements\.txt|[A-Za-z0-9_.-]+(\[\w+\])?==[0-9][^\s,;*]*(; python_version [<>]=? \"3\.\d+\")?)"
    )
    lines = [line.split(" #")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
    lines = [line.rstrip() for line in lines if line and not line.startswith("#")]
    assert lines
    assert [line for line in lines if not pinned.fullmatch(line)] == []


def test_generated_files_are_up_to_date():
    stale = [name_of(path) for path, text in generated().items() if path.read_text(encoding="utf-8") != text]
    assert not stale, f"{', '.join(stale)} do not match the code: run make docs"


def test_what_the_internals_name_exists():
    code = "\n".join(text_of_file(file) for file in files() if file.suffix in (".py", ".lua"))
    tests = {file.stem for file in (ROOT / "tests").rglob("test_*.py")}
    found = []
    for page in (ROOT / "docs" / "internals").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"`([^`\s]+)`", text):
            is_path = name.split("/")[0] in ("duey", "monitor", "tests", "bench") and "/" in name
            is_test = re.fullmatch(r"test_\w+", name) is not None
            is_class = re.fullmatch(r"([A-Z][a-z]+){2,}", name) is not None
            known = (ROOT / name).exists() if is_path else name in tests if is_test else name in code
            if (is_path or is_test or is_class) and not known:
                found.append(
                    f"docs/internals/{page.name} names {name}, which does not exist: say what it is called now"
                )
        for link in re.findall(r"\]\(([^)#:]+)", text):
            if not (page.parent / link).exists():
                found.append(f"docs/internals/{page.name} links to {link}, which does not exist")
    assert not found, "\n" + "\n".join(sorted(set(found)))


def test_every_link_and_anchor_of_the_pages_leads_somewhere():
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


def test_the_tests_that_a_page_names_exist():
    there = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    missing = set(re.findall(r"`(test_\w+)`", text_of("docs/promises.md"))) - there
    assert missing == set(), "docs/promises.md names the tests that prove it: say what they are called now"


def test_the_messages_that_a_page_quotes_are_those_of_the_code():
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
