"""The tables of access.db, each with its description, and the migrations of older files.

`MIGRATIONS[n]` turns schema n into schema n + 1; a new file takes all of them. A released migration is never edited,
so that all files have the same schema. Times are UTC epoch seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

from peewee import Table

from duey.monitor.database import Migration

ACCESS_SCHEMA = Table("access_schema")
ACCOUNTS = Table("accounts")
SESSIONS = Table("sessions")
TOKENS = Table("tokens")
AUDIT = Table("audit")
SECRETS = Table("secrets")
ATTEMPTS = Table("attempts")
SECOND_FACTORS = Table("second_factors")
RECOVERY_CODES = Table("recovery_codes")

MIGRATIONS: Sequence[Migration] = (
    (
        # People. AUTOINCREMENT: an id is never used again, so that remains of a removed account get no new owner.
        # NOCASE: `Admin` and `admin` are the same account. password_version increases with every change of the
        # password, so that a running log-in can detect it.
        """
        CREATE TABLE accounts (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL COLLATE NOCASE UNIQUE,
            role TEXT NOT NULL CHECK (role IN ('admin', 'viewer')),
            password_digest BLOB NOT NULL,
            password_salt BLOB NOT NULL,
            scrypt_n INTEGER NOT NULL,
            scrypt_r INTEGER NOT NULL,
            scrypt_p INTEGER NOT NULL,
            password_version INTEGER NOT NULL DEFAULT 1,
            created_at REAL NOT NULL,
            last_login_at REAL
        )
        """,
        # Logged-in browsers. digest: SHA-256 of the cookie's value. The value itself is not stored.
        """
        CREATE TABLE sessions (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            digest BLOB NOT NULL UNIQUE,
            account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
            created_at REAL NOT NULL,
            expires_at REAL NOT NULL,
            last_seen_at REAL NOT NULL,
            address TEXT NOT NULL,
            agent TEXT NOT NULL
        )
        """,
        "CREATE INDEX sessions_by_account ON sessions (account_id)",
        "CREATE INDEX sessions_by_expiry ON sessions (expires_at)",
        # Programs. digest: SHA-256 of the secret. scopes: names, joined by commas. A revoked token is deleted.
        """
        CREATE TABLE tokens (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL COLLATE NOCASE UNIQUE,
            digest BLOB NOT NULL UNIQUE,
            scopes TEXT NOT NULL,
            created_at REAL NOT NULL,
            last_used_at REAL
        )
        """,
        # What people and programs did. count: how many jobs (or other things) an action changed.
        """
        CREATE TABLE audit (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            at REAL NOT NULL,
            who TEXT NOT NULL,
            source TEXT NOT NULL CHECK (source IN ('web', 'api', 'operator')),
            address TEXT NOT NULL,
            action TEXT NOT NULL,
            target TEXT NOT NULL,
            count INTEGER NOT NULL,
            detail TEXT NOT NULL
        )
        """,
        "CREATE INDEX audit_by_who ON audit (who, id)",
        "CREATE INDEX audit_by_action ON audit (action, id)",
        """
        CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END
        """,
        # Secret keys of this installation: 'csrf' (32 bytes).
        "CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
        # Log-ins that failed or are being checked. Rows are deleted after the throttle's window.
        """
        CREATE TABLE attempts (
            id INTEGER PRIMARY KEY,
            at REAL NOT NULL,
            address TEXT NOT NULL,
            account TEXT NOT NULL COLLATE NOCASE
        )
        """,
        "CREATE INDEX attempts_by_time ON attempts (at)",
        "CREATE INDEX attempts_by_address ON attempts (address, at)",
        "CREATE INDEX attempts_by_account ON attempts (account, at)",
    ),
    (
        # expires_at: when the token expires; null: never.
        "ALTER TABLE tokens ADD COLUMN expires_at REAL",
        # confirmed_at: when the password was last entered again in this session; null: not since it began.
        "ALTER TABLE sessions ADD COLUMN confirmed_at REAL",
    ),
    (
        # origin: 'local' if the account has a password, 'proxy' if the proxy logs it in (its digest is empty then).
        "ALTER TABLE accounts ADD COLUMN origin TEXT NOT NULL DEFAULT 'local' CHECK (origin IN ('local', 'proxy'))",
    ),
    (
        # rotated_at: when the token last got a new secret. The previous one is valid until previous_until, and was
        # last used at previous_used_at. A scope in `scopes` may name a task: `enqueue:send_email`.
        "ALTER TABLE tokens ADD COLUMN rotated_at REAL",
        "ALTER TABLE tokens ADD COLUMN previous_digest BLOB",
        "ALTER TABLE tokens ADD COLUMN previous_until REAL",
        "ALTER TABLE tokens ADD COLUMN previous_used_at REAL",
        "CREATE INDEX tokens_by_previous_digest ON tokens (previous_digest)",
    ),
    (
        # second_factor_at: since when a log-in to the account needs a code as well; null: it does not.
        "ALTER TABLE accounts ADD COLUMN second_factor_at REAL",
        # The app's secret is the HMAC of the nonce with a key that is not in this file. key_mark: tells another key.
        # last_step: the 30 seconds of the last accepted code. It counts once accounts.second_factor_at is set.
        """
        CREATE TABLE second_factors (
            account_id INTEGER PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
            nonce BLOB NOT NULL,
            key_mark BLOB NOT NULL,
            last_step INTEGER NOT NULL,
            created_at REAL NOT NULL
        )
        """,
        # digest: SHA-256 of a recovery code. A used one is deleted.
        """
        CREATE TABLE recovery_codes (
            id INTEGER PRIMARY KEY,
            account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
            digest BLOB NOT NULL
        )
        """,
        "CREATE INDEX recovery_codes_by_account ON recovery_codes (account_id)",
    ),
)
