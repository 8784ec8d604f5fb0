"""The serializer: values to the bytes that stand in the store, and back.

Order of writing: encode (JSON with type tags, or pickle by choice), sign when `[tasks] secret` is set,
refuse what is larger than `max_bytes`. Order of reading: size, signature, decode; so nothing is decoded,
let alone unpickled, that has not proved where it comes from. Nothing is compressed, so nothing can expand.

The signature (HMAC-SHA256) covers the format and a context given by the caller, as b"job:<id>": a payload
that is copied to another row, edited, or signed with another secret is refused. With a secret unsigned
payloads are refused too, without one signed payloads are.

The rest of the room: tag_writer and tag_reader (the JSON itself), trail (paths and refusals), carried
(register_type, CarriedError), plain (the display form for API and pages).
"""

from __future__ import annotations

import hmac
import pickle
from typing import Any

from huey.serializer import Serializer

from duey.errors import (
    Misconfigured,
    PayloadTooLarge,
    SignatureError,
    TooDeepError,
    UndecodableError,
    UnregisteredTypeError,
    UnserializableError,
)
from duey.payload.decode import from_json
from duey.payload.encode import REGISTERED, to_json
from duey.payload.plain import to_plain
from duey.payload.types import CarriedError, exception_message, exception_type, register_type

__all__ = [
    "CarriedError",
    "JsonSerializer",
    "PayloadTooLarge",
    "PickleSerializer",
    "SignatureError",
    "TooDeepError",
    "UndecodableError",
    "UnregisteredTypeError",
    "UnserializableError",
    "make_serializer",
    "register_type",
    "to_plain",
]

DEFAULT_MAX_BYTES = 64 * 1024 * 1024

# No JSON text and no pickle begins with a zero byte.
_SIGNED = b"\0DS1"
_DIGEST_BYTES = 32
_PICKLE = b"\x80"  # first byte of each pickle since protocol 2
_BODY = len(_SIGNED) + _DIGEST_BYTES


class _Envelope(Serializer):  # type: ignore[misc, unused-ignore]
    """What both formats share: the size limit and the signature. `secret` "" means unsigned."""

    kind = ""

    def __init__(self, secret: str = "", max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        super().__init__()
        self.max_bytes = max_bytes
        # A key for each format, so that what was signed as JSON can never be read as a pickle.
        self._key = hmac.digest(secret.encode(), b"duey payload as " + self.kind.encode(), "sha256") if secret else b""

    def serialize(self, data: Any, root: str = "", context: bytes = b"") -> bytes:
        """The bytes of a value, signed for this context when there is a secret; `root` names it in errors.

        Raises: UnserializableError with the path of the offending value; TooDeepError.
        """
        payload = self._encode(data, root)
        if self._key:
            payload = _SIGNED + self._digest(payload, context) + payload
        if len(payload) > self.max_bytes:
            raise UnserializableError(
                root or "the message",
                f"takes {len(payload)} bytes, more than {self.max_bytes}: pass a reference to it",
            )
        return payload

    def deserialize(self, data: bytes, context: bytes = b"") -> Any:
        """The value again; `context` must be the one that it was signed for.

        Raises: UndecodableError and below (SignatureError, PayloadTooLarge, UnregisteredTypeError) only.
        """
        if type(data) is not bytes:
            if not isinstance(data, (bytes, bytearray, memoryview)):
                raise UndecodableError(f"expected the bytes of a payload, found {type(data).__name__}")
            data = bytes(data)
        if len(data) > self.max_bytes:
            raise PayloadTooLarge(f"the payload has {len(data)} bytes, more than the {self.max_bytes} that are read")
        if self._key:
            data = self._proved(data, context)
        elif data.startswith(_SIGNED):
            raise SignatureError(
                "the payload is signed, but no secret is set here: "
                "set [tasks] secret to the one that it was signed with"
            )
        return self._decode(data)

    def runs_code(self, data: bytes) -> bool:
        """Whether reading these bytes may run code of an author: a registered type's constructor, or any pickle."""
        raise NotImplementedError

    def check(self, value: Any, root: str = "value") -> None:
        """Raise what serialize would raise, and nothing more."""
        self._encode(value, root)

    def _digest(self, payload: bytes, context: bytes) -> bytes:
        return hmac.digest(self._key, len(context).to_bytes(8, "big") + context + payload, "sha256")

    def _proved(self, data: bytes, context: bytes) -> bytes:
        if not data.startswith(_SIGNED):
            raise SignatureError(
                "the payload is not signed, but [tasks] secret is set: "
                "defer the job again, or clear the secret until the jobs from before it have ended"
            )
        payload = data[_BODY:]
        if not hmac.compare_digest(data[len(_SIGNED) : _BODY], self._digest(payload, context)):
            raise SignatureError(
                "the payload's signature does not fit: it was edited, copied from another job, "
                "or signed with another [tasks] secret or serializer; check both, then defer the job again"
            )
        return payload

    def _encode(self, value: Any, root: str) -> bytes:
        raise NotImplementedError

    def _decode(self, payload: bytes) -> Any:
        raise NotImplementedError


class JsonSerializer(_Envelope):
    """JSON with type tags: what is read from the store never imports or executes code."""

    kind = "json"

    def runs_code(self, data: bytes) -> bool:
        return REGISTERED in data

    def _encode(self, value: Any, root: str) -> bytes:
        return to_json(value, root)

    def _decode(self, payload: bytes) -> Any:
        if payload.startswith(_PICKLE):
            raise UndecodableError(
                "the payload is a pickle, but [tasks] serializer is json: "
                "set it to pickle until the jobs from before have ended"
            )
        return from_json(payload)


class PickleSerializer(_Envelope):
    """Pickle, by choice only: who can write to the store (and sign, if there is a secret) runs code here."""

    kind = "pickle"

    def runs_code(self, data: bytes) -> bool:
        return True

    def _encode(self, value: Any, root: str) -> bytes:
        try:
            return pickle.dumps(value, self.pickle_protocol)
        except Exception as error:  # __reduce__ of any class may raise anything
            why = f"cannot be pickled ({exception_type(error)}: {exception_message(error):.200})"
            raise UnserializableError(root or "the message", why) from error

    def _decode(self, payload: bytes) -> Any:
        if not payload.startswith(_PICKLE):
            raise UndecodableError(
                "the payload is no pickle, but [tasks] serializer is pickle: "
                "set it to json until the jobs from before have ended"
            )
        try:
            return pickle.loads(payload)
        except BaseException as error:  # as above, sys.exit included
            why = f"{exception_type(error)}: {exception_message(error):.200}"
            raise UndecodableError(f"the pickle cannot be loaded ({why})") from error


def make_serializer(
    kind: str, secret: str = "", max_bytes: int = DEFAULT_MAX_BYTES
) -> JsonSerializer | PickleSerializer:
    """The serializer that `[tasks] serializer` and `secret` ask for. Raises Misconfigured for others."""
    if kind == "json":
        return JsonSerializer(secret, max_bytes)
    if kind == "pickle":
        return PickleSerializer(secret, max_bytes)
    raise Misconfigured(f"[tasks] serializer: expected json or pickle, found {kind!r:.60}: correct config.ini")
