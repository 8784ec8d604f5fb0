"""The environments that the peers are installed into: one each, outside of the repository, made once and kept.

Duey and the plain Hueys run in the environment of the bench itself. Only wheels are taken: where a peer has none for
this machine, the table says so, instead of a compiler failing after minutes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

CACHE = Path(os.environ.get("BENCH_CACHE") or Path.home() / ".cache" / "duey-bench")
PEERS = {
    "celery": ("celery[redis]",),
    "rq": ("rq",),
    "dramatiq": ("dramatiq[redis]",),
    "litequeue": ("litequeue",),
    "honker": ("honker",),
}


class NotInstalled(Exception):
    """One line that says why a system cannot be measured here."""


def python_of(system: str) -> str:
    """The interpreter of a system's environment, made when needed. Raises NotInstalled."""
    if system not in PEERS:
        return sys.executable
    folder = CACHE / system
    python = folder / "bin" / "python"
    done, failed = folder / "installed", folder / "failed"
    if done.exists():
        return str(python)
    if failed.exists():
        raise NotInstalled(f"{failed.read_text()} (tried before; remove {folder.name} from the cache to try again)")
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    try:
        ran = subprocess.run([*pip, *PEERS[system]], capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        raise NotInstalled("pip did not end within 5 minutes") from None
    if ran.returncode:
        said = [line for line in ran.stderr.splitlines() if line.startswith("ERROR")] or ["ERROR: it gave no reason"]
        reason = f"pip cannot install it here: {said[-1].removeprefix('ERROR: ')}"
        failed.write_text(reason)
        raise NotInstalled(reason)
    done.touch()
    return str(python)
