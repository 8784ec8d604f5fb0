"""Imports the task modules of `[tasks] modules`, and computes a fingerprint of their code."""

from __future__ import annotations

import hashlib
import importlib
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from duey import errors

_loaded = [""]


def load_tasks(modules: Sequence[str], root: Path) -> None:
    """Import each module from `root` or PYTHONPATH. Raises Misconfigured with file and line of the error."""
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    for name in modules:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as exc:
            if exc.name != name:
                raise errors.Misconfigured(f"task module {name}: {where(exc)}: {exc}") from exc
            raise errors.Misconfigured(
                f"[tasks] modules names {name!r}, and no such module is in {root} or on PYTHONPATH"
            ) from None
        except SyntaxError as exc:
            raise errors.Misconfigured(f"task module {name}: {exc.filename}, line {exc.lineno}: {exc.msg}") from None
        except errors.DueyError as exc:
            raise errors.Misconfigured(f"task module {name}: {where(exc)}: {exc}") from None
        except Exception as exc:
            raise errors.Misconfigured(
                f"task module {name} cannot be imported: {where(exc)}: {type(exc).__name__}: {exc}"
            ) from exc
    _loaded[:] = [_digest(modules)]


def code() -> str:
    """The first digits of a digest of the task modules' files when they were imported; "" before that. Two consumers
    with the same digits run the same code."""
    return _loaded[0]


def _digest(modules: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for name in sorted(modules):
        file = getattr(sys.modules[name], "__file__", None)
        try:
            digest.update(Path(file).read_bytes() if file else name.encode())
        except OSError:  # for example a module in an archive
            digest.update(name.encode())
    return digest.hexdigest()[:7]


def where(exc: BaseException) -> str:
    """File and line of the innermost frame outside of the import machinery and Duey."""
    own = str(Path(__file__).parent.parent)
    frames = [
        f for f in traceback.extract_tb(exc.__traceback__)
        if "importlib" not in f.filename and not f.filename.startswith(("<", own)) and "/huey/" not in f.filename
    ]  # fmt: skip
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else "while it was imported"
