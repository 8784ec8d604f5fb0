"""Who may enter: accounts, sessions, tokens, the CSRF secret and the audit, in a database of their own."""

from monitor.access.access import Access, FirstSecrets
from monitor.access.accounts import ADMIN, ROLES, VIEWER, Account
from monitor.access.audit import AuditEntry
from monitor.access.errors import (
    AccessError,
    AccessUnavailable,
    AccountChanged,
    AccountExists,
    InvalidInput,
    LastAdmin,
    SchemaTooNew,
    TokenExists,
    TooManyAttempts,
    UnknownAccount,
    UnknownToken,
)
from monitor.access.sessions import Session
from monitor.access.tokens import SCOPES, Token

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
    "FirstSecrets",
    "InvalidInput",
    "LastAdmin",
    "SchemaTooNew",
    "Session",
    "Token",
    "TokenExists",
    "TooManyAttempts",
    "UnknownAccount",
    "UnknownToken",
]
