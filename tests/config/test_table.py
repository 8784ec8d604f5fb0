"""The table of settings. That config.ini says the same is checked in tests/test_house.py."""

import dataclasses
from itertools import groupby

import pytest

from duey import config
from duey.config import table as config_table

TABLE = list(config_table.table())

# The table of CONTRACT.md, with [periodic], [tasks] backoff_s, secret_previous, [consumer] order and some thresholds.
CONTRACT = {
    "storage": {
        "backend": "sqlite", "path": "data/queue.db", "url": "redis://127.0.0.1:6379/0", "name": "duey",
        "durability": "full",
        "replicas": "0",
    },
    "tasks": {
        "modules": "tasks, periodic", "serializer": "json", "secret": "", "secret_previous": "", "max_crashes": "3",
        "retries": "0", "backoff_s": "0", "result_ttl_s": "86400", "max_pending": "0",
    },
    "consumer": {
        "queues": "default", "order": "strict", "workers": "4", "worker_type": "thread", "lease_s": "15",
        "heartbeat_s": "3", "shutdown_timeout_s": "25", "max_memory_mb": "0",
    },
    "schedule": {"timezone": "UTC", "catch_up": "once", "catch_up_window_s": "86400"},
    "service": {"name": "Duey"},
    "web": {
        "host": "127.0.0.1", "port": "8080", "threads": "8", "url_prefix": "", "public_url": "", "allow_hosts": "",
        "trusted_proxy": "", "max_body_kb": "1024",
    },
    "monitor": {
        "database": "sqlite:///data/monitor.db", "backlog_rows": "1000000", "retention_days": "30",
        "retention_rows": "1000000", "keep_failed_days": "180", "max_value_kb": "16",
        "redact": "password, token, secret, authorization, api_key",
    },
    "auth": {
        "database": "sqlite:///data/access.db", "session_hours": "12", "session_days": "7", "login_attempts": "10",
        "audit_days": "365", "metrics_token": "", "require_totp": "no", "totp_key": "",
        "local_login": "yes", "remote_user_header": "", "proxy_secret": "",
        "remote_groups_header": "", "admin_groups": "", "viewer_groups": "", "logout_url": "",
    },
    "webhook": {"allow_hosts": "", "allow_ports": "80, 443", "timeout_s": "10"},
    "files": {"allow_folders": "data/files"},
    "smtp": {
        "host": "", "port": "587", "username": "", "password": "", "starttls": "yes", "sender": "",
        "allow_senders": "", "allow_recipients": "",
    },
    "periodic": {"heartbeat_url": "", "backup_folder": "data/backups", "backup_keep": "7"},
    "log": {"level": "INFO", "format": "text", "capture_print": "no"},
    "alerts": {
        "email": "", "webhook": "", "webhook_secret": "", "ntfy": "", "slack": "", "apprise": "", "rules": "all",
        "queue_age_s": "600", "no_consumer_s": "60", "late_s": "300", "disk_free_mb": "512", "history_s": "300",
        "error_rate_per_hour": "", "backup_hours": "", "slow_factor": "", "repeat_s": "21600", "flips_per_hour": "6",
        "cap_per_hour": "20", "quiet_hours": "", "drill": "off", "peers": "",
    },
}  # fmt: skip


def test_the_table_is_the_contract():
    table = {
        section: {key.name: key.default for key in keys}
        for section, keys in groupby(TABLE, key=lambda key: key.section)
    }
    assert table == CONTRACT


def test_a_variable_belongs_to_one_key_only_and_each_default_is_accepted(tmp_path):
    # A section with an underscore in its name could make DUEY_A_B_C mean two things.
    assert len({key.variable for key in TABLE}) == len(TABLE)
    for key in TABLE:
        key.parse(key.default, tmp_path)


def test_settings_are_frozen_and_hide_secrets_in_their_repr(tmp_path):
    (tmp_path / "config.ini").touch()
    variables = {key.variable: "hunter2" for key in TABLE if key.secret}
    variables["DUEY_AUTH_TOTP_KEY"] = "hunter2_" * 4
    variables["DUEY_STORAGE_URL"] = "redis://:hunter2@127.0.0.1:6379/0"
    for section in ("MONITOR", "AUTH"):
        variables[f"DUEY_{section}_DATABASE"] = "postgresql://duey:hunter2@db/duey"
    urls = {f"DUEY_ALERTS_{kind}" for kind in ("WEBHOOK", "NTFY", "SLACK", "APPRISE")}
    urls |= {"DUEY_PERIODIC_HEARTBEAT_URL", "DUEY_ALERTS_PEERS"}
    variables |= {name: "https://example.org/hunter2" for name in urls}
    variables["DUEY_ALERTS_NTFY"] += " token=hunter2"
    settings = config.load(tmp_path / "config.ini", variables)
    assert len(variables) == 16
    assert settings.alerts.ntfy[0].token == settings.alerts.webhook_secret == "hunter2"
    assert settings.smtp.password == settings.tasks.secret == settings.auth.metrics_token == "hunter2"
    assert "hunter2" not in repr(settings) + repr(settings.alerts.ntfy)
    for part, name in ((settings.web, "port"), (settings, "web")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, name, 1)
    hash(settings)
