"""The browser of the tests: the Chromium of the system, which playwright drives by its path and never downloads."""

import functools

from tests.support.apt import find_or_install

NAMES = ("chromium", "chromium-browser", "google-chrome")


@functools.cache
def find_chromium() -> tuple[str | None, str]:
    """The path of the executable or None, and the sentence to say where there is none."""
    return find_or_install("a Chromium", NAMES, ("chromium",))
