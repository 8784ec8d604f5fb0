"""Webhooks: POST a JSON body with the headers of Standard Webhooks 1.0.0.

The specification: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
`webhook-id` is the same for all attempts, so that the receiver can drop duplicates. `webhook-timestamp` is the time of
this attempt. `webhook-signature`, sent if there is a secret, is `v1,` and
base64(HMAC-SHA256(key, "ID.TIMESTAMP.BODY")).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from duey.recipes import Refused, http

SECRET_PREFIX = "whsec_"
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_LINE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
# The caller must not set headers that frame the request or name its host.
_OWN_HEADERS = frozenset(
    {
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "keep-alive",
    }
)


def deliver(
    url: str, body: Any, *, message_id: str, timeout_s: float,
    allow_hosts: Iterable[str] | None = (),
    allow_ports: Collection[int] = (80, 443), secret: str | None = None, headers: Mapping[str, str] | None = None,
) -> http.Answer:  # fmt: skip
    """POST `body` as JSON and return the 2xx answer. Raises Refused and Unavailable like http.request."""
    try:
        content = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Refused(f"expected a body of JSON values: {error}") from None
    message_id = _without_dots(message_id)
    timestamp = int(time.time())
    sent = {"content-type": "application/json", **_callers_headers(headers or {})}
    sent |= {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    if secret:
        sent["webhook-signature"] = sign(secret, message_id, timestamp, content)
    return http.request(
        "POST", url, body=content, headers=sent, timeout_s=timeout_s, allow_hosts=allow_hosts, allow_ports=allow_ports
    )


def sign(secret: str, message_id: str, timestamp: int, content: bytes) -> str:
    """Return the `webhook-signature`. `secret`: `whsec_` and a base64 key, or any other text, used as UTF-8."""
    try:
        if secret.startswith(SECRET_PREFIX):
            key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
        else:
            key = secret.encode()
    except ValueError:
        raise Refused("expected base64 after whsec_ in the secret, or any other valid text") from None
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + content, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def _without_dots(message_id: str) -> str:
    # The signed fields are joined by dots, so the specification does not allow them in the id.
    return re.sub(r"[^A-Za-z0-9_:-]", "_", message_id)


def _callers_headers(headers: Mapping[str, str]) -> dict[str, str]:
    checked = {}
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name) or not _LINE.fullmatch(value):
            raise Refused(f"expected a header on one line of Latin-1, found {name[:100]!r}")
        if name.lower() in _OWN_HEADERS or name.lower().startswith(("webhook-", "proxy-")):
            raise Refused(f"the header {name} is set by the delivery itself: leave it out")
        checked[name.lower()] = value
    return checked
