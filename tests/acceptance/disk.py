"""A small disk of a test's own, that fills up and loses its power: ext4 in a file, mounted through a loop device.

A cut is the filesystem's own shutdown without a flush of its journal: from then on nothing is written any more, and
mounted again it shows what had been synced, and of the rest no more than happened to be on the disk. Needs root.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path

from tests.support import needs, wait_until

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = struct.pack("I", 2)
MB = 1024 * 1024
SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


class Disk:
    """Mounted on `folder` until `close`; skips the test where that cannot be had."""

    def __init__(self, folder: Path, image: Path, size_mb: int = 64) -> None:
        self.name = str(folder)
        self._folder, self._image = folder, image
        self._filler = folder / "filler"
        make = needs(shutil.which("mkfs.ext4", path=SBIN), "expected mkfs.ext4, found none; install e2fsprogs.")
        image.touch()
        os.truncate(image, size_mb * MB)
        subprocess.run([make, "-q", "-F", "-m", "0", str(image)], check=True)
        folder.mkdir(parents=True, exist_ok=True)
        self._mounted = False
        said = self._mount()
        needs(self._mounted, f"expected the right to mount a file on a loop device, found {said}; run these as root.")

    def _mount(self) -> str:
        run = subprocess.run(["mount", "-o", "loop", self._image, self._folder], capture_output=True, text=True)
        self._mounted = run.returncode == 0
        return run.stderr.strip()

    def cut(self) -> None:
        """The power is gone."""
        fd = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH)
        finally:
            os.close(fd)

    def start(self) -> None:
        """The power is back. Whoever used the disk was killed; the kernel takes a moment to close their files."""
        wait_until(lambda: subprocess.run(["umount", self._folder]).returncode == 0, 30, "nobody uses the disk")
        said = self._mount()
        assert self._mounted, said

    def leave(self) -> None:
        """Full to the last byte."""
        with open(self._filler, "ab", buffering=0) as filler:
            for size in (MB, 4096, 1):
                with contextlib.suppress(OSError):
                    while filler.write(bytes(size)) == size:
                        pass

    def come_back(self) -> None:
        """Room again."""
        self._filler.unlink()

    def close(self) -> None:
        if self._mounted:
            subprocess.run(["umount", "-l", self._folder], check=True)
