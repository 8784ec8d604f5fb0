"""Secrets never reach what is shown, the value itself is never touched, and clipped values fit."""

from __future__ import annotations

import copy
import json
import pickle
from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from duey.payload.clip import clip, json_bytes
from duey.payload.encode import to_json
from duey.payload.redact import MARKER, TOO_DEEP, Redactor, configured
from tests.support import rows

NAMES = ("password", "token", "secret", "authorization", "api_key")
redactor = Redactor(NAMES)
every_day = configured(NAMES)  # as a service has it

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@rows(
    "key",
    [
        "password", "Password", "PASSWORD", "db_password", "password_db", "db-password", "db.password",
        "db password", "dbPassword", "passwordHash", "DB_PASSWORD_2", "password2", "user[password]",
        "X-Api-Key", "api_key", "apiKey", "APIKey", "API-KEY", "apikey", "my_apikey", "api key",
        "stripe.api.key", "accessToken", "access_token", "TOKEN", "Authorization", "Proxy-Authorization",
        "clientSecretValue", "passwords", "user_api_keys", "pwd", "db_passwd", "passphrase", "credential",
        "credentials",
        "private_key", "privateKeys", "Set-Cookie", "cookies", "session", "sessionId", "bearer",
    ],
)  # fmt: skip
def test_keys_that_name_a_secret(key):
    assert every_day.redact({key: "x1", "to": "ana"}) == {key: MARKER, "to": "ana"}


def test_what_is_redacted_and_what_is_not():
    deep: list = []
    deep.append(deep)
    assert TOO_DEEP in json.dumps(redactor.redact(deep))
    innocent = (
        "tokenizer session_count token_expires_at password_max_length secretary keys api key apis_key passing_word _"
    )
    plain = dict.fromkeys(["", *innocent.split()], "x1") | {"max_tokens": 512}
    assert every_day.redact(plain) == plain
    value = {"token": {"a": [1]}, "list": [{"secret": None}, {"Token": ["x"]}], "api_key": 5, "x_" * 5000 + "token": 1}
    shown = {"token": MARKER, "list": [{"secret": MARKER}, {"Token": MARKER}], "api_key": MARKER}
    assert redactor.redact(value) == {**shown, "x_" * 5000 + "token": MARKER}
    args = (["ana", "hunter22", {"token": "x"}, "psql -W hunter22"], {"apiKey": "k", "n": ["hunter22"]})
    shown = (["ana", MARKER, {"token": MARKER}, f"psql -W {MARKER}"], {"apiKey": MARKER, "n": [MARKER]})
    assert every_day.redact_call(*args, ["user", "password", "options"])[:2] == shown


@rows(
    ("names", "value", "hidden"),
    [
        (["pin", "-session", "-Private-Key"], {"pin": 1, "session": 1, "private_key": 1, "pwd": 1}, ["pin", "pwd"]),
        ([], {"pwd": 1}, ["pwd"]), (["X-Api Key", "-apikey"], {"xApiKey": 1, "api_keys": 2}, ["xApiKey"]),
        (["\u0161ifra"], {"MOJA_\u0160IFRA": 1}, ["MOJA_\u0160IFRA"]), (["", "_-"], {"": 1, "_": 2, "-": 3}, []),
    ],
)  # fmt: skip
def test_names_are_matched_in_any_spelling_beside_the_built_in_ones(names, value, hidden):
    assert configured(names).redact(value) == value | dict.fromkeys(hidden, MARKER)


@rows(
    "text, shown",
    [
        ("postgres://ana:hunter2@db/x", "postgres://ana:[redacted]@db/x"),
        ("redis://:hunter2@host:6379/0", "redis://:[redacted]@host:6379/0"),
        ("amqp://a:p@ss:w@rd@host and http://b:hunter2@c.d", "amqp://a:[redacted]@host and http://b:[redacted]@c.d"),
        ("smtp://ana@example.org:hunter2@mail", "smtp://ana@example.org:[redacted]@mail"),
        ("http://[::1]:80/a@b", "http://[::1]:80/a@b"),
        ("https://host:8080/path@2x.png?q=a@b", "https://host:8080/path@2x.png?q=a@b"),
        ("https://ana@host/", "https://ana@host/"),
        ("mail ana@example.org: see http://x", "mail ana@example.org: see http://x"),
    ],
)
def test_passwords_in_urls(text, shown):
    assert redactor.redact(text) == shown
    assert redactor.redact([{"url": text, text: 1}]) == [{"url": shown, shown: 1}]
    assert Redactor(()).redact({"password": text}) == {"password": shown}


def test_a_text_gives_no_secret_away_by_its_place():
    rows = {
        "GET https://x/?token=abc&n=1#access_token=zz": "GET https://x/?token=[redacted]&n=1#access_token=[redacted]",
        "https://ghp_0123456789abcdef01@github.com/x": "https://[redacted]@github.com/x",
        "ana:hunter2@db.example": "ana:[redacted]@db.example",
        "to:ana@example.org at 12:30": "to:ana@example.org at 12:30",
        "password=hunter2, x=3": "password=[redacted], x=3",
        "login(password='a b', n=1)": "login(password='[redacted]', n=1)",
        "{'password': 'it\\'s', \"n\": 1}": "{'password': '[redacted]', \"n\": 1}",
        '{"api_key":"x y","tokens":812,"session_count":4}': '{"api_key":"[redacted]","tokens":812,"session_count":4}',
        '\\"passwd\\": \\"x y\\"': '\\"passwd\\": \\"[redacted]\\"',
        "DB_PASSWORD=x PGPASSWORD=y --api-key=z": "DB_PASSWORD=[redacted] PGPASSWORD=[redacted] --api-key=[redacted]",
        "Authorization: Basic YTpi YTpi\nHost: x": "Authorization: [redacted]\nHost: x",
        "Cookie: a=b; c=d": "Cookie: [redacted]",
        "sent Bearer abc.def123, basic knowledge": "sent Bearer [redacted], basic knowledge",
        'environ["API_KEY"] = "x"': 'environ["API_KEY"] = "[redacted]"',
        "tokenizer=bpe&token=abc": "tokenizer=bpe&token=[redacted]",
        "def f(password: str, token=None): ...": "def f(password: str, token=None): ...",
        "Unexpected token: }": "Unexpected token: }",
        "password=[redacted]": "password=[redacted]",
    }
    assert {text: every_day.text(text) for text in rows} == rows
    assert {text: every_day.text(shown) for text, shown in rows.items()} == rows  # once is enough


HIDDEN = 's3cr3t/ v\u00e4l"ue'


def test_the_hidden_values_of_a_call_are_found_in_whatever_form():
    mask = every_day.redact_call([HIDDEN, 1234567], {"n": {"pin": 987654, "keys": ["k3yk3y"]}}, ["password", "otp"])[2]
    for text in (
        HIDDEN, repr(HIDDEN), json.dumps(HIDDEN), f"x={quote(HIDDEN, safe='')}", f"x={quote_plus(HIDDEN)}", "1234567",
    ):  # fmt: skip
        assert mask.text(f"<{text}>") != f"<{text}>" and "cr3t" not in mask.text(text), text
    assert mask.text("987654 k3yk3y") == "987654 k3yk3y"  # not hidden
    lines = every_day.redact_call(["first line\nsecond line", "abcde"], {}, ["private_key", "token"])[2]
    assert lines.text("File x: 'second line'") == f"File x: '{MARKER}'"
    assert lines.text("abcde") == "abcde", "too short to be looked for"
    assert mask.plain({"a": [f"at {HIDDEN}", 1234567, 5], HIDDEN: 1}) == {"a": [f"at {MARKER}", MARKER, 5], MARKER: 1}


def test_what_is_hidden_in_the_part_that_was_cut_is_masked_too():
    redactor = configured(("password",))
    wide = {f"k{n}": n for n in range(100)}
    for args, kwargs, names in (
        ([{**wide, "password": "hunter22"}, "hunter22"], {}, ["a", "b"]),
        (["hunter22"], {**wide, "new_password": "hunter22"}, ["a"]),
        (["hunter22", [[{**wide, "x": [wide, {"password": ["hunter22"]}]}]]], {}, ["a", "b"]),
        ([*["hunter22"] * 50, "hunter22"], {}, [*["a"] * 50, "password"]),
    ):
        shown, named, mask = redactor.redact_call(args[:1], {}, names, None, (args, kwargs))
        assert mask.text("it was hunter22") == "it was [redacted]"
        assert "hunter22" not in str(shown) + str(named)


def test_a_secret_is_found_among_many_keys_however_it_is_spelled():
    redactor, wide = configured(("password", "api_key")), {f"k{n}": n for n in range(100)}
    for key in ("password", "pass-word", "PassWord", "pa\u017f\u017fword", "a_p_i.key", "myApiKeys"):
        assert redactor.is_secret(key)
        assert redactor.redact({**wide, key: "hunter22"}) == {**wide, key: MARKER}
        mask = redactor.redact_call([], {}, [], None, ([], {**wide, key: "hunter22"}))[2]
        assert mask.text("hunter22") == MARKER


def test_what_may_hide_something_is_never_said_to_hide_nothing():
    redactor, context = configured(("password", "api_key", "\u0161ifra")), json.dumps({"\u0160ifra": 1}).encode()
    keys = (
        "pass-word", "PassWord", "pa\u017f\u017fword", "a_p_i.key", "pass\u2013word", "moja \u0160IFRA",
        "pass\x1bword",
    )  # fmt: skip
    for data in (*(to_json({key: 1}) for key in keys), *(pickle.dumps({key: 1}) for key in keys), context):
        assert redactor.may_hide(data), data
    assert not redactor.may_hide(to_json({"word": "pass", "n": 1, "\u010d": "key"}))


def test_many_hidden_values_are_found_and_too_many_hide_all():
    few, many = ([f"hunter{n:05}" for n in range(count)] for count in (3_000, 11_000))
    for hidden in ({"password": few}, {f"password{n}": value for n, value in enumerate(few)}):
        args, _, mask = every_day.redact_call([hidden, f"at {few[7]}", f"at {few[2999]}, {few[0]}"], {}, ["a"])
        assert args[1:] == [f"at {MARKER}", f"at {MARKER}, {MARKER}"]
        assert mask.text(f"x{few[55]}hunter") == f"x{MARKER}hunter"
        assert mask.text("hunter0" * 100_000) == MARKER  # too much to search
    for hidden in (
        {"password": many},
        {f"password{n}": 1 for n in range(11_000)},
        {f"tokenizer{n}": 1 for n in range(11_000)},
    ):
        mask = every_day.redact_call([], {}, [], None, ([hidden], {}))[2]
        assert mask.text("anything else") == MARKER and mask.plain(["something", "short"]) == [MARKER, "short"]
        assert mask.joined(every_day.redact_call([], {}, [])[2]).text("anything") == MARKER


def test_no_text_costs_more_than_linear_time():
    """Each of these took minutes with a pattern that tries again from each place."""
    for text in (
        "://a:", "password=", "a=1&", 'token:="', "a:b@", "bearer a", "a.b-", "token", "cookie:", "\\", "password=)",
        "'",
    ):  # fmt: skip
        assert len(every_day.text(text * (400_000 // len(text)) + " token=x")) <= 500_000
    for url in ("x://a:secret@b ", "x://averylongtokenasaname@b ", "ann:secret@b "):
        assert "secret" not in every_day.text(url * 9_000)
        assert every_day.text(url * 10_000) == MARKER


secret_keys = st.sampled_from(["password", "db_password", "accessToken", "X-Api-Key"])
with_secrets = st.recursive(
    st.integers() | st.text("abc"),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text("abc"), inner)
        | st.dictionaries(secret_keys, st.just("hunter2") | st.lists(st.just("hunter2"), min_size=1), min_size=1)
    ),
)


@given(with_secrets)
def test_no_secret_survives_and_the_value_is_not_touched(value):
    before = copy.deepcopy(value)
    shown = redactor.redact(value)
    assert "hunter2" not in json.dumps(shown)
    assert value == before
    assert redactor.redact(shown) == shown


@given(plain)
def test_without_names_only_urls_are_changed(value):
    assert "://" in json.dumps(value) or Redactor(()).redact(value) == value


# clip


texts = st.text(max_size=99)
larger = st.lists(st.text(max_size=300) | st.dictionaries(texts, texts))


@given(plain | larger, st.integers(2, 300) | st.integers(2, 2000))
def test_clipped_values_fit_and_others_are_left_alone(value, max_bytes):
    before = copy.deepcopy(value)
    cut, clipped = clip(value, max_bytes)
    assert json_bytes(cut) <= max_bytes
    assert clipped == (json_bytes(value) > max_bytes)
    assert value == before
    if not clipped:
        assert cut is value


def test_what_is_left_out_is_said():
    cut, clipped = clip("x" * 1000, 100)
    kept = cut.index("…")
    assert clipped and cut == "x" * kept + f"… ({1000 - kept} characters left out)"
    assert 98 <= json_bytes(cut) <= 100
    cut, _ = clip(list(range(1000)), 100)
    assert cut[-1] == f"… {1000 - (len(cut) - 1)} more" and cut[:-1] == list(range(len(cut) - 1)) and len(cut) > 10
    cut, _ = clip({f"key{i}": i for i in range(1000)}, 200)
    assert cut["…"] == f"{1000 - (len(cut) - 1)} more" and cut["key3"] == 3
    cut, _ = clip({"k" * 5000: 1, "k" * 6000: 2, "to": 3}, 400)
    assert 3 in cut.values() and max(map(len, cut)) < 150


def test_small_members_stay_whole_beside_large_ones():
    cut, _ = clip({"csv": "x" * 10_000, "to": "ana@example.org", "rows": [1, 2, 3], "note": "y" * 10_000}, 1024)
    assert (cut["to"], cut["rows"]) == ("ana@example.org", [1, 2, 3])
    assert cut["csv"].startswith("x" * 300) and cut["note"].startswith("y" * 300)
    assert 900 < json_bytes(cut) <= 1024


def test_many_middling_members_are_kept_whole_or_left_out():
    rows = [{"id": i, "name": "x" * 50} for i in range(1000)]
    cut, _ = clip(rows, 4096)
    assert cut[:50] == rows[:50] and 4000 < json_bytes(cut) <= 4096
    assert cut[:-2] == rows[: len(cut) - 2]  # the last one that fits may be cut


@rows("value", [10**600, 1.5, None, True, "é" * 9, ["x"], {"a": 1}, "\ud800" * 50])
@rows("max_bytes", [-1, 0, 2, 3, 5, 30])
def test_the_least_room(value, max_bytes):
    cut, clipped = clip(value, max_bytes)
    assert json_bytes(cut) <= max(max_bytes, 2)
    assert clipped or cut == value


def test_values_that_only_the_encoder_can_walk_are_clipped():
    value: list = ["x" * 1000]
    for _ in range(600):
        value = [value, 1]
    cut, clipped = clip(value, 900)
    assert clipped and json_bytes(cut) <= 900


def test_what_is_not_plain_is_made_plain():
    circle: list = []
    circle.append(circle)
    for value in (circle, {1, 2}, object(), {(1, 2): 3}, 10**5000):
        cut, clipped = clip(value, 1000)
        assert clipped and len(json.dumps(cut, ensure_ascii=False)) <= 1000
