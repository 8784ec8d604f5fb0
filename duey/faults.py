"""Kill points: named steps at which a test may let the process die.

`point` is None, always, in service: a step then costs one look at a module's attribute. The acceptance tests set it,
in a task module of theirs, to a function that kills the process at the step that it chose, and look at what becomes
of the jobs. (Where it is set, SQLite accepts also plain jobs step by step, and not at once.) The steps, in the order of
a job's life, and what stands when the process dies there:

    enqueue.begun        nothing was stored
    enqueue.written      nothing was stored: the transaction is not committed
    enqueue.committed    the jobs are stored, but the caller has no answer yet
    settle.begun          the outcomes of this turn are not written: their jobs run again
    settle.written        the same, and what the turn claimed is not claimed
    settle.committed      the outcomes stand; what was claimed has not begun, and goes back uncounted
    body.begun          the job is handled: the death is charged to it
    body.ended          the same: the body is over, and its outcome was not handed back
    reap.begun          a dead worker's claims stand: the next rescuer returns them
    reap.written        the same
    reap.committed      they are returned; the worker's files remain for the next rescuer
    fire.begun          the slots are as due as they were: the next look deals with them
    fire.written        the same
    fire.committed      they are dealt with, and no other look finds them
    alert.written       no incident is open, and nobody is told: the next evaluation finds it again
    alert.committed     the incident is open, and its notifications wait
    attempt.committed   nothing was sent: it is sent when the time of this attempt is over
    attempt.sent        the same, although it was sent: it is sent once more
    move.held           the source claims nothing: the next `duey move` goes on from here, as from each step below
    move.closed         the source is closed, the target untouched
    move.begun          the target is closed and empty
    move.batch          some items are in the target, with the marker that says which
    move.copied         all are
    move.left           the source says that it was moved; the target still refuses to start
    move.arrived        the move is complete
"""

from __future__ import annotations

from collections.abc import Callable

point: Callable[[str], None] | None = None
STEPS = (
    "enqueue.begun", "enqueue.written", "enqueue.committed", "settle.begun", "settle.written", "settle.committed",
    "body.begun", "body.ended", "reap.begun", "reap.written", "reap.committed",
    "fire.begun", "fire.written", "fire.committed", "alert.written", "alert.committed", "attempt.committed",
    "attempt.sent", "move.held", "move.closed", "move.begun", "move.batch", "move.copied", "move.left", "move.arrived",
)  # fmt: skip
