"""The envelope: size limit, signature, the choice of format; for JSON and pickle alike."""

from __future__ import annotations

import hmac
import pickle
from typing import Any

import huey.serializer
import pytest
from huey import MemoryHuey
from huey.registry import Message

from duey.errors import Misconfigured, PayloadTooLarge, SignatureError, UndecodableError, UnserializableError
from duey.payload.encode import to_json
from duey.payload.serializer import JsonSerializer, PickleSerializer, make_serializer
from tests.support import rows

MESSAGE = Message("id-1", "tasks.add", None, 0, 0, None, (1, 2), {"to": "ana"})
kinds = rows("kind", ["json", "pickle"])


class Bomb:
    """Leaves a mark where it is unpickled."""

    went_off = False

    def __reduce__(self) -> Any:
        return (setattr, (Bomb, "went_off", True))


@pytest.fixture(autouse=True)
def unexploded() -> Any:
    Bomb.went_off = False
    yield
    assert not Bomb.went_off


@kinds
@rows("secret", ["", "s3cret"])
def test_a_value_comes_back_and_huey_runs_on_it(kind: str, secret: str) -> None:
    serializer = make_serializer(kind, secret)
    assert isinstance(serializer, huey.serializer.Serializer)
    for use in ((), ("job", "id-1", None)):
        stored = serializer.serialize(MESSAGE, use=use)
        assert type(stored) is bytes and type(serializer.deserialize(stored, use=use)) is Message
        for form in (bytes, memoryview, bytearray):
            assert serializer.deserialize(form(stored), use=use) == MESSAGE  # type: ignore[arg-type]
    app = MemoryHuey("serializer", serializer=serializer)
    add = app.task()(lambda a, b: a + b)
    pipeline = app.enqueue(add.s(1, 2).then(add, 10))
    while len(app):
        app.execute(app.dequeue())
    assert pipeline.get() == [3, 13]
    app.flush()


@kinds
def test_copied_swapped_and_edited_payloads_are_refused(kind: str) -> None:
    serializer = make_serializer(kind, "s3cret")
    first = serializer.serialize(MESSAGE, use=("job", "1"))
    second = serializer.serialize(MESSAGE._replace(id="id-2"), use=("job", "2"))

    def refuses(stored: bytes, use: tuple[Any, ...] = ("job", "1"), reader: Any = serializer) -> None:
        with pytest.raises(SignatureError):
            reader.deserialize(stored, use=use)

    for stored, use in ((first, ("job", "2")), (second, ("job", "1")), (first, ()), (first, ("job", "1", None))):
        refuses(stored, use)
    for position in range(len(first)):
        refuses(first[:position] + bytes([first[position] ^ 1]) + first[position + 1 :])
        refuses(first[:position])
    refuses(first[:68] + second[68:])
    refuses(first, reader=make_serializer(kind, "other"))
    other = {"json": PickleSerializer("s3cret"), "pickle": JsonSerializer("s3cret")}[kind]
    refuses(first, reader=other)  # what was signed as JSON is never unpickled
    for stored in (pickle.dumps(Bomb()), PickleSerializer("s3cret").serialize(1)[:68] + pickle.dumps(Bomb())):
        refuses(stored, (), PickleSerializer("s3cret"))  # not before its signature holds


@kinds
def test_a_secret_is_changed_in_two_steps(kind: str) -> None:
    use = ("result", "1")
    old, both, new = (make_serializer(kind, *each) for each in (("a",), ("b", 9999, ("0", "a")), ("b",)))
    assert both.deserialize(old.serialize(1, use=use), use) == 1
    assert new.deserialize(both.serialize(1, use=use), use) == 1
    for reader, stored in ((new, old.serialize(1, use=use)), (old, both.serialize(1, use=use))):
        with pytest.raises(SignatureError, match="does not fit"):
            reader.deserialize(stored, use)


def test_what_the_version_before_signed_is_read_until_the_secret_changes() -> None:
    body = JsonSerializer().serialize([1])
    key = hmac.digest(b"a", b"duey payload as json", "sha256")
    stored = b"\0DS1" + hmac.digest(key, bytes(8) + body, "sha256") + body
    for reader in (JsonSerializer("a"), JsonSerializer("b", previous=["a"])):
        assert reader.deserialize(stored, ("job", "1")) == [1]
        with pytest.raises(SignatureError):
            reader.deserialize(stored[:-1] + b" ", ("job", "1"))
    with pytest.raises(SignatureError):
        JsonSerializer("b").deserialize(stored)


@kinds
def test_unsigned_and_signed_do_not_mix(kind: str) -> None:
    unsigned, signed = make_serializer(kind), make_serializer(kind, "s3cret")
    with pytest.raises(SignatureError, match=r"not signed, but .*secret is set"):
        signed.deserialize(unsigned.serialize(1))
    with pytest.raises(SignatureError, match=r"signed, but no secret is set here: set \[tasks\] secret"):
        unsigned.deserialize(signed.serialize(1))


def test_formats_do_not_mix() -> None:
    with pytest.raises(UndecodableError, match=r"is a pickle, but \[tasks\] serializer is json"):
        JsonSerializer().deserialize(pickle.dumps(Bomb()))
    for protocol in (0, 1):
        with pytest.raises(UndecodableError):
            JsonSerializer().deserialize(pickle.dumps(Bomb(), protocol))
    with pytest.raises(UndecodableError, match=r"not a pickle, but \[tasks\] serializer is pickle"):
        PickleSerializer().deserialize(JsonSerializer().serialize(1))
    assert JsonSerializer().serialize([1], use=("job", "1")) == JsonSerializer().serialize([1]) == to_json([1], "")
    with pytest.raises(Misconfigured, match="expected json or pickle, found 'yaml'"):
        make_serializer("yaml")


@kinds
def test_the_size_limit_holds_on_both_ways(kind: str) -> None:
    small, large = make_serializer(kind, max_bytes=100), make_serializer(kind)
    assert small.deserialize(small.serialize("x" * 50)) == "x" * 50 and large.max_bytes == 64 * 1024 * 1024
    with pytest.raises(UnserializableError, match=r"^args: takes \d+ bytes, more than 100"):
        small.serialize("x" * 100, root="args")
    with pytest.raises(PayloadTooLarge, match="more than the 100 that are read"):
        small.deserialize(large.serialize("x" * 100))


@kinds
@rows("stored", [None, "text", 7, b"", b"\x80", b"\x80\x05junk", b"\0DS1", b"\x1f\x8b\x08"])
def test_other_things_are_undecodable(kind: str, stored: Any) -> None:
    for secret in ("", "s3cret"):
        with pytest.raises(UndecodableError):
            make_serializer(kind, secret).deserialize(stored)


def test_what_cannot_be_pickled_or_unpickled_is_named() -> None:
    with pytest.raises(UnserializableError, match=r"^result: cannot be pickled \("):
        PickleSerializer().serialize(lambda: 1, root="result")
    with pytest.raises(UnserializableError):
        PickleSerializer().check(lambda: 1)
    stored = pickle.dumps(Bomb()).replace(b"went_off", b"__name__")  # a setattr that Python refuses
    with pytest.raises(UndecodableError, match=r"the pickle cannot be loaded \(TypeError: "):
        PickleSerializer().deserialize(stored)
