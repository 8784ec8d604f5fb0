"""The work behind tasks.py and periodic.py: plain functions that know neither queue nor configuration.

A recipe is given everything that it needs, returns plain JSON values, and fails in one of two ways, so that a
task only has to say which of them is worth another attempt.
"""

from __future__ import annotations


class Refused(Exception):
    """Another attempt would fail the same way: what was asked, or who is asked, must change first."""


class Unavailable(Exception):
    """Another attempt may succeed: something outside was busy, slow, broken or away."""
