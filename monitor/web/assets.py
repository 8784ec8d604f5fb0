"""Assets: the stylesheet, the script and the icon, read once. Their addresses change with their content.

Addresses do not end in .css or .js, because some proxies serve such files from a folder of their own. An address of
an older version returns the current file, which browsers then do not cache.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "static"
FILES = {
    "style": ("duey.css", "text/css; charset=utf-8"),
    "script": ("duey.js", "text/javascript; charset=utf-8"),
    "icon": ("icon.svg", "image/svg+xml"),
}
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """One file: its address below /static/, and its bytes, plain and compressed."""

    address: str
    kind: str
    plain: bytes
    packed: bytes


class Assets:
    """All files, by the first part of their address."""

    def __init__(self) -> None:
        self._assets: dict[str, Asset] = {}
        for name, (file, kind) in FILES.items():
            plain = (FOLDER / file).read_bytes()
            mark = hashlib.sha256(plain).hexdigest()[:12]
            self._assets[name] = Asset(f"{name}-{mark}", kind, plain, gzip.compress(plain, mtime=0))

    def addresses(self) -> Mapping[str, str]:
        """The last part of each address, by name."""
        return {name: asset.address for name, asset in self._assets.items()}

    def find(self, address: str) -> tuple[Asset | None, bool]:
        """Return the asset, and whether the address is that of its current content."""
        asset = self._assets.get(address.partition("-")[0])
        return asset, asset is not None and asset.address == address
