"""Parsers of settings, used by duey.config.table.

A parser takes the text and the folder at which relative paths start. It returns the value, or raises `Refused` with
what it expected. It knows neither key nor file; duey.config.reader adds them to the message.
"""

from __future__ import annotations

import configparser
import ipaddress
import os
import re
import zoneinfo
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

Parser = Callable[[str, Path], Any]
SQLITE_URL, POSTGRES_URL = "sqlite:///", "postgresql://"
POSTGRES = f"{POSTGRES_URL}USER:PASSWORD@HOST:PORT/DB"
REDIS_URL = (
    "redis://HOST:PORT/N, rediss://HOST:PORT/N or unix:///FILE; hosts separated by commas where one of them is the "
    "primary; or redis+sentinel://HOST,HOST/NAME"
)
NAME = r"[A-Za-z0-9_.-]{1,64}"
LARGEST = 1_000_000_000


class Refused(Exception):
    """A bad value: what was expected, and the valid spellings if there is a list of them.

    `found` describes the value in words if it must not be shown.
    """

    def __init__(self, expected: str, spellings: Iterable[str] = (), found: str = "") -> None:
        self.expected, self.spellings, self.found = expected, tuple(spellings), found
        super().__init__(expected)


class QueueShare(NamedTuple):
    """One entry of `[consumer] queues`. `*`: all other queues. `workers` None: no number was given."""

    name: str
    workers: int | None


def text(value: str, root: Path) -> str:
    """Printable text on one line, or nothing."""
    if not value.isprintable():
        # Never shown, because this parser reads passwords.
        raise Refused("printable text on one line", found="a line break or a control character")
    return value


def long_secret(value: str, root: Path) -> str:
    """32 or more printable characters, or nothing."""
    if value and (len(value) < 32 or not value.isprintable()):
        raise Refused("32 or more printable characters, or nothing", found=f"{len(value)} characters (not shown)")
    return value


def matching(pattern: str, expected: str) -> Parser:
    """Text that matches the pattern completely."""

    def parse(value: str, root: Path) -> str:
        if not re.fullmatch(pattern, value) or not value.isprintable():
            raise Refused(expected)
        return value

    return parse


def choice(*choices: str) -> Parser:
    """One of the choices, in upper or lower case. Returned as it is spelled here."""

    def parse(value: str, root: Path) -> str:
        for candidate in choices:
            if candidate.lower() == value.lower():
                return candidate
        raise Refused(" or ".join(choices), choices)

    return parse


def whole(low: int, high: int = LARGEST) -> Parser:
    """A whole number from `low` to `high` as int."""

    def parse(value: str, root: Path) -> int:
        if not re.fullmatch(r"[0-9]{1,10}", value) or not low <= int(value) <= high:
            raise Refused(f"a whole number from {low} to {high}")
        return int(value)

    return parse


def number(low: float, unit: str) -> Parser:
    """A number of the unit as float, such as 15 or 0.5."""

    def parse(value: str, root: Path) -> float:
        plain = re.fullmatch(r"[0-9]{1,10}(\.[0-9]{1,10})?", value)
        if not plain or not low <= float(value) <= LARGEST:
            raise Refused(f"a plain number of {unit} from {low:g} to {LARGEST}")
        return float(value)

    return parse


def yes_no(value: str, root: Path) -> bool:
    """yes, true, on, 1 or no, false, off, 0."""
    if value.lower() not in configparser.ConfigParser.BOOLEAN_STATES:
        raise Refused("yes or no", ("yes", "no"))
    return configparser.ConfigParser.BOOLEAN_STATES[value.lower()]


def path(value: str, root: Path) -> Path:
    """An absolute Path. It need not exist."""
    if not value or not value.isprintable():
        raise Refused("a path")
    return Path(os.path.abspath(root / value))


def database(value: str, root: Path) -> str:
    """The URL of a SQLite file, with an absolute path."""
    name = value.removeprefix(SQLITE_URL)
    # In memory each connection would have a database of its own. A `?` would be followed by options; there are none.
    if name in ("", value) or name.startswith(":") or "?" in name or not name.isprintable():
        raise Refused("sqlite:///FILE, or sqlite:////FOLDER/FILE for an absolute path")
    return f"{SQLITE_URL}{path(name, root)}"


def monitor_database(value: str, root: Path) -> str:
    """The URL of a SQLite file, or of a database on a PostgreSQL server."""
    if value.startswith("postgres"):
        return _postgres(value)
    try:
        return database(value, root)
    except Refused as refused:
        raise Refused(f"{refused.expected}, or {POSTGRES}") from None


_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*)(:[0-9]{1,5})?"  # libpq takes several, separated by commas


def _postgres(value: str) -> str:
    # Never shown, because a password with a wrong character in it may end before the @.
    try:
        parts = urlsplit(value)
        if not all(re.fullmatch(_HOST, each) for each in parts.netloc.rpartition("@")[2].split(",")):
            raise ValueError
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        expected = f"{POSTGRES} (in a password, write / ? @ : # and % as %2F %3F %40 %3A %23 and %25)"
        raise Refused(expected, found=outline(value)) from None
    if not value.startswith(POSTGRES_URL) or not parts.path.strip("/") or not re.fullmatch("[!-~]+", value):
        raise Refused(POSTGRES, found=outline(value))
    if not re.fullmatch("[a-z_][a-z0-9_]{0,40}", options.get("schema", "duey")):
        raise Refused("schema= to be small letters, digits and _", found=f"schema={options['schema'][:80]!r}")
    return value


def host(value: str, root: Path) -> str:
    """An IP address or a host name, in lower case."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        # A last label of digits is a mistyped address, not a host name.
        if not re.fullmatch(r"(?=.{1,253}$)([\w-]{1,63}\.)*(?!\d+$)[\w-]{1,63}", value, re.ASCII):
            raise Refused("an IP address or a host name") from None
        return value.lower()


def host_pattern(value: str, root: Path) -> str:
    """A host as above, or `*.example.org` for all of its subdomains."""
    below = "*." if value.startswith("*.") else ""
    try:
        return below + host(value.removeprefix(below), root)
    except Refused:
        raise Refused("an IP address, a host name, or *.NAME for all its subdomains") from None


def or_empty(parse: Parser) -> Parser:
    """The value of `parse`, or '' for an empty text."""

    def parse_or_empty(value: str, root: Path) -> Any:
        try:
            return parse(value, root) if value else ""
        except Refused as refused:
            raise Refused(f"{refused.expected}, or nothing") from None

    return parse_or_empty


def url(expected: str, *schemes: str, with_path: bool = True) -> Parser:
    """A URL of one of the schemes, kept as it is written."""

    def parse(value: str, root: Path) -> str:
        try:
            parts = urlsplit(value)
            _ = parts.port  # raises ValueError where it is no port number
        except ValueError:
            raise Refused(expected) from None
        names_something = parts.path.strip("/") if parts.scheme == "unix" else parts.hostname
        surplus = not with_path and (parts.path or parts.query or parts.fragment)
        if parts.scheme not in schemes or not names_something or surplus or not re.fullmatch("[!-~]+", value):
            raise Refused(expected)
        return value

    return parse


def redis_url(value: str, root: Path) -> str:
    """The URL of a Redis server, of several, or of the Sentinels that know it, kept as it is written."""
    scheme, mark, rest = value.partition("://")
    netloc, path = re.findall(r"^([^/?#]*)(.*)", rest, re.DOTALL)[0]
    login, at, hosts = netloc.rpartition("@")
    one = url(REDIS_URL, "redis", "rediss", "unix")
    sentinels = scheme in ("redis+sentinel", "rediss+sentinel")
    if sentinels and not re.match("/[^/?]", path):
        raise Refused(REDIS_URL)
    for host in hosts.split(","):
        one(f"{scheme.removesuffix('+sentinel') if sentinels else scheme}{mark}{login}{at}{host}{path}", root)
    return value


def secret_url(expected: str) -> Parser:
    """An http:// or https:// URL that requests go to, and that may be a secret: it is not shown."""
    parse = url(expected, "http", "https")

    def parse_secret(value: str, root: Path) -> str:
        try:
            found = parse(value, root)
        except Refused:
            raise Refused(expected, found=outline(value)) from None
        if "@" in urlsplit(found).netloc or "#" in found:
            raise Refused(f"{expected}, without user name, password and #", found=outline(value))
        return str(found)

    return parse_secret


def outline(text: str) -> str:
    """What may be shown of a URL that may be a secret: its scheme, or that it has none."""
    scheme, found, _ = text.partition("://")
    return f"a URL of the scheme {scheme[:20]!r} (not shown, it may be secret)" if found else "a text without ://"


def without_login(address: str) -> str:
    """The URL of a Redis server without user and passwords, which may also stand behind its question mark."""
    scheme, mark, rest = address.partition("://")
    place, ask, query = rest.partition("?")
    # One without = is the rest of a password with a question mark.
    kept = [each for each in query.split("&") if re.match(r"(?!(\w+_)?(username|password)=)\w+=", each)]
    return scheme + mark + place.rpartition("@")[2] + (ask if kept or not query else "") + "&".join(kept)


def entries(parse: Parser, at_least: int = 0) -> Parser:
    """A tuple of the values of `parse` for each entry. Entries are separated by commas or line breaks."""

    def parse_all(value: str, root: Path) -> tuple[Any, ...]:
        found = [entry for entry in _parted(value) if entry]
        if len(found) < at_least:
            raise Refused(f"at least {at_least} entry")
        try:
            return tuple(parse(entry, root) for entry in found)
        except Refused as refused:
            raise Refused(f"a list separated by commas, each entry {refused.expected}", found=refused.found) from None

    return parse_all


def queue_shares(value: str, root: Path) -> tuple[QueueShare, ...]:
    """`default:3, slow:1, *:0` as a tuple of QueueShare in the order of the text."""
    shares: dict[str, QueueShare] = {}
    for entry in _parted(value):
        match = re.fullmatch(rf"({NAME}|\*)(?:\s*:\s*([0-9]{{1,4}}))?", entry)
        if not match:
            raise Refused("name:workers separated by commas, such as default:3, slow:1, *:0")
        if match[1] in shares:
            raise Refused(f"each queue once ({match[1]} is there twice)")
        shares[match[1]] = QueueShare(match[1], int(match[2]) if match[2] else None)
    return tuple(shares.values())


def zone(value: str, root: Path) -> str:
    """The name of a time zone that this machine knows."""
    try:
        return zoneinfo.ZoneInfo(value).key
    except (LookupError, ValueError, OSError):  # OSError: "Europe" is a folder of the zone files
        spellings = zoneinfo.available_timezones()
        raise Refused("an IANA time zone, such as Europe/Zagreb", spellings) from None


def _parted(value: str) -> list[str]:
    return [entry.strip() for entry in re.split(r"[,\n]", value)]
