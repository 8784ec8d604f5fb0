"""Where settings come from: the file, the environment over it, the defaults under it; relative paths;
sentences about a file that cannot be used, and about what the table does not know."""

import subprocess
import sys
from pathlib import Path

import pytest

from duey import config
from tests.support import rows


@pytest.fixture
def ini(tmp_path):
    def write(text: str) -> Path:
        file = tmp_path / "config.ini"
        file.write_text(text, encoding="utf-8")
        return file

    return write


def errors_of(path, environ=None):
    with pytest.raises(config.ConfigError) as caught:
        config.load(path, environ or {})
    assert str(caught.value).splitlines() == list(caught.value.errors)
    return list(caught.value.errors)


def test_an_empty_file_means_all_defaults_below_its_folder(ini, tmp_path):
    settings = config.load(ini(""), {})
    assert settings.source == tmp_path / "config.ini"
    assert settings.root == tmp_path
    assert settings.storage.path == tmp_path / "data" / "queue.db"
    assert settings.monitor.database == f"sqlite:///{tmp_path}/data/monitor.db"
    assert settings.auth.database == f"sqlite:///{tmp_path}/data/access.db"
    assert settings.periodic.backup_folder == tmp_path / "data" / "backups"
    assert settings.tasks.modules == ("tasks", "periodic")
    assert settings.consumer.queues == (config.QueueShare("default", None),)
    assert settings.consumer.lease_s == 15 and settings.consumer.workers == 4
    assert settings.monitor.redact == ("password", "token", "secret", "authorization", "api_key")
    assert settings.webhook.allow_hosts == ()
    assert settings.smtp.starttls is True
    assert settings.web.url_prefix == settings.web.trusted_proxy == ""


def test_the_environment_stands_over_the_file_and_the_file_over_the_default(ini):
    file = ini("[web]\nport = 9000\nthreads = 3\nurl_prefix = /duey\n")
    variables = {"DUEY_WEB_PORT": " 9001 ", "OTHER": "x", "DUEY_TEST_SOAK": "1", "DUEY_WEB_URL_PREFIX": ""}
    web = config.load(file, variables).web
    assert (web.port, web.threads, web.host, web.url_prefix) == (9001, 3, "127.0.0.1", ""), "an empty one is a value"


def test_what_kubernetes_says_of_services_is_no_setting(ini):
    own = {
        "DUEY_SERVICE_HOST": "10.0.0.7", "DUEY_SERVICE_PORT": "80", "DUEY_SERVICE_PORT_HTTP": "80",
        "DUEY_PORT": "tcp://10.0.0.7:80", "DUEY_PORT_80_TCP": "tcp://10.0.0.7:80", "DUEY_PORT_80_TCP_PROTO": "tcp",
        "DUEY_PORT_80_TCP_PORT": "80", "DUEY_PORT_80_TCP_ADDR": "10.0.0.7",
    }  # fmt: skip
    of_web = {name.replace("DUEY_", "DUEY_WEB_"): text for name, text in own.items()}
    assert config.load(ini(""), own | of_web).web.port == 8080
    assert config.load(ini(""), of_web | {"DUEY_WEB_PORT": "9001"}).web.port == 9001
    for environ in ({"DUEY_PORT": "80"}, {"DUEY_SERVICE_HOST": "10.0.0.7"}, own | {"DUEY_SERVICE_HOSTS": "x"}):
        assert len(errors_of(ini(""), environ)) == 1, environ


def test_a_secret_may_be_in_a_file_or_a_credential_of_systemd(ini, tmp_path):
    for name in ("written", "given", "duey_tasks_secret"):
        (tmp_path / name).write_text(f"{name} 1\n")
    file = ini("[tasks]\nsecret_file = written\n")
    credentials, variable = {"CREDENTIALS_DIRECTORY": str(tmp_path)}, {"DUEY_TASKS_SECRET_FILE": "given"}
    for environ, secret in (
        ({}, "written 1"), (credentials, "duey_tasks_secret 1"), (credentials | variable, "given 1"),
    ):  # fmt: skip
        assert config.load(file, environ).tasks.secret == secret
    assert config.secrets_in(file) == []
    for url, found in (("h:1/0", []), ("h:1?password=x", ["[storage] url"]), (":x@h:1", ["[storage] url"])):
        assert config.secrets_in(ini(f"[storage]\nurl = redis://{url}\n")) == found
    wrong = {
        "[tasks]\nsecret = a\nsecret_file = written\n": "expected only one of secret and secret_file",
        "[tasks]\nsecret_file = lost\n": "expected a file that can be read, found No such file or directory",
        "[web]\nport_file = written\n": "expected a key of [web]",
    }
    for text, said in wrong.items():
        (error,) = errors_of(ini(text))
        assert said in error, text


def test_which_file_is_read(ini, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = config.load(environ={"DUEY_CONFIG": ""})  # config.ini of the current folder, which may be missing
    assert settings.web.port == 8080 and settings.root == tmp_path
    file = ini("[service]\nname = Here\n")
    settings = config.load(environ={"DUEY_CONFIG": "config.ini"})
    assert settings.service.name == "Here" and settings.root == tmp_path
    assert config.load(file, {"DUEY_CONFIG": "/does/not/exist"}).service.name == "Here", "a path that is given"
    missing = tmp_path / "missing.ini"
    assert errors_of(None, {"DUEY_CONFIG": str(missing)}) == [
        f"{missing}: expected a configuration file, found none; create it or correct DUEY_CONFIG."
    ]
    assert len(errors_of(missing, {"DUEY_WEB_PORT": "x"})) == 2, "faults of the environment are told, too"
    assert errors_of(tmp_path) == [f"{tmp_path}: expected a configuration file, found a folder; name the file in it."]
    (error,) = errors_of(file / "config.ini")
    assert "expected a configuration file that can be read, found Not a directory;" in error


@rows(
    ("content", "sentence"),
    [
        (b"[web]\nport 9000\n", "expected lines such as `key = value`, found something else in line 2; correct it."),
        (b"port = 1\n[web]\n", "expected a [section] above all keys, found something else in line 1;"),
        (b"[web]\nport = 1\nport = 2\n", "expected [web] port once, found it again in line 3; remove one"),
        (b"[web]\nport = 1\n[web]\nhost = ::1\n", "expected [web] once, found it again in line 3;"),
        (b"[web]\nname = \xff\n", "expected text in UTF-8, found other bytes at offset 13; save it as UTF-8."),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_one_sentence(tmp_path, content, sentence):
    file = tmp_path / "config.ini"
    file.write_bytes(content)
    (error,) = errors_of(file)
    assert error.startswith(f"{file}: {sentence}")


def test_a_byte_order_mark_and_percent_signs_are_plain(tmp_path):
    file = tmp_path / "config.ini"
    file.write_bytes(b"\xef\xbb\xbf[smtp]\npassword = 50%(off)s%\n")
    assert config.load(file, {}).smtp.password == "50%(off)s%"


def test_unknown_sections_and_keys_are_named_with_the_nearest_spelling(ini):
    file = ini("[storge]\npath = x\n[web]\nprot = 1\nzzz = 2\n[DEFAULT]\nport = 3\n")
    assert errors_of(file) == [
        f"{file}: [storge]: expected a known section, found 'storge'; did you mean storage?",
        f"{file}: [web] prot: expected a key of [web], found 'prot'; did you mean port?",
        f"{file}: [web] zzz: expected a key of [web], found 'zzz'.",
        f"{file}: [DEFAULT]: expected a known section, found 'DEFAULT'.",
    ]


@rows(
    ("variable", "hint"),
    [
        ("DUEY_WEB_PROT", "; did you mean DUEY_WEB_PORT?"),
        ("DUEY_WEP_PORT", "; did you mean DUEY_WEB_PORT?"),
        ("DUEY_web_port", "; did you mean DUEY_WEB_PORT?"),
        ("DUEY_", ""),
    ],
)
def test_unknown_variables_are_refused(ini, variable, hint):
    (error,) = errors_of(ini(""), {variable: "1"})
    assert error.startswith(f"{variable}: expected DUEY_SECTION_KEY of a known key, found '{variable}'")
    assert error.endswith(hint or ".")


def test_all_faults_are_told_at_once_each_with_its_place(ini):
    file = ini("[storage]\nbackend = sqlit\n[web]\nport = eighty\n[nope]\n")
    found = errors_of(file, {"DUEY_LOG_LEVEL": "LOUD", "DUEY_CONSUMER_WORKERS": "0"})
    assert found == [
        f"{file}: [nope]: expected a known section, found 'nope'.",
        f"{file}: [storage] backend: expected sqlite or redis, found 'sqlit'; did you mean sqlite?",
        "DUEY_CONSUMER_WORKERS: [consumer] workers: expected a whole number from 1 to 1000, found '0'.",
        f"{file}: [web] port: expected a whole number from 0 to 65535, found 'eighty'.",
        "DUEY_LOG_LEVEL: [log] level: expected DEBUG or INFO or WARNING or ERROR or CRITICAL, found 'LOUD'.",
    ]


def test_a_consumer_must_be_heard_of_within_its_lease(ini):
    file = ini("[consumer]\nlease_s = 3\n")
    assert errors_of(file) == [f"{file}: [consumer] lease_s: expected heartbeat_s < lease_s, found 3 and 3."]
    (error,) = errors_of(file, {"DUEY_CONSUMER_HEARTBEAT_S": "4"})
    assert error.startswith("DUEY_CONSUMER_HEARTBEAT_S: [consumer] heartbeat_s: expected heartbeat_s < lease_s")
    assert config.load(file, {"DUEY_CONSUMER_HEARTBEAT_S": "2.9"}).consumer.heartbeat_s == 2.9


def test_config_can_be_imported_where_no_library_is_installed():
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r}); from duey import config; config.load"
    # -S: without site-packages
    subprocess.run([sys.executable, "-S", "-E", "-c", code], check=True)


def test_secrets_are_never_shown_and_long_values_are_cut(ini):
    long = "[web]\nport = " + "9" * 5000
    (masked, _) = errors_of(ini("[storage]\nurl = reddis://:hunter2@127.0.0.1\n" + long))
    assert "'reddis:***@127.0.0.1'" in masked and all(len(line) < 300 for line in errors_of(ini(long)))
    (indented,) = errors_of(ini("[tasks]\nsecret = hunter2\n  retries = 3\n"))  # not swallowed by the key above
    assert indented.endswith("expected printable text on one line, found a line break or a control character.")
    (alone,) = errors_of(ini("[tasks]\nsecret_previous = hunter2\n"))
    assert "[tasks] secret_previous: expected none without [tasks] secret, found some" in alone
    (control,) = errors_of(ini("[tasks]\nsecret = a\nsecret_previous = hunter2\x07\n"))
    assert "hunter2" not in masked + indented + alone + control


def test_what_a_proxy_says_needs_a_proxy_and_roles_need_groups(ini):
    header, proxy = "remote_user_header = Remote-User\n", "[web]\ntrusted_proxy = 127.0.0.1\n"
    for text, key, expected in (
        (header, "remote_user_header", "expected [web] trusted_proxy to be an IP address"),
        (
            header + "[web]\ntrusted_proxy = localhost\n",
            "remote_user_header",
            "expected [web] trusted_proxy to be an IP",
        ),
        ("totp_key = hunter2\n", "totp_key", "expected 32 or more printable characters, or nothing, found 7 char"),
        ("logout_url = /out\n", "logout_url", "expected remote_user_header to be set"),
        ("admin_groups = ops\n", "admin_groups", "expected remote_groups_header to be set"),
        ("local_login = no\n", "local_login", "expected yes without remote_user_header"),
        (header + "remote_groups_header = remote-user\n" + proxy, "remote_groups_header", "expected another header"),
        (header + "remote_groups_header = Groups\n" + proxy, "remote_groups_header", "expected admin_groups or"),
        ("remote_user_header = X_User\n" + proxy, "remote_user_header", "expected the name of a header"),
        ("remote_user_header = Cookie\n" + proxy, "remote_user_header", "expected the name of a header"),
        (header + "logout_url = //evil.test\n" + proxy, "logout_url", "expected a path such as"),
        (header + "logout_url = javascript:alert(1)\n" + proxy, "logout_url", "expected a path such as"),
    ):
        found = errors_of(ini("[auth]\n" + text))
        assert any(f"[auth] {key}: {expected}" in each for each in found), (text, found)
    assert config.load(ini("[auth]\n" + header + "logout_url = https://a.example.org\n" + proxy), {}).auth.logout_url
