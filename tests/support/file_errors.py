"""What tests of a file's troubles share: work in a process of its own, as nobody in particular, and its sentences."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def in_a_child(work: Callable[[], str]) -> str:
    """What `work` returns, or the error it raises, in a forked process."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, work().encode())
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        return answer.read()


def exit_status(work: Callable[[], object]) -> int:
    """How a forked process that does the work ends: 0, 1 after an exception, or minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def become_nobody() -> None:
    """File permissions do not count for root."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


@contextmanager
def public_folder() -> Iterator[Path]:
    """A folder that nobody may enter: pytest's own may not be, and that would be what the test finds."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def one_sentence(error: Exception, path: Path) -> str:
    """The error's text, which names the file and is one sentence."""
    text = str(error)
    assert str(path) in text
    assert "\n" not in text
    assert text[-1] != "."
    assert len(text) < 300 + len(str(path))
    return text
