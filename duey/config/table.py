"""The table of settings: one class per section of config.ini, one line per key.

Each line is the single source of its key: type, default (text, as it would stand in the file), the parser
that turns text into the value, and the help that stands above the key in config.ini. config.py walks it.
Names with a unit end in it (`lease_s`, `max_body_kb`). A secret is left out of repr().
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from duey.config import values as read
from duey.config.values import Parser, QueueShare


class Key(NamedTuple):
    """One key of the table. `default` is text as it would stand in the file; a secret is never shown."""

    section: str
    name: str
    default: str
    parse: Parser
    help: str
    secret: bool

    @property
    def variable(self) -> str:
        return f"DUEY_{self.section}_{self.name}".upper()


def key(default: str, parse: Parser, help: str, secret: bool = False) -> Any:
    return field(repr=not secret, metadata={"default": default, "parse": parse, "help": help, "secret": secret})


_name = read.matching(read.NAME, "1 to 64 letters, digits or _ . -")
_module = read.matching(r"[^\W\d]\w*(\.[^\W\d]\w*)*", "the name of a Python module")
_word = read.matching(r"[^\s=]+", "a word without spaces")
_prefix = read.matching(r"(/[A-Za-z0-9._~-]+)+", "a path that begins with / and does not end with it")
_redis = read.url("redis://HOST:PORT/N, rediss://HOST:PORT/N or unix:///FILE", "redis", "rediss", "unix")
_web_url = read.url("an http:// or https:// URL", "http", "https")
_origin = read.url("http:// or https://, a host and no path", "http", "https", with_path=False)


@dataclass(frozen=True)
class Storage:
    """Where jobs are kept."""

    backend: str = key("sqlite", read.choice("sqlite", "redis"), "sqlite (one machine) or redis")
    path: Path = key("data/queue.db", read.path, "the queue's file, with sqlite")
    url: str = key("redis://127.0.0.1:6379/0", _redis, "the server, with redis: redis://, rediss:// or unix://", True)
    name: str = key("duey", _name, "prefix of all keys, with redis: services that share a server differ in it")
    durability: str = key(
        "full",
        read.choice("full", "normal"),
        "full: what was accepted survives a power cut; normal: faster, it may lose the last jobs",
    )


@dataclass(frozen=True)
class Tasks:
    """What can be run, and what holds for all tasks that do not say otherwise."""

    modules: tuple[str, ...] = key(
        "tasks, periodic",
        read.entries(_module, 1),
        "modules with decorated functions, from the folder of this file or from PYTHONPATH",
    )
    serializer: str = key(
        "json",
        read.choice("json", "pickle"),
        "json, or pickle where all who can write to the queue are trusted",
    )
    secret: str = key("", read.text, "when set, payloads are signed with it", True)
    secret_previous: tuple[str, ...] = key(
        "", read.entries(read.text), "secrets of before, parted by commas: what is signed with one is still read", True
    )
    max_crashes: int = key("3", read.whole(1), "a job whose worker died this often is failed")
    retries: int = key("0", read.whole(0), "attempts after the first, where a task does not say")
    backoff_s: float = key(
        "0",
        read.number(0, "seconds"),
        "wait before the first retry, where a task does not say; then doubled up to an hour, less up to half by chance",
    )
    result_ttl_s: float = key("86400", read.number(0, "seconds"), "how long a result is kept with the queue")
    max_pending: int = key("0", read.whole(0), "above so many waiting jobs new ones are refused; 0: no limit")


@dataclass(frozen=True)
class Consumer:
    """The process that runs jobs."""

    queues: tuple[QueueShare, ...] = key(
        "default", read.queue_shares, "name or name:workers, * for the rest: default:3, slow:1, *:0"
    )
    order: str = key(
        "strict",
        read.choice("strict", "weighted"),
        "strict: in the order of the list, numbers reserve workers; weighted: numbers say how often one comes first",
    )
    workers: int = key("4", read.whole(1, 1000), "jobs at once")
    worker_type: str = key("thread", read.choice("thread", "process"), "thread or process")
    lease_s: float = key("15", read.number(0.1, "seconds"), "a consumer unheard of for so long is taken for dead")
    heartbeat_s: float = key("3", read.number(0.01, "seconds"), "how often it says that it lives; less than lease_s")
    shutdown_timeout_s: float = key("25", read.number(0, "seconds"), "how long running jobs may finish at a stop")


@dataclass(frozen=True)
class Schedule:
    """The timetable."""

    timezone: str = key("UTC", read.zone, "zone of schedules that name none, such as Europe/Zagreb")
    catch_up: str = key(
        "once",
        read.choice("skip", "once", "all"),
        "what was missed while nothing ran: skip, once (one run for all of it) or all",
    )
    catch_up_window_s: float = key("86400", read.number(0, "seconds"), "what was missed longer ago is left alone")


@dataclass(frozen=True)
class Service:
    """The service as people see it."""

    name: str = key("Duey", read.matching(".{1,64}", "1 to 64 printable characters"), "shown in title and header")


@dataclass(frozen=True)
class Web:
    """The web process."""

    host: str = key("127.0.0.1", read.host, "address to listen on; 0.0.0.0 for all")
    port: int = key("8080", read.whole(0, 65535), "port to listen on; 0: any free one")
    threads: int = key("8", read.whole(1, 1000), "requests at once; at most half of them may be long polls")
    url_prefix: str = key("", read.or_empty(_prefix), "path below which everything lives, such as /duey")
    public_url: str = key(
        "", read.or_empty(_origin), "scheme and host that people use, without url_prefix: https://example.org"
    )
    trusted_proxy: str = key("", read.or_empty(read.host), "address of the proxy whose X-Forwarded headers count")
    max_body_kb: int = key("1024", read.whole(1), "larger request bodies are refused")


@dataclass(frozen=True)
class Monitor:
    """The books: what happened to each job."""

    database: str = key("sqlite:///data/monitor.db", read.database, "where the books are kept")
    backlog_rows: int = key("1000000", read.whole(1), "above so many unread events, successes are only counted")
    retention_days: float = key("30", read.number(0, "days"), "ended jobs older than this are removed")
    retention_rows: int = key("1000000", read.whole(1), "at most so many jobs are kept")
    keep_failed_days: float = key("180", read.number(0, "days"), "failed jobs can be retried for so long")
    max_value_kb: int = key("16", read.whole(1), "longer arguments and results are cut in the books")
    redact: tuple[str, ...] = key(
        "password, token, secret, authorization, api_key",
        read.entries(_word),
        "arguments of such names are hidden, and those of pwd, cookie, session and the like; -NAME: not this one",
    )


@dataclass(frozen=True)
class Auth:
    """Who may enter."""

    database: str = key("sqlite:///data/access.db", read.database, "where accounts, sessions and tokens are kept")
    session_hours: float = key("12", read.number(0.01, "hours"), "how long a login lasts after its last use")
    session_days: float = key("7", read.number(0.01, "days"), "how long a login lasts, however it is used")
    login_attempts: int = key("10", read.whole(1), "failed logins per address in 15 minutes before it must wait")
    audit_days: float = key("365", read.number(1, "days"), "how long the audit is kept")
    metrics_token: str = key("", read.text, "when set, /metrics asks for it", True)


@dataclass(frozen=True)
class Webhook:
    """The webhook task."""

    allow_hosts: tuple[str, ...] = key(
        "",
        read.entries(read.host_pattern),
        "hosts it may call, *.NAME for all below one; empty: all public ones",
    )
    allow_ports: tuple[int, ...] = key(
        "80, 443", read.entries(read.whole(1, 65535)), "ports of hosts that allow_hosts does not name exactly"
    )
    timeout_s: float = key("10", read.number(0.01, "seconds"), "time for one call, in seconds")


@dataclass(frozen=True)
class Files:
    """The tasks that read and write files."""

    allow_folders: tuple[Path, ...] = key(
        "data/files", read.entries(read.path), "folders that these tasks may use; empty: none"
    )


@dataclass(frozen=True)
class Smtp:
    """The e-mail task."""

    host: str = key("", read.or_empty(read.host), "the mail server; empty: no mail can be sent")
    port: int = key("587", read.whole(1, 65535), "its port")
    username: str = key("", read.text, "empty: no login")
    password: str = key("", read.text, "password of the login", True)
    starttls: bool = key("yes", read.yes_no, "encrypt before anything is said: yes or no")
    sender: str = key("", read.text, "address in From, where a call names none")
    allow_senders: tuple[str, ...] = key(
        "", read.entries(read.text), "other addresses that a call may name as its sender"
    )
    allow_recipients: tuple[str, ...] = key("", read.entries(read.host), "domains that mail may go to; empty: all")


@dataclass(frozen=True)
class Periodic:
    """The tasks of periodic.py."""

    heartbeat_url: str = key("", read.or_empty(_web_url), "a dead man's switch, fetched regularly; empty: none")
    backup_folder: Path = key("data/backups", read.path, "where the nightly backup goes")
    backup_keep: int = key("7", read.whole(1), "how many backups are kept")


@dataclass(frozen=True)
class Log:
    """The log of the processes."""

    level: str = key(
        "INFO",
        read.choice("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
        "the least that is written: DEBUG, INFO, WARNING, ERROR or CRITICAL",
    )
    format: str = key("text", read.choice("text", "json"), "text or json (one object a line)")


@dataclass(frozen=True)
class Settings:
    """All settings. `source` is the file they came from (it need not exist), `root` its folder."""

    storage: Storage
    tasks: Tasks
    consumer: Consumer
    schedule: Schedule
    service: Service
    web: Web
    monitor: Monitor
    auth: Auth
    webhook: Webhook
    files: Files
    smtp: Smtp
    periodic: Periodic
    log: Log
    root: Path
    source: Path


SECTIONS: dict[str, Any] = {name: kind for name, kind in get_type_hints(Settings).items() if is_dataclass(kind)}


def table() -> Iterator[Key]:
    """Every key there is, in the order of the file."""
    for section, kind in SECTIONS.items():
        for each in fields(kind):
            yield Key(section=section, name=each.name, **each.metadata)
