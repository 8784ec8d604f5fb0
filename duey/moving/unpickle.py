"""A process that reads pickles of plain Huey and can do nothing else: `python -m duey.moving.unpickle [MODULE ...]`.

A pickle can call any function that it may name. Here it may name the classes of a Huey message, of simple values, and
those that the given modules define. In addition the process has no network where the kernel allows that, may open no
further file, start no process and write no file, and has limited memory and processor time.

Standard input: frames of 4 bytes length and a pickle. Standard output: for each one a frame that begins with `v` and
holds the value as Duey's JSON, which is safe to read, or begins with `e` and says why it cannot be read.
"""

from __future__ import annotations

import ctypes
import importlib
import io
import os
import pickle
import resource
import struct
import sys
import zlib
from collections.abc import Collection
from contextlib import suppress
from typing import Any, BinaryIO

MEMORY_BYTES = 1 << 30
PROCESSOR_S = 600
LARGEST = 64 * 2**20  # of a pickle, also decompressed
CLONE_NEWUSER, CLONE_NEWNET, PR_SET_NO_NEW_PRIVS = 0x10000000, 0x40000000, 38
ALLOWED = {
    "huey.registry": ("Message",),
    "huey.utils": ("Error",),
    "builtins": ("set", "frozenset", "bytearray", "complex", "range", "slice"),
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "uuid": ("UUID", "SafeUUID"),
    "collections": ("OrderedDict", "deque"),
    "pathlib": ("Path", "PosixPath", "PurePath", "PurePosixPath"),
}


class NotAllowed(pickle.UnpicklingError):
    """The pickle names something that it may not."""


class Reader(pickle.Unpickler):
    """Reads one pickle. `modules`: those whose classes it may name as well."""

    def __init__(self, file: BinaryIO, modules: Collection[str] = ()) -> None:
        super().__init__(file)
        self._modules = modules

    def find_class(self, module: str, name: str) -> Any:
        if name in ALLOWED.get(module, ()):
            return getattr(importlib.import_module(module), name)
        if module in self._modules:
            found = getattr(sys.modules[module], name, None)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise NotAllowed(
            f"it names {module}.{name}, which is allowed only if --modules names {module}, as a class there"
        )


def value_of(data: bytes, modules: Collection[str] = ()) -> Any:
    """The value of a stored pickle, also if Huey has compressed it."""
    if data[:1] in (b"\x1f", b"\x78"):  # gzip, zlib
        inflater = zlib.decompressobj(wbits=47)
        data = inflater.decompress(data, LARGEST)
        if inflater.unconsumed_tail:
            raise pickle.UnpicklingError(f"it has more than {LARGEST} bytes when decompressed")
    return Reader(io.BytesIO(data), modules).load()


def confine() -> None:
    """Give up everything that reading needs not. What the kernel does not allow is left out."""
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    for kind, most in (
        (resource.RLIMIT_CPU, PROCESSOR_S), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0), (resource.RLIMIT_NOFILE, 0),
    ):  # fmt: skip
        with suppress(OSError, ValueError):
            resource.setrlimit(kind, (most, most))


def leave_the_network() -> None:
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if libc.unshare(CLONE_NEWNET) != 0:
            libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)


def main(modules: list[str]) -> None:
    """Answer frames until standard input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a module prints is no answer
    leave_the_network()
    for name in modules:
        importlib.import_module(name)
    from duey.payload.encode import to_json  # now, because no file can be opened later

    for module in ALLOWED:
        importlib.import_module(module)
    confine()
    while len(head := sys.stdin.buffer.read(4)) == 4:
        data = sys.stdin.buffer.read(struct.unpack(">I", head)[0])
        try:
            answer = b"v" + to_json(value_of(data, frozenset(modules)), "the message")
        except BaseException as exc:  # whatever it raises, sys.exit included
            answer = b"e" + f"{type(exc).__name__}: {exc}".encode("utf-8", "replace")[:500]
        answers.write(struct.pack(">I", len(answer)) + answer)
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
