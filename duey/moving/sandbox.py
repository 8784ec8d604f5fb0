"""The side of duey.moving.unpickle that trusts nothing: starts the process, and gets values from it."""

from __future__ import annotations

import os
import select
import struct
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from duey.errors import UndecodableError
from duey.moving.unpickle import LARGEST
from duey.payload.decode import from_json
from duey.storage.transfer import MoveRefused

ANSWER_S = 60.0
PASSED_ON = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "DUEY_CONFIG")  # no secrets
HOME = Path(__file__).absolute().parents[2]


class Sandbox:
    """A process that reads pickles. It is started when needed, and again if a pickle has killed it."""

    def __init__(self, modules: Sequence[str], folder: Path) -> None:
        self._modules, self._folder = list(modules), folder
        self._process: subprocess.Popen[bytes] | None = None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            environ = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
            places = (str(self._folder), str(HOME), environ.get("PYTHONPATH", ""))
            environ["PYTHONPATH"] = os.pathsep.join(filter(None, places))
            self._process = subprocess.Popen(
                [sys.executable, "-m", "duey.moving.unpickle", *self._modules], cwd=self._folder, env=environ,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        return self._process

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def check(self) -> None:
        """Raise MoveRefused if it cannot be started, for example because a module cannot be imported."""
        try:
            self.value(b"\x80\x04N.")  # None
        except UndecodableError:
            modules = ", ".join(self._modules) or "none"
            raise MoveRefused(
                f"expected to import the modules of --modules ({modules}), found an error: try `python -c 'import ...'`"
            ) from None

    def value(self, data: bytes) -> Any:
        """The value of a pickle. Raises UndecodableError."""
        if len(data) > LARGEST:
            raise UndecodableError(f"it has {len(data)} bytes, more than {LARGEST}")
        process = self._started()
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(struct.pack(">I", len(data)) + data)
            process.stdin.flush()
        head = self._read(4)
        answer = self._read(struct.unpack(">I", head)[0]) if len(head) == 4 else b""
        if not answer:
            self.close()
            raise UndecodableError("reading it ended the process that reads: it takes too much memory or time")
        if answer[:1] == b"e":
            raise UndecodableError(answer[1:].decode("utf-8", "replace"))
        return from_json(answer[1:])

    def _read(self, count: int) -> bytes:
        """So many bytes; fewer if it has ended, or does not answer."""
        assert self._process is not None and self._process.stdout is not None
        fd, found = self._process.stdout.fileno(), b""
        while len(found) < count and select.select([fd], [], [], ANSWER_S)[0]:
            some = os.read(fd, count - len(found))
            if not some:
                break
            found += some
        return found
