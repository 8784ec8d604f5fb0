"""The section [auth]: accounts, sessions, tokens, and people whom a proxy logs in.

With `remote_user_header` the proxy in front says who the user is (docs/single-sign-on.md). What only makes sense
together is checked by `faults`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from duey.config import values as read
from duey.config.key import key

_HEADER = r"(?!(?i:host|cookie|authorization|connection|content-.*|x-forwarded-(for|proto|host))$)[A-Za-z][A-Za-z0-9-]*"
SECRET_HEADER = "X-Duey-Proxy-Secret"
_header = read.matching(_HEADER, "the name of a header of its own, such as Remote-User")
_address = read.matching(
    r"(https?://[^\s/]+)?(/(?!/)[!-~]*)?", "a path such as /oauth2/sign_out, or an http:// or https:// URL"
)


@dataclass(frozen=True)
class Auth:
    """Accounts, sessions and tokens."""

    database: str = key(
        "sqlite:///data/access.db",
        read.monitor_database,
        "database of accounts, sessions, tokens and the audit log; of several webs, postgresql://USER:PASSWORD@HOST/DB",
        True,
    )
    session_hours: float = key("12", read.number(0.01, "hours"), "a session ends when it was not used for so long")
    session_days: float = key("7", read.number(0.01, "days"), "a session ends after this time, even if it is used")
    login_attempts: int = key(
        "10", read.whole(1), "failed logins per address within 15 minutes; after that the address must wait"
    )
    audit_days: float = key("365", read.number(1, "days"), "how long the audit log is kept")
    metrics_token: str = key("", read.text, "if set, /metrics requires it as bearer token", True)
    require_totp: str = key(
        "no", read.choice("no", "admins", "all"), "whose log-in with a password must have a second factor"
    )
    totp_key: str = key(
        "", read.long_secret, "key of the second factors; empty: access.key beside the database, which is made", True
    )
    local_login: bool = key("yes", read.yes_no, "people may log in with a password; no: only by remote_user_header")
    remote_user_header: str = key(
        "",
        read.or_empty(_header),
        "header in which [web] trusted_proxy names the user that it has logged in; see docs/single-sign-on.md",
    )
    proxy_secret: str = key(
        "",
        read.text,
        "if set, the proxy must send it as X-Duey-Proxy-Secret with the user; needed if others reach the port from its "
        "address",
        True,
    )
    remote_groups_header: str = key(
        "", read.or_empty(_header), "header with the user's groups, separated by commas or |; they decide the role"
    )
    admin_groups: tuple[str, ...] = key("", read.entries(read.text), "groups whose members are admins")
    viewer_groups: tuple[str, ...] = key(
        "", read.entries(read.text), "groups whose members are viewers; empty: everybody that the proxy lets in"
    )
    logout_url: str = key("", read.or_empty(_address), "where users of the proxy log out: its path or URL")

    @property
    def identity_headers(self) -> tuple[str, ...]:
        """The headers that only the trusted proxy may set; none without remote_user_header."""
        names = (self.remote_user_header, self.remote_groups_header, SECRET_HEADER)
        return tuple(filter(None, names)) if self.remote_user_header else ()


Place = tuple[str, str]


def faults(values: Mapping[Place, Any]) -> Iterator[tuple[Place, str]]:
    """The keys of [auth] that are in conflict with others, and what was expected and found."""

    def value(name: str) -> Any:
        return values.get(("auth", name))

    if value("require_totp") != "no" and str(value("database")).startswith(read.POSTGRES_URL) and not value("totp_key"):
        yield ("auth", "require_totp"), "expected totp_key to be set, found none; set it to the same text at every web"
    header, groups = value("remote_user_header"), value("remote_groups_header")
    proxy = values.get(("web", "trusted_proxy"))
    if header and proxy is not None and not re.fullmatch("[0-9a-f.:]+", proxy):
        found = f"{proxy or 'none'}; set its address, because nobody else may name users"
        yield ("auth", "remote_user_header"), f"expected [web] trusted_proxy to be an IP address, found {found}"
    if header and groups and header.lower() == groups.lower():
        yield ("auth", "remote_groups_header"), f"expected another header than remote_user_header, found {groups}"
    needs = {
        "remote_groups_header": ("remote_user_header", header),
        "logout_url": ("remote_user_header", header),
        "admin_groups": ("remote_groups_header", groups), "viewer_groups": ("remote_groups_header", groups),
    }  # fmt: skip
    for name, (other, given) in needs.items():
        if value(name) and given == "":
            yield ("auth", name), f"expected {other} to be set, found none; set it, or clear {name}"
    if groups and value("admin_groups") == value("viewer_groups") == ():
        found = "none; name one, or clear remote_groups_header"
        yield ("auth", "remote_groups_header"), f"expected admin_groups or viewer_groups to be set, found {found}"
    if value("local_login") is False and header == "":
        yield (
            ("auth", "local_login"),
            "expected yes without remote_user_header, found no; set one, or nobody can log in",
        )
