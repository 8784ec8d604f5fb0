"""What each kind of value accepts and refuses."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duey import config
from duey.config.table import table
from duey.config.values import Refused
from tests.support import rows

KEYS = {(key.section, key.name): key for key in table()}
ROOT = Path("/srv/duey")


def read(section, name, text):
    return KEYS[section, name].parse(text, ROOT)


@rows(
    ("section", "name", "text", "value"),
    [
        ("storage", "backend", "Redis", "redis"), ("storage", "path", "/var/q.db", Path("/var/q.db")),
        ("storage", "path", "../q.db", Path("/srv/q.db")),
        ("storage", "url", "rediss://user:pw@host:6380/2", "rediss://user:pw@host:6380/2"),
        ("storage", "url", "unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
        ("storage", "url", "redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("storage", "url", "redis://u:p@a,b:6380,[::1]:1/0", "redis://u:p@a,b:6380,[::1]:1/0"),
        ("storage", "url", "rediss+sentinel://a,b/my?db=1", "rediss+sentinel://a,b/my?db=1"),
        ("tasks", "modules", "shop.tasks,\nother", ("shop.tasks", "other")), ("tasks", "secret", "", ""),
        ("tasks", "secret_previous", "old one, older", ("old one", "older")), ("consumer", "lease_s", "0.5", 0.5),
        ("consumer", "shutdown_timeout_s", "0", 0.0), ("schedule", "timezone", "Europe/Zagreb", "Europe/Zagreb"),
        ("service", "name", "Naručitelj 7", "Naručitelj 7"), ("web", "host", "::", "::"),
        ("web", "host", "Jobs.Example.ORG", "jobs.example.org"), ("web", "port", "0", 0),
        ("web", "port", "65535", 65535), ("web", "url_prefix", "/a/b-c", "/a/b-c"),
        ("web", "public_url", "https://example.org:8443", "https://example.org:8443"),
        ("web", "trusted_proxy", "10.0.0.1", "10.0.0.1"), ("web", "trusted_proxy", "proxy", "proxy"),
        ("monitor", "database", "sqlite:////var/m.db", "sqlite:////var/m.db"),
        ("monitor", "database", "sqlite:///m.db", "sqlite:////srv/duey/m.db"), ("monitor", "redact", "", ()),
        ("monitor", "redact", "pin, x-api-key,", ("pin", "x-api-key")), ("monitor", "retention_days", "0.5", 0.5),
        ("webhook", "allow_hosts", "a.example, 10.0.0.7", ("a.example", "10.0.0.7")),
        ("webhook", "allow_hosts", "*.B.example, ::1", ("*.b.example", "::1")),
        ("files", "allow_folders", "in, /srv/out", (ROOT / "in", Path("/srv/out"))),
        ("smtp", "starttls", "off", False), ("smtp", "starttls", "TRUE", True),
        ("periodic", "heartbeat_url", "https://hc.example/ping/?x=1", "https://hc.example/ping/?x=1"),
        ("log", "level", "debug", "DEBUG"),
    ],
)  # fmt: skip
def test_accepted(section, name, text, value):
    assert read(section, name, text) == value


@rows(
    ("section", "name", "texts"),
    [
        ("storage", "backend", ["", "sqlit", "postgres"]),
        ("storage", "path", ["", "a\nb", "a\x00b"]),
        (
            "storage",
            "url",
            ["", "127.0.0.1", "http://x/0", "redis://", "unix://", "redis://h:99999/0", "redis://h:x", "redis://[x"],
        ),
        (
            "storage",
            "url",
            ["redis+sentinel://a,b", "redis+sentinel://a/?db=1", "redis+sentinel:///my", "redis://a,,b/0"],
        ),
        ("storage", "url", ["redis://a,b:x/0", "redis://a,b:99999/0", "unix+sentinel://a/my", "http+sentinel://a/my"]),
        ("storage", "name", ["", "a b", "ž", "x" * 65, "a\n"]),
        ("tasks", "modules", ["", ",", "a b", "a.", "1a", "a/b.py"]),
        ("tasks", "max_crashes", ["0", "-1", "1.5", "", "x", "1_0", "٣", "9" * 5000]),
        ("tasks", "result_ttl_s", ["-1", "nan", "inf", "1e3", "5s", "1h", ""]),
        ("consumer", "workers", ["0", "1001"]),
        ("consumer", "lease_s", ["0"]),
        ("consumer", "queues", ["", "a,,b", "a:", "a:-1", "a:x", "a:1:2", "a b", "**", "a*", "ž", "x" * 65]),
        ("consumer", "queues", ["a:99999", "a, b, a:2", "*,*:1"]),
        ("schedule", "timezone", ["", "Europe", "Europe/Zagreeb", "../etc/passwd", "/etc/passwd", "a\x00b"]),
        ("service", "name", ["", "x" * 65, "a\tb", "\u202eeman"]),
        ("web", "host", ["", "*", "a b", "300.1.1.1", "http://x", "x:80"]),
        ("web", "port", ["65536", "-1", "80 80", "eighty"]),
        ("web", "url_prefix", ["duey", "/duey/", "/", "//x", "/a b", "/a?b"]),
        ("web", "public_url", ["example.org", "ftp://x", "https://x/", "https://x/p", "https://", "https://x y"]),
        ("web", "trusted_proxy", ["*", "10.0.0.0/8", "a, b"]),
        ("monitor", "database", ["", "m.db", "sqlite:///", "sqlite:///:memory:", "sqlite:///m.db?x", "postgres:///m"]),
        ("monitor", "redact", ["a b", "pin\nretention_days = 3"]),
        ("webhook", "allow_hosts", ["http://a", "a b", "*", "*.", "a.*.b", "*.*.b"]),
        ("smtp", "starttls", ["", "maybe"]),
        ("smtp", "port", ["0"]),
        ("periodic", "heartbeat_url", ["hc.example", "file:///etc/passwd", "https://a b", "http://a@b", "http://a#b"]),
    ],
)
def test_refused(section, name, texts):
    for text in texts:
        with pytest.raises(Refused):
            read(section, name, text)
            pytest.fail(f"accepted {text!r}")


def test_queue_shares():
    for text, shares in (
        ("default", [("default", None)]), ("default:3, slow:1, *:0", [("default", 3), ("slow", 1), ("*", 0)]),
        ("*", [("*", None)]), (" a.b-c_1 : 2 ,x\ny:1", [("a.b-c_1", 2), ("x", None), ("y", 1)]),
    ):  # fmt: skip
        assert read("consumer", "queues", text) == tuple(config.QueueShare(*share) for share in shares)
    with pytest.raises(Refused, match=r"each queue once \(slow is there twice\)"):
        read("consumer", "queues", "slow:1, default, slow:2")


@rows(
    ("section", "name", "text", "nearest"),
    [
        ("storage", "backend", "rediss", "redis"), ("tasks", "serializer", "jsn", "json"),
        ("schedule", "catch_up", "al", "all"), ("schedule", "timezone", "europe/zagreeb", "Europe/Zagreb"),
        ("log", "level", "warn", "WARNING"), ("smtp", "starttls", "yess", "yes"),
    ],
)  # fmt: skip
def test_the_nearest_spelling_is_offered(section, name, text, nearest, tmp_path):
    (tmp_path / "config.ini").touch()
    with pytest.raises(config.ConfigError) as caught:
        config.load(tmp_path / "config.ini", {f"DUEY_{section}_{name}".upper(): text})
    assert str(caught.value).endswith(f"found {text!r}; did you mean {nearest}?")


def test_sqlite_path_is_the_file_of_the_url():
    assert config.sqlite_path(read("auth", "database", "sqlite:///a b/x.db")) == Path("/srv/duey/a b/x.db")
    assert config.sqlite_path(read("auth", "database", "sqlite:////x.db")) == Path("/x.db")
    assert config.sqlite_path(read("auth", "database", "postgresql://db/duey")) is None


@rows("section", ["monitor", "auth"])
def test_a_database_on_postgresql_is_kept_as_written_and_never_shown(section):
    for url in (
        "postgresql://duey:p%40ss@db.internal:5432/duey?schema=billing&sslmode=verify-full",
        "postgresql:///duey?host=/run/postgresql", "postgresql://[::1]:5432/duey",
        "postgresql://duey:p@one:5432,two:5433/duey?target_session_attrs=read-write",
    ):  # fmt: skip
        assert read(section, "database", url) == url
    for url, expected in (
        ("postgresql://duey:hunter2@db", "expected postgresql://USER"), ("postgres://a:hunter2@db/d", "expected postg"),
        ("postgresql://duey:hunter#2@db/duey", "write / ? @ : # and % as %2F"),
        ("postgresql://duey:hunter/2@db/duey", "write / ? @ : # and % as %2F"),
        ("postgresql://duey:hunter2@db:port/duey", "write / ? @ : # and % as %2F"),
        ("postgresql://duey:hunter2@db/duey?schema=Duey", "expected schema= to be small letters"),
    ):  # fmt: skip
        with pytest.raises(Refused) as refused:
            read(section, "database", url)
        assert f"expected {refused.value.expected}".startswith(expected) or expected in refused.value.expected
        assert "hunter" not in refused.value.expected + refused.value.found and refused.value.found


@given(st.text())
def test_any_text_is_read_or_refused_in_a_sentence_on_one_line(text):
    for key in KEYS.values():
        try:
            key.parse(text.strip(), ROOT)
        except Refused as refused:
            assert refused.expected.isprintable() and refused.found.isprintable(), key
