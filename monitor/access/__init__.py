"""Access to the monitor: accounts, sessions, tokens, the CSRF secret and the audit log, in a database of their own."""

from duey.monitor.access.access import Access, FirstSecrets
from duey.monitor.access.accounts import ADMIN, ROLES, VIEWER, Account
from duey.monitor.access.audit import AuditEntry
from duey.monitor.access.errors import (
    AccessError,
    AccessUnavailable,
    AccountChanged,
    AccountExists,
    ChangedSince,
    InvalidInput,
    KeyLost,
    KeyMissing,
    LastAdmin,
    LocalAccount,
    NotInGroup,
    ProxyAccount,
    SchemaTooNew,
    TokenExists,
    TooManyAttempts,
    UnknownAccount,
    UnknownToken,
)
from duey.monitor.access.login.second_factor import Enrolment
from duey.monitor.access.sessions import Session
from duey.monitor.access.tokens import SCOPES, Token

__all__ = [
    "ADMIN",
    "ROLES",
    "SCOPES",
    "VIEWER",
    "Access",
    "AccessError",
    "AccessUnavailable",
    "Account",
    "AccountChanged",
    "AccountExists",
    "AuditEntry",
    "ChangedSince",
    "Enrolment",
    "FirstSecrets",
    "InvalidInput",
    "KeyLost",
    "KeyMissing",
    "LastAdmin",
    "LocalAccount",
    "NotInGroup",
    "ProxyAccount",
    "SchemaTooNew",
    "Session",
    "Token",
    "TokenExists",
    "TooManyAttempts",
    "UnknownAccount",
    "UnknownToken",
]
