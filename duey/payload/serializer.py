"""The serializer: values to stored bytes, and back.

Writing: encode (JSON with type tags, or pickle by choice), sign if `[tasks] secret` is set, refuse more than
`max_bytes`. Reading: check the size, check the signature, decode. So nothing is decoded, let alone unpickled, before it
has proved where it comes from. Nothing is compressed, so nothing can expand.

The signature (HMAC-SHA256) covers the format, the value and its use: what it is (a job, a result, ...) and the columns
of its row that must not change. So a payload is refused if it is edited or copied to another row, or if its row is
edited. The payload contains a hash of the use, so that Huey's own code, which reads without naming a use, can still
check that the value was signed here. With a secret, unsigned payloads are refused; without one, signed payloads are.

New payloads are signed with `secret`. Payloads signed with one of the `previous` secrets are accepted until the list is
cleared. Payloads that an older version signed (`DS1`) are not bound to a use; they are accepted until the secret
changes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import pickle
from collections.abc import Callable, Sequence
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
from duey.payload.decode import from_json, stored_json
from duey.payload.encode import REGISTERED, to_json
from duey.payload.plain import to_plain
from duey.payload.stand_in import read_pickle
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
    "Use",
    "make_serializer",
    "of_job",
    "of_new_job",
    "of_part",
    "of_result",
    "register_type",
    "to_plain",
]

DEFAULT_MAX_BYTES = 64 * 1024 * 1024

# No JSON text and no pickle begins with a zero byte.
_SIGNED, _SIGNED_BEFORE = b"\0DS2", b"\0DS1"
_DIGEST_BYTES = 32
_PICKLE = b"\x80"  # first byte of each pickle since protocol 2
_DIGEST_END = len(_SIGNED) + _DIGEST_BYTES
_BODY = _DIGEST_END + _DIGEST_BYTES  # after the hash of the use

Use = tuple[str | int | None, ...]  # what a value is stored as; () if that is unknown


def of_new_job(job_id: str, task: str, context: str | None, chord: str | None) -> Use:
    """The use of the call of a new job."""
    return "job", job_id, task, context, chord


def of_job(job: Any) -> Use:
    """The same use, for a JobRecord."""
    return of_new_job(job.id, job.task, job.context, job.chord)


def of_result(key: str) -> Use:
    """The use of a job's result, and of other values under a key."""
    return "result", key


def of_part(cid: str, index: int, size: int, callback_id: str) -> Use:
    """The use of one part of a chord."""
    return "part", cid, index, size, callback_id


class _Envelope(Serializer):  # type: ignore[misc, unused-ignore]
    """The part that both formats share: size limit and signature. `secret` "": unsigned."""

    kind = ""

    def __init__(self, secret: str = "", max_bytes: int = DEFAULT_MAX_BYTES, previous: Sequence[str] = ()) -> None:
        super().__init__()
        self.max_bytes = max_bytes
        # A key for each format, so that a value signed as JSON can never be read as a pickle.
        secrets = [each.encode() for each in (secret, *previous)] if secret else []
        kind = self.kind.encode()
        self._keys = [hmac.digest(each, b"duey payload with its use as " + kind, "sha256") for each in secrets]
        self._keys_before = [hmac.digest(each, b"duey payload as " + kind, "sha256") for each in secrets]

    def serialize(self, data: Any, root: str = "", use: Use = ()) -> bytes:
        """The bytes of a value, signed for this use if there is a secret. `root` names it in errors.

        Raises UnserializableError with the path of the value that cannot be encoded, or TooDeepError.
        """
        payload = self._encode(data, root)
        if self._keys:
            payload = self._signed(payload, use)
        if len(payload) > self.max_bytes:
            raise UnserializableError(
                root or "the message",
                f"takes {len(payload)} bytes, more than {self.max_bytes}: pass a reference to it",
            )
        return payload

    def deserialize(self, data: bytes, use: Use | None = None) -> Any:
        """The value of these bytes. `use` must be the one that they were signed for; None, for Huey's own code: any
        use.

        Raises only UndecodableError or a subclass (SignatureError, PayloadTooLarge, UnregisteredTypeError).
        """
        return self._decode(self._opened(data, use))

    def stored(self, data: bytes, use: Use | None = None) -> Any:
        """The same for showing it: runs no author's code. Instances of an author's classes are a StandIn."""
        return self._decode_stored(self._opened(data, use))

    def checked(self, data: bytes, use: Use | None = None) -> Any:
        """The same as `stored`. Raises TypeMisfit as well if no instance could be made of what is stored."""
        return self._decode_stored(self._opened(data, use), True)

    def _opened(self, data: bytes, use: Use | None) -> bytes:
        if type(data) is not bytes:
            if not isinstance(data, (bytes, bytearray, memoryview)):
                raise UndecodableError(f"expected the bytes of a payload, found {type(data).__name__}")
            data = bytes(data)
        if len(data) > self.max_bytes:
            raise PayloadTooLarge(f"the payload has {len(data)} bytes, more than the {self.max_bytes} that are read")
        if self._keys:
            data = self._proved(data, use)
        elif data.startswith((_SIGNED, _SIGNED_BEFORE)):
            raise SignatureError(
                "the payload is signed, but no secret is set here: "
                "set [tasks] secret to the one that it was signed with"
            )
        return data

    def runs_code(self, data: bytes) -> bool:
        """Whether decoding these bytes may run an author's code: the constructor of a registered type, or any
        pickle."""
        raise NotImplementedError

    def check(self, value: Any, root: str = "value") -> None:
        """Raise what serialize would raise for this value, without returning bytes."""
        self._encode(value, root)

    def check_use(self, data: bytes, use: Use) -> None:
        """Raise SignatureError if these bytes were not signed for this use."""
        if self._keys:
            self._proved(data, use)

    def for_use(self, data: bytes, use: Use, other: Use) -> bytes:
        """Bytes that were serialized for one use, signed again for another one."""
        return self._signed(self._proved(data, use), other) if self._keys else data

    def _signed(self, payload: bytes, use: Use) -> bytes:
        bound = _hash_of(use) + payload
        return _SIGNED + hmac.digest(self._keys[0], bound, "sha256") + bound

    def _proved(self, data: bytes, use: Use | None) -> bytes:
        if data.startswith(_SIGNED_BEFORE):  # its signature covers an empty context, after the length of it
            keys, bound, start = self._keys_before, bytes(8) + data[_DIGEST_END:], _DIGEST_END
        elif data.startswith(_SIGNED):
            keys, bound, start = self._keys, data[_DIGEST_END:], _BODY
        else:
            raise SignatureError(
                "the payload is not signed, but [tasks] secret is set: "
                "enqueue the job again, or clear the secret until the jobs from before it have ended"
            )
        digest = data[len(_SIGNED) : _DIGEST_END]
        if not any(hmac.compare_digest(digest, hmac.digest(key, bound, "sha256")) for key in keys):
            raise SignatureError(
                "the payload's signature does not fit: it was edited, "
                "or signed with another [tasks] secret or serializer; add that secret to [tasks] secret_previous, or "
                "enqueue the job again"
            )
        if use is not None and start == _BODY and bound[:_DIGEST_BYTES] != _hash_of(use):
            raise SignatureError(
                f"the payload's signature does not fit this {use[0] if use else 'place'}: its row was edited, "
                "or the payload was copied from another one; find out who writes to the storage, then make it again"
            )
        return data[start:]

    def _encode(self, value: Any, root: str) -> bytes:
        raise NotImplementedError

    def _decode(self, payload: bytes) -> Any:
        raise NotImplementedError

    def _decode_stored(self, payload: bytes, checked: bool = False) -> Any:
        raise NotImplementedError


def _hash_of(use: Use) -> bytes:
    return hashlib.sha256(json.dumps(use).encode()).digest()


class JsonSerializer(_Envelope):
    """JSON with type tags. Decoding never imports or executes code that the store names."""

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

    def _decode_stored(self, payload: bytes, checked: bool = False) -> Any:
        return stored_json(payload, checked) if REGISTERED in payload else self._decode(payload)


class PickleSerializer(_Envelope):
    """Pickle, only by choice: anybody who can write to the store (and sign, if there is a secret) can run code here."""

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
        return self._loaded(payload, pickle.loads)

    def _decode_stored(self, payload: bytes, checked: bool = False) -> Any:
        return self._loaded(payload, read_pickle)

    def _loaded(self, payload: bytes, load: Callable[[bytes], Any]) -> Any:
        if not payload.startswith(_PICKLE):
            raise UndecodableError(
                "the payload is not a pickle, but [tasks] serializer is pickle: "
                "set it to json until the jobs from before have ended"
            )
        try:
            return load(payload)
        except BaseException as error:  # as above, sys.exit included
            why = f"{exception_type(error)}: {exception_message(error):.200}"
            raise UndecodableError(f"the pickle cannot be loaded ({why})") from error


def make_serializer(
    kind: str, secret: str = "", max_bytes: int = DEFAULT_MAX_BYTES, previous: Sequence[str] = ()
) -> JsonSerializer | PickleSerializer:
    """The serializer for `[tasks] serializer`, `secret` and `secret_previous`. Raises Misconfigured."""
    if kind == "json":
        return JsonSerializer(secret, max_bytes, previous)
    if kind == "pickle":
        return PickleSerializer(secret, max_bytes, previous)
    raise Misconfigured(f"[tasks] serializer: expected json or pickle, found {kind!r:.60}: correct config.ini")
