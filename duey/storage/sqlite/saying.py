"""What a running body says of itself, kept as long as its job: progress, and checkpoints to go on from."""

from __future__ import annotations

from collections.abc import Sequence

from duey import clock
from duey.model.job import Claim
from duey.storage.sqlite.database import Database


class Said:
    """What bodies have said."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def put_progress(self, seq: int, data: str) -> None:
        """The newest progress of a job (JSON)."""
        with self._db.write("work") as con:
            con.execute("insert or replace into progress values (?, ?, ?)", (seq, data, clock.now()))

    def progress_of(self, seq: int) -> str | None:
        """What was put last."""
        with self._db.read() as con:
            row = con.execute("select data from progress where seq = ?", (seq,)).fetchone()
        return row[0] if row else None

    def put_checkpoint(self, claim: Claim, key: str, data: bytes) -> bool:
        """Keep data with the job, if the claim stands."""
        with self._db.write("work") as con:
            return (
                con.execute(
                    "insert or replace into checkpoints select seq, ?, ? from claims where token = ?",
                    (key, data, claim.token),
                ).rowcount
                == 1
            )

    def checkpoint_of(self, claim: Claim, key: str) -> bytes | None:
        """What was kept last under the key."""
        with self._db.read() as con:
            row = con.execute("select data from checkpoints where seq = ? and key = ?", (claim.seq, key)).fetchone()
        return row[0] if row else None

    def stopping(self, workers: Sequence[int]) -> set[int]:
        """The tokens of the jobs that these workers hold and that were asked to stop."""
        marks = ",".join("?" * len(workers))
        with self._db.read() as con:
            found = con.execute(
                f"select c.token from stops s join claims c on c.seq = s.seq where c.worker in ({marks})", list(workers)
            )
            return {row[0] for row in found}
