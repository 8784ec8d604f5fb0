"""Settings and files that are right for a first try and wrong for production: `check --deploy`, a part of `doctor`."""

from __future__ import annotations

import ipaddress
import stat
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from duey.cli.checks import FAIL, OK, WARN, Finding
from duey.cli.checks.backups import backups
from duey.config import secret_files, secrets_in


def findings(settings: Any, tasks: Collection[str], now: float | None = None) -> list[Finding]:
    """One finding for each thing that was checked. `tasks` are the names of the registered tasks."""
    parts = (
        files(settings), signing(settings), network(settings), backups(settings, time.time() if now is None else now),
        limits(settings, tasks),
    )  # fmt: skip
    return [finding for part in parts for finding in part]


def files(settings: Any) -> Iterator[Finding]:
    """Who else may change what the service runs, or read its secrets."""
    source, root = Path(settings.source), Path(settings.root)
    modules = [root / f"{module.replace('.', '/')}.py" for module in settings.tasks.modules]
    ours = [path for path in (source, root, *modules) if path.exists()]
    loose = [path for path in ours if path.stat().st_mode & stat.S_IWOTH]
    for path in loose:
        text = f"every user of this machine can write it, and so run code as the service: chmod o-w {path}"
        yield Finding(FAIL, str(path), text)
    secrets = secrets_in(source)
    if not secrets:
        yield Finding(OK, "secrets", f"{source} contains none")
    elif source.stat().st_mode & (stat.S_IROTH | stat.S_IRGRP):
        level = FAIL if source.stat().st_mode & stat.S_IROTH else WARN
        yield Finding(level, "secrets", f"others can read {', '.join(secrets)} in {source}: chmod 600 {source}")
    else:
        yield Finding(OK, "secrets", f"only the owner of {source} can read them")
    for path in secret_files(source):
        if path.exists() and path.stat().st_mode & (stat.S_IROTH | stat.S_IRGRP):
            level = FAIL if path.stat().st_mode & stat.S_IROTH else WARN
            yield Finding(level, "secrets", f"others can read {path}, which holds one: chmod 600 {path}")
    if not loose:
        yield Finding(OK, "files", "only their owner and group can write settings and task modules")


def signing(settings: Any) -> Iterator[Finding]:
    """What somebody can do who can write to the queue."""
    if settings.tasks.secret:
        yield Finding(OK, "[tasks] secret", "set: stored values are signed")
    elif settings.tasks.serializer == "pickle":
        text = "with pickle and no secret, whoever can write to the queue runs any code as the service: set a secret"
        yield Finding(FAIL, "[tasks] secret", text)
    else:
        text = "empty: whoever can write to the queue can make and change jobs; set one to sign what is stored"
        yield Finding(WARN, "[tasks] secret", text)


def network(settings: Any) -> Iterator[Finding]:
    """Who can reach the port, and what travels unencrypted."""
    web = settings.web
    exposed = not is_loopback(web.host)
    if exposed and not web.trusted_proxy:
        text = (
            f"{web.host} without TLS: passwords and tokens can be read on the way; listen on 127.0.0.1 behind a proxy "
            "with TLS, or set [web] trusted_proxy to its address"
        )
        yield Finding(FAIL, "[web] host", text)
    else:
        behind = f", behind {web.trusted_proxy}: let only that address reach the port" if exposed else ""
        yield Finding(OK, "[web] host", f"{web.host}{behind}")
    if web.public_url.startswith("https://"):
        yield Finding(OK, "[web] public_url", web.public_url)
    elif web.public_url or exposed:
        text = f"expected https://..., found {web.public_url or 'none'}: cookies are not Secure, and there is no HSTS"
        yield Finding(FAIL, "[web] public_url", text)
    else:
        text = "empty: fine on your own machine; otherwise set the https:// address that people use"
        yield Finding(WARN, "[web] public_url", text)
    if settings.auth.metrics_token:
        yield Finding(OK, "[auth] metrics_token", "set")
    elif exposed or web.public_url or web.trusted_proxy:
        text = "empty: anyone can read the names of tasks and their figures at /metrics; set one"
        yield Finding(FAIL if exposed else WARN, "[auth] metrics_token", text)
    else:
        yield Finding(OK, "[auth] metrics_token", "empty: /metrics can be read on this machine only")


def proxy_users(settings: Any) -> Iterator[Finding]:
    """Whether anybody but the proxy can name users."""
    auth, proxy = settings.auth, settings.web.trusted_proxy
    if not auth.remote_user_header:
        return
    if auth.proxy_secret or not is_loopback(proxy):
        yield Finding(OK, "[auth] remote_user_header", f"{auth.remote_user_header}, believed from {proxy}")
    else:
        text = f"every program on this machine can connect from {proxy} and be anybody: set [auth] proxy_secret"
        yield Finding(WARN, "[auth] remote_user_header", text)


def limits(settings: Any, tasks: Collection[str]) -> Iterator[Finding]:
    """What a token with `enqueue` reaches through the example tasks."""
    wide = {
        "deliver_webhook": ("[webhook] allow_hosts", not settings.webhook.allow_hosts, "call every public host"),
        "send_email": (
            "[smtp] allow_recipients", settings.smtp.host and not settings.smtp.allow_recipients,
            "write to every mailbox",
        ),
    }  # fmt: skip
    for task, (setting, is_open, what) in wide.items():
        if task in tasks and is_open:
            text = f"empty: with {task}, whoever may enqueue can {what}; list what you need, or remove the task"
            yield Finding(WARN, setting, text)
        elif task in tasks:
            yield Finding(OK, setting, "limited" if settings.smtp.host or task != "send_email" else "no mail server")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
