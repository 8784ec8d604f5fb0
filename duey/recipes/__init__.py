"""The work behind tasks.py and periodic.py: plain functions that depend on neither queue nor configuration.

A recipe takes all its input as arguments, returns plain JSON values, and raises one of two exceptions, so that a
task only has to say for which of them another attempt makes sense.
"""

from __future__ import annotations


class Refused(Exception):
    """Another attempt would fail in the same way: the request or the permissions must change first."""


class Unavailable(Exception):
    """Another attempt may succeed: an external resource was busy, slow, broken or unreachable.

    `retry_after_s`: when the resource asked to be tried again, None if it did not say.
    """

    def __init__(self, sentence: str, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(sentence)
