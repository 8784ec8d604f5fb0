"""Columns of the tables of monitor.db, in the order in which rows are read and written."""

from __future__ import annotations

# The columns of `jobs` that a batch may change, and those that are set when a job is accepted.
CHANGING = (
    "state", "priority", "enqueued_at", "changed_at", "ready_at", "eta", "expires_at", "started_at", "finished_at",
    "wait_ms", "run_ms", "attempt", "crashes", "retries_left", "token", "worker", "accepted", "entries", "reason",
    "fingerprint", "error_type", "error_message", "progress", "result", "cpu_ms", "peak_bytes",
)  # fmt: skip
ENDING = (  # columns of a plain end; besides those of the state, no index contains them
    "state", "changed_at", "started_at", "finished_at", "wait_ms", "run_ms", "attempt", "token", "worker", "reason",
    "result", "cpu_ms", "peak_bytes",
)  # fmt: skip
CALL = ("parent", "by", "context", "names", "args", "kwargs", "keep_s")
FIGURE_COUNTS = ("enqueued", "done", "failed", "retried", "canceled", "expired", "rescued")
FIGURE_VALUES = (
    *FIGURE_COUNTS, "run_ms", "run_max_ms", "run_buckets", "wait_ms", "wait_max_ms", "wait_buckets",
)  # fmt: skip
