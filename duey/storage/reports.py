"""The port through which running bodies report: log lines, progress, where they stand, checkpoints. A part of the
contract of a storage (duey.storage.contract)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from duey.model.job import Claim
from duey.model.log_lines import Numbered


class Reports(Protocol):
    """What running bodies report, and what others read of it."""

    def put_progress(self, seq: int, data: str) -> None:
        """Store the progress of a running body (JSON)."""

    def progress_of(self, seq: int) -> str | None:
        """The last progress of the job (JSON), or None."""

    def put_logs(self, lines: Mapping[int, Sequence[Numbered]]) -> None:
        """Add lines that running bodies have logged, by the token of their claim. For long only the first and the last
        HALF_LINES of each are kept (duey.model.log_lines)."""

    def end_logs(self, tokens: Sequence[int]) -> None:
        """These bodies have ended: their lines, which their outcomes hold too, are removed in about a minute."""

    def log_of(self, token: int) -> list[Numbered]:
        """The lines that `put_logs` has stored for the claim, in order."""

    def ask_stack(self, token: int) -> None:
        """Ask the worker that holds the claim where its body stands. Of several questions to a worker before it looks,
        only the last one counts."""

    def stack_asked(self, worker: int) -> int | None:
        """The token for which this worker was asked since the last call, or None."""

    def put_stack(self, token: int, text: str) -> None:
        """Store the answer."""

    def stack_of(self, token: int) -> tuple[float, str] | None:
        """The last answer for the claim and when it was given, kept for a minute or longer; or None."""

    def put_checkpoint(self, claim: Claim, key: str, data: bytes) -> bool:
        """Store data with the job, until the job is removed. False, and nothing is stored, if the claim is gone."""

    def checkpoint_of(self, claim: Claim, key: str) -> bytes | None:
        """What was stored last under the key, or None. Retrying a job that was done removes its checkpoints."""
