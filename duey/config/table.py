"""The table of settings: one class per section of config.ini, one line per key.

A line is the only definition of its key: type, default (as text, as in the file), parser and help. The reader uses it,
and `make docs` writes config.ini and docs/configuration.md from it. A name that has a unit ends in it (`lease_s`,
`max_body_kb`). Secrets are left out of repr().
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from duey.config import values as read
from duey.config.alerts import Alerts
from duey.config.auth import Auth
from duey.config.key import Key, key
from duey.config.values import QueueShare

_name = read.matching(read.NAME, "1 to 64 letters, digits or _ . -")
_module = read.matching(r"[^\W\d]\w*(\.[^\W\d]\w*)*", "the name of a Python module")
_word = read.matching(r"[^\s=]+", "a word without spaces")
_prefix = read.matching(r"(/[A-Za-z0-9._~-]+)+", "a path that begins with / and does not end with it")
_origin = read.url("http:// or https://, a host and no path", "http", "https", with_path=False)


@dataclass(frozen=True)
class Storage:
    """Where jobs are kept."""

    backend: str = key("sqlite", read.choice("sqlite", "redis"), "sqlite (one machine) or redis")
    path: Path = key("data/queue.db", read.path, "file of the queue (sqlite)")
    url: str = key("redis://127.0.0.1:6379/0", read.redis_url, "address of the server (redis)", True)
    name: str = key("duey", _name, "prefix of all keys (redis); services that share a server need different names")
    durability: str = key(
        "full",
        read.choice("full", "normal"),
        "full: accepted jobs survive a power cut; normal: faster, but the last jobs may be lost",
    )
    replicas: int = key("0", read.whole(0), "replicas that must have a job before it is acknowledged (redis)")


@dataclass(frozen=True)
class Tasks:
    """The tasks, and defaults for those that set no option of their own."""

    modules: tuple[str, ...] = key(
        "tasks, periodic",
        read.entries(_module, 1),
        "modules that define tasks; imported from the folder of config.ini or from PYTHONPATH",
    )
    serializer: str = key(
        "json",
        read.choice("json", "pickle"),
        "format of stored arguments and results; pickle only if everybody who can write to the queue is trusted",
    )
    secret: str = key("", read.text, "if set, stored values are signed with it", True)
    secret_previous: tuple[str, ...] = key(
        "", read.entries(read.text), "earlier secrets: values signed with one of them are still accepted", True
    )
    max_crashes: int = key(
        "3", read.whole(1), "a job fails when its worker process has died this often while running it"
    )
    retries: int = key("0", read.whole(0), "attempts after the first, for tasks that set no retries")
    backoff_s: float = key(
        "0",
        read.number(0, "seconds"),
        "wait before the first retry of tasks without backoff; doubles up to an hour, less a random part of up to half",
    )
    result_ttl_s: float = key(
        "86400",
        read.number(0, "seconds"),
        "how long the queue keeps a result; after that the history's copy is returned",
    )
    max_pending: int = key("0", read.whole(0), "new jobs are refused while so many wait; 0: no limit")


@dataclass(frozen=True)
class Consumer:
    """The process that runs jobs."""

    queues: tuple[QueueShare, ...] = key(
        "default",
        read.queue_shares,
        "queues to serve: name or name:workers, * for all others; for example default:3, slow:1, *:0",
    )
    order: str = key(
        "strict",
        read.choice("strict", "weighted"),
        "strict: queues in the order of the list, numbers reserve workers; weighted: numbers are relative frequencies",
    )
    workers: int = key("4", read.whole(1, 1000), "jobs that run at the same time")
    worker_type: str = key("thread", read.choice("thread", "process"), "thread or process")
    lease_s: float = key("15", read.number(0.1, "seconds"), "a consumer without a heartbeat for so long counts as dead")
    heartbeat_s: float = key("3", read.number(0.01, "seconds"), "interval between heartbeats; less than lease_s")
    shutdown_timeout_s: float = key(
        "25", read.number(0, "seconds"), "time that running jobs get to finish when the consumer stops"
    )
    max_memory_mb: int = key(
        "0",
        read.whole(0),
        "a worker process that has more memory takes no more jobs, and another one takes its place; 0: no limit",
    )

    @property
    def silent_s(self) -> float:
        """A living consumer whose last heartbeat is older is named: it is late, but its lease has not expired yet."""
        return (self.heartbeat_s + self.lease_s) / 2


@dataclass(frozen=True)
class Schedule:
    """Schedules."""

    timezone: str = key("UTC", read.zone, "time zone of schedules that name none, for example Europe/Zagreb")
    catch_up: str = key(
        "once",
        read.choice("skip", "once", "all"),
        "runs missed while no consumer ran: skip: drop them; once: one run for all of them; all: run each",
    )
    catch_up_window_s: float = key(
        "86400", read.number(0, "seconds"), "runs missed longer ago than this are not caught up"
    )


@dataclass(frozen=True)
class Service:
    """How the service presents itself."""

    name: str = key(
        "Duey", read.matching(".{1,64}", "1 to 64 printable characters"), "name in the title and header of the monitor"
    )


@dataclass(frozen=True)
class Web:
    """The web process."""

    host: str = key("127.0.0.1", read.host, "address to listen on; 0.0.0.0: all addresses")
    port: int = key("8080", read.whole(0, 65535), "port to listen on; 0: any free port")
    threads: int = key(
        "8", read.whole(1, 1000), "requests handled at the same time; at most half of them may be long polls"
    )
    url_prefix: str = key("", read.or_empty(_prefix), "path below which everything is served, for example /duey")
    public_url: str = key(
        "", read.or_empty(_origin), "address that people use, without url_prefix, for example https://example.org"
    )
    allow_hosts: tuple[str, ...] = key(
        "",
        read.entries(read.host_pattern),
        "further host names that the service answers to, *.NAME for all below one; see docs/threat-model.md",
    )
    trusted_proxy: str = key(
        "", read.or_empty(read.host), "address of the proxy whose X-Forwarded-* headers are believed"
    )
    max_body_kb: int = key("1024", read.whole(1), "larger request bodies are refused with 413")


@dataclass(frozen=True)
class Monitor:
    """The history: what happened to each job."""

    database: str = key(
        "sqlite:///data/monitor.db",
        read.monitor_database,
        "database of the history; of several webs, postgresql://USER:PASSWORD@HOST/DB",
        True,
    )
    backlog_rows: int = key(
        "1000000",
        read.whole(1),
        "with more unrecorded events than this, successful jobs are only counted, not recorded one by one; with "
        "twice as many, the oldest events are dropped",
    )
    retention_days: float = key("30", read.number(0, "days"), "jobs that ended longer ago are removed")
    retention_rows: int = key("1000000", read.whole(1), "the history keeps at most so many jobs")
    keep_failed_days: float = key("180", read.number(0, "days"), "how long a failed job is kept and can be retried")
    max_value_kb: int = key("16", read.whole(1), "longer arguments and results are truncated in the history")
    redact: tuple[str, ...] = key(
        "password, token, secret, authorization, api_key",
        read.entries(_word),
        "arguments with these names are hidden, besides pwd, cookie, session and similar ones; -NAME: not hidden",
    )


@dataclass(frozen=True)
class Webhook:
    """The task deliver_webhook."""

    allow_hosts: tuple[str, ...] = key(
        "",
        read.entries(read.host_pattern),
        "hosts it may call, *.NAME for all subdomains; empty: all public hosts",
    )
    allow_ports: tuple[int, ...] = key(
        "80, 443",
        read.entries(read.whole(1, 65535)),
        "ports it may use, except on hosts that allow_hosts names exactly",
    )
    timeout_s: float = key("10", read.number(0.01, "seconds"), "time limit of one call")


@dataclass(frozen=True)
class Files:
    """The tasks import_csv and backup_sqlite."""

    allow_folders: tuple[Path, ...] = key(
        "data/files", read.entries(read.path), "folders that they may use; empty: none"
    )


@dataclass(frozen=True)
class Smtp:
    """The mail server, for the task send_email and for alerts."""

    host: str = key("", read.or_empty(read.host), "mail server; empty: no mail can be sent")
    port: int = key("587", read.whole(1, 65535), "port of the mail server")
    username: str = key("", read.text, "user name of the mail server; empty: no login")
    password: str = key("", read.text, "password of the mail server", True)
    starttls: bool = key("yes", read.yes_no, "switch to TLS before logging in or sending")
    sender: str = key("", read.text, "From address of mails that name no sender")
    allow_senders: tuple[str, ...] = key("", read.entries(read.text), "other From addresses that a mail may name")
    allow_recipients: tuple[str, ...] = key(
        "", read.entries(read.host), "domains that mails may be sent to; empty: all"
    )


@dataclass(frozen=True)
class Periodic:
    """The tasks of periodic.py."""

    heartbeat_url: str = key(
        "",
        read.or_empty(read.secret_url("an http:// or https:// URL")),
        "ping of the task heartbeat, which runs every five minutes (a dead man's switch); empty: none",
        True,
    )
    backup_folder: Path = key("data/backups", read.path, "folder of the nightly backup")
    backup_keep: int = key("7", read.whole(1), "how many backups are kept")


@dataclass(frozen=True)
class Log:
    """The log output of the processes."""

    level: str = key(
        "INFO",
        read.choice("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
        "lowest level that is written: DEBUG, INFO, WARNING, ERROR or CRITICAL",
    )
    format: str = key("text", read.choice("text", "json"), "text, or json (one object per line)")
    capture_print: bool = key(
        "no", read.yes_no, "also keep what tasks print with their log lines; a task's capture_print goes first"
    )


@dataclass(frozen=True)
class Settings:
    """All settings. `source` is the file (it need not exist), `root` its folder."""

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
    alerts: Alerts
    root: Path
    source: Path


SECTIONS: dict[str, Any] = {name: kind for name, kind in get_type_hints(Settings).items() if is_dataclass(kind)}


def table() -> Iterator[Key]:
    """Every key, in the order of config.ini."""
    for section, kind in SECTIONS.items():
        for each in fields(kind):
            yield Key(section=section, name=each.name, **each.metadata)
