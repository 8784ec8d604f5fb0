"""Reads the settings from config.ini and the environment. Nothing else in Duey reads either.

`load` reads the file and the variables `DUEY_<SECTION>_<KEY>`, checks everything against duey.config.table, and returns
a frozen `Settings`, or raises one `ConfigError` with all faults. The environment overrides systemd's credentials, these
the file, the file the defaults. A secret can be in a file of its own, which `KEY_file` names. Relative paths start at
the folder of config.ini. Nothing is cached and nothing is created on disk.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from duey.config.alerts import KINDS
from duey.config.auth import faults as faults_of_auth
from duey.config.table import SECTIONS, Settings, table
from duey.config.values import SQLITE_URL, QueueShare, Refused, without_login

__all__ = ["ConfigError", "QueueShare", "Settings", "load", "secret_files", "secrets_in", "sqlite_path"]

FILE_VARIABLE = "DUEY_CONFIG"
TEST_PREFIX = "DUEY_TEST_"  # reserved for the test suite
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"  # of systemd: a file for each, named as the variable, in lower case
IN_FILE = "_file"  # after the name of a secret key: the file that holds the value
DEFAULT_FILE = "config.ini"  # in the current folder


class ConfigError(Exception):
    """The configuration cannot be used. `errors` holds one sentence for each fault, str() one line for each."""

    def __init__(self, errors: Iterable[str]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(self.errors))


def sqlite_path(url: str) -> Path | None:
    """The file that `[monitor] database` or `[auth] database` names. None for a PostgreSQL server."""
    return Path(url.removeprefix(SQLITE_URL)) if url.startswith(SQLITE_URL) else None


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the environment and one file: `path`, otherwise the file that DUEY_CONFIG names, otherwise config.ini in the
    current folder. Only the last one may be missing; then the defaults apply. Raises ConfigError with all faults.
    """
    errors: list[str] = []
    named = path or environ.get(FILE_VARIABLE)
    source = Path(os.path.abspath(named or DEFAULT_FILE))
    given = _from_file(source, bool(named), errors) | _from_credentials(environ, errors)
    given |= _from_environment(environ, source.parent, errors)
    values = _parsed(given, source.parent, errors)
    _check_together(given, values, errors)
    if errors:
        raise ConfigError(errors)
    sections = {
        section: kind(**{each.name: values[section, each.name] for each in fields(kind)})
        for section, kind in SECTIONS.items()
    }
    return Settings(**sections, root=source.parent, source=source)


def secrets_in(source: Path) -> list[str]:
    """The keys, as `[section] key`, whose secret is in the file itself."""
    given = _from_file(source, False, [])
    here = {place: each.text for place, each in given.items() if each.file is None}
    texts = {each: here[each.section, each.name] for each in table() if (each.section, each.name) in here}
    # A URL of a server is a secret only with a password in it.
    return [
        f"[{e.section}] {e.name}"
        for e, text in texts.items()
        if e.secret
        and text
        and (e.name not in ("url", "database") or (sqlite_path(text) is None and without_login(text) != text))
    ]


def secret_files(source: Path, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """The files that `KEY_file` names, in the file of settings or in the environment."""
    given = [*_from_file(source, False, []).values(), *_from_environment(environ, source.parent, []).values()]
    return [each.file for each in given if each.file is not None]


class Given(NamedTuple):
    """A text from the file or the environment, and where it was found: `FILE: [web] port` or `DUEY_WEB_PORT`."""

    text: str
    where: str
    file: Path | None = None  # of a secret that has one of its own


Place = tuple[str, str]  # section and key


def _from_file(source: Path, must_exist: bool, errors: list[str]) -> dict[Place, Given]:
    # No interpolation, so that % needs no escape; no default section, so that [DEFAULT] is an unknown section.
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(source.read_text(encoding="utf-8-sig"), str(source))
    except FileNotFoundError:
        if must_exist:
            errors.append(f"{source}: expected a configuration file, found none; create it or correct {FILE_VARIABLE}.")
        return {}
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        errors.append(_unreadable(source, error))
        return {}
    given = {}
    for section in parser.sections():
        if section not in SECTIONS:
            errors.append(_refusal(f"{source}: [{section}]", "a known section", section, SECTIONS))
            continue
        names = [each.name for each in fields(SECTIONS[section])]
        for name, text in parser[section].items():
            where, key = f"{source}: [{section}] {name}", name.removesuffix(IN_FILE)
            if name in names:
                given[section, name] = Given(text, where)
            elif key in names and SECTIONS[section].__dataclass_fields__[key].metadata["secret"]:
                if parser.has_option(section, key):
                    errors.append(f"{where}: expected only one of {key} and {name}, found both; remove one of the two.")
                given[section, key] = _read_secret(source.parent / text, where, errors)
            else:
                errors.append(_refusal(where, f"a key of [{section}]", name, names))
    return given


def _read_secret(file: Path, where: str, errors: list[str]) -> Given:
    """The text of a file that holds one secret, without the line break at its end."""
    try:
        return Given(file.read_text(encoding="utf-8").strip(), where, file)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "other bytes than UTF-8"
        errors.append(f"{where}: expected a file that can be read, found {reason}; correct {file} or its permissions.")
        return Given("", where, file)


def _from_credentials(environ: Mapping[str, str], errors: list[str]) -> dict[Place, Given]:
    folder = Path(environ.get(CREDENTIALS_VARIABLE) or os.devnull)
    found = {each: folder / each.variable.lower() for each in table() if each.secret}
    return {
        (each.section, each.name): _read_secret(file, str(file), errors)
        for each, file in found.items() if file.exists()
    }  # fmt: skip


def _unreadable(source: Path, error: Exception) -> str:
    """One sentence that says why the file cannot be read."""
    if isinstance(error, configparser.DuplicateOptionError):
        expected = f"[{error.section}] {error.option} once"
        found = f"it again in line {error.lineno}; remove one of the two"
    elif isinstance(error, configparser.DuplicateSectionError):
        expected, found = f"[{error.section}] once", f"it again in line {error.lineno}; merge the two"
    elif isinstance(error, configparser.MissingSectionHeaderError):
        expected, found = (
            "a [section] above all keys",
            f"something else in line {error.lineno}; move it below one",
        )
    elif isinstance(error, configparser.ParsingError):
        lines = ", ".join(str(number) for number, _ in error.errors)
        expected, found = "lines such as `key = value`", f"something else in line {lines}; correct it"
    elif isinstance(error, UnicodeDecodeError):
        expected, found = "text in UTF-8", f"other bytes at offset {error.start}; save it as UTF-8"
    elif isinstance(error, IsADirectoryError):
        expected, found = "a configuration file", "a folder; name the file in it"
    else:
        reason = getattr(error, "strerror", None) or error
        expected, found = "a configuration file that can be read", f"{reason}; correct its path or its permissions"
    return f"{source}: expected {expected}, found {found}."


def _from_environment(environ: Mapping[str, str], root: Path, errors: list[str]) -> dict[Place, Given]:
    known = {each.variable: each for each in table()}
    given = {}
    injected = _of_kubernetes(environ)
    for variable, text in sorted(environ.items()):
        if not variable.startswith("DUEY_") or variable == FILE_VARIABLE or variable.startswith(TEST_PREFIX):
            continue
        if variable in injected:
            continue
        if each := known.get(variable):
            where = f"{variable}: [{each.section}] {each.name}"
            given[each.section, each.name] = Given(text.strip(), where)
        elif (each := known.get(variable.removesuffix(IN_FILE.upper()))) and each.secret:
            given[each.section, each.name] = _read_secret(root / text.strip(), variable, errors)
        else:
            errors.append(_refusal(variable, "DUEY_SECTION_KEY of a known key", variable, known))
    return given


def _of_kubernetes(environ: Mapping[str, str]) -> set[str]:
    """The variables by which Kubernetes tells a pod of its services: of one called `duey`, DUEY_SERVICE_HOST, DUEY_PORT
    (tcp://10.0.0.7:8080), DUEY_PORT_8080_TCP_ADDR and others; of one called `duey-web`, even DUEY_WEB_PORT."""
    links = [
        match for name, text in environ.items()
        if re.match("(tcp|udp|sctp)://", text) and (match := re.fullmatch(r"(DUEY\w*?)_PORT(_\d+_[A-Z]+)?", name))
    ]  # fmt: skip
    services = "|".join({match[1] for match in links})
    of_them = rf"({services})_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_[A-Z]+(_(PROTO|PORT|ADDR))?)"
    return {match[0] for match in links} | {name for name in environ if links and re.fullmatch(of_them, name)}


def _parsed(given: Mapping[Place, Given], root: Path, errors: list[str]) -> dict[Place, Any]:
    values = {}
    for each in table():
        text, where, _ = given.get((each.section, each.name), Given(each.default, "default"))
        try:
            values[each.section, each.name] = each.parse(text, root)
        except Refused as refused:
            errors.append(_refusal(where, refused.expected, text, refused.spellings, refused.found))
    return values


def _check_together(given: Mapping[Place, Given], values: Mapping[Place, Any], errors: list[str]) -> None:
    beat, lease = ("consumer", "heartbeat_s"), ("consumer", "lease_s")
    if beat in values and lease in values and values[beat] >= values[lease]:
        where = (given.get(beat) or given[lease]).where
        errors.append(f"{where}: expected heartbeat_s < lease_s, found {values[beat]:g} and {values[lease]:g}.")
    secret, previous = ("tasks", "secret"), ("tasks", "secret_previous")
    if values.get(previous) and not values.get(secret, True):
        where = given[previous].where
        errors.append(f"{where}: expected none without [tasks] secret, found some; set the new secret, or clear these.")
    replicas, backend = ("storage", "replicas"), ("storage", "backend")
    if values.get(replicas) and values.get(backend) == "sqlite":
        errors.append(f"{given[replicas].where}: expected 0 with backend = sqlite, which has no replicas; set it to 0.")
    mail, host, sender = ("alerts", "email"), ("smtp", "host"), ("smtp", "sender")
    if values.get(mail) and not (values.get(host, True) and values.get(sender, True)):
        errors.append(f"{given[mail].where}: expected [smtp] host and sender to be set, found none; set both.")
    errors += [f"{given[place].where}: {sentence}." for place, sentence in faults_of_auth(values)]
    seen: set[str] = set()
    for place in [("alerts", kind) for kind in KINDS]:
        names = {target.name for target in values.get(place, ())}
        if twice := sorted(names & seen):
            errors.append(f"{given[place].where}: expected names that no other channel has, found {twice[0]} again.")
        seen |= names


def _refusal(where: str, expected: str, text: str, spellings: Iterable[str] = (), found: str = "") -> str:
    """One sentence about a refused value. The password of a URL is masked, and a long value is truncated."""
    shown = found or repr(re.sub(r":.*@", ":***@", text, flags=re.DOTALL)[:80])
    likely = {spelling.lower(): spelling for spelling in spellings}
    nearest = get_close_matches(text.lower(), likely, n=1, cutoff=0.65)
    hint = f"; did you mean {likely[nearest[0]]}?" if nearest else "."
    return f"{where}: expected {expected}, found {shown}{hint}"
