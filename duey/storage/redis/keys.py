"""All keys that Duey uses on Redis, and their contents.

Every key begins with `duey:{NAME}:`, where NAME is `[storage] name`. The braces make NAME a hash tag: all keys of a
service are in one hash slot, so that a script may use all of them. KEY in the table is the rest of the key.

Instants are UTC epoch seconds as text, by the clock of the process that wrote them. Leases and heartbeats use the clock
of Redis, so that no host's clock decides which worker is dead. A token is `n:c`: worker number and counter.

A job is in exactly one place, and `job:ID` says which. Everything that changes it is one Lua script.

| KEY | type | contents |
|---|---|---|
| meta | hash | `schema`: version; `instance`: new once emptied; `scheduler`: last seen; `leases_seen`: lib_lease.lua |
| seq, event, worker, manual | string | last number given to a job, an event, a worker process, a token of no worker |
| job:ID | hash | see below |
| body:ID | string | head and payload: see below; it never changes, but for a retry with other arguments |
| result:ID | string | the serialized result (or Error) of an ended job |
| live | zset | ids of the jobs that have not ended, by seq |
| ready:QUEUE | zset | place: seq (16 digits) and id, by -priority: first by priority, then by seq |
| queues | set | queues that may have a `ready` |
| scheduled, retrying | zset | place: ids that wait for an instant, by it; retrying once an attempt has ended |
| blocked:WHY | zset | place: ids set aside, by seq; WHY is `queue`, `task`, `unknown`, `limit` or `rate`, and a name |
| blocked_order:WHY | zset | those blocked over a limit or rate, in their order, as in `ready` |
| limit:TASK | hash | places, token_s, burst (empty: no limit), tokens, at: see lib_limits.lua |
| limit_holders:TASK | set | ids of the claimed jobs that hold a place in the task's limits |
| limits_due | zset | tasks, by when their bucket has a token for those that wait |
| block_reasons | set | every WHY that holds something |
| blocked_in | hash | queue to how many of its jobs are blocked |
| unknown | zset | ids of the jobs blocked as `unknown`, by since when |
| claimed:N | hash | place: what worker N holds, counter to id |
| finished:STATE | zset | place: ids of the ended jobs, by seq; STATE is done, failed, canceled or expired |
| gone | zset | ids of the ended jobs, by the instant from which they may be removed |
| outbox | stream | `number-0`: id `j` (empty: counts), seq `s`, kind `k`, `e` [token, at, started_at, attempt], `d` |
| cancel_requests | set | seqs of running jobs that were asked to stop |
| log:TOKEN | zset, 7 d | while its body runs: JSON [number, at, level, text] of its lines, by number |
| stack_asked:N | string, 60 s | the token of the claim for whose stack worker N was asked last |
| stack:TOKEN | string, 60 s | JSON [instant, text]: where its body stood when it was asked for |
| progress | hash | seq to what the body last said of itself (JSON) |
| checkpoints:ID | hash | key to how far the job has come, as its body keeps it |
| unique_locks | hash | `=` and unique key, to until|fixed|id: latest end, 1 if it outlasts the job, its holder |
| unique_locks_gone | zset | `=` and unique key, by when it is free at the latest |
| chord:CID | hash | index of a member to its value, until the callback is removed |
| idem:LENGTH:TOKEN:KEY | string, 25 h | what an Idempotency-Key was answered: JSON [fingerprint, at, [ids]] |
| pauses | set | `queue NAME`, `task NAME`, and `hold ` while no worker may claim because the queue is being moved |
| worker:N | hash | see below |
| leases | zset | worker numbers, by the end of their lease (ms, Redis's clock) |
| sleepers | zset | worker numbers that wait to be woken, by when they fell asleep |
| wakeup:N | list, 10 s | a wake-up for worker N, which waits with BLPOP |
| waiters | hash | job id (or key) to the names of those who wait for its end, each followed by a space |
| wait:NAME | list, 60 s | the wake-up for one of them |
| schedules | set | names of all schedules |
| schedule:NAME | hash | source, spec (JSON), paused (0 or 1), last, since |
| slots:NAME | hash | due time to JSON [outcome, job id, reason, noted_at] |
| slot_times:NAME | zset | the due times of the slots, by themselves |
| slots_waiting:NAME | zset | the due times of those that wait for the run before them, by themselves |
| gaps | list | JSON [since, until, why] of the times in which no scheduler lived, oldest first |
| outbox_owner | hash | history, where, term, at: duey.model.event.OutboxOwner; read: mark of its last reading |
| recorders | zset | where histories are recorded, also by versions that know no owner, by when that was noted last |
| move | string | JSON: what is known of a move (duey.storage.transfer.Marker) |
| fence | string | only while the queue was moved away or is being moved: the sentence by which scripts refuse to run |
| replicated | string | 1: written again by whoever waits for replicas, so that WAIT counts from then on |
| nothing | - | deleted by scripts that must not be refused for want of memory; never there |
| kv, kv_gone | hash, zset | Huey's key/value store; when a key may be removed |
| revocations | hash | revocations: `r:ID`, `rt:TASK` |
| locks | hash | key to `worker|expires_at|value`, both empty when there is none |
| locks_of:N | set | the locks that end with worker N |
| counters | hash | Huey's counters |

`job:ID` (small values only, so that Redis keeps it packed):
    seq, queue, task
    unique, chord, sequel   only if it has one; sequel: duey.model.sequel
    hold    letters and seconds for `unique`: see lib_places.lua
    trees   how many whole consumers died while running it
    gate    while claimed: the task in whose limit it takes a place
    rank    -priority, the score in `ready`
    m       what changes, as JSON without brackets: enqueued_at, eta, expires_at, attempt, crashes, retries,
            retry_delay_s, failures, failed_at
    place   ready, scheduled, retrying, blocked, claimed or ended
    token   while claimed; empty otherwise
    begun   the token of the last claim whose body began, if it must not run twice
    last    the last outcome that did not end the job
    why     while set aside: see blocked:WHY; before a retry: what it waits for (lock NAME), or empty
    state, end, ev   once ended: its state, JSON [token, at, started_at, attempt], and the number of that event
            (0: its events were compacted into counts)

`body:ID`: what does not change, as JSON without the opening bracket, then a newline, then the payload:
    id, task, queue, priority, timeout_s, flags, chord, context, parent, unique_key, and since version 2 whether it has
    a sequel, and who enqueued it

`worker:N`:
    key     made by the process itself, because numbers are given again after the server was emptied
    consumer, host, pid, started_at, threads, kind, queues, tasks, code
    serves  `queues` with a comma before and after each name
    ahead   by how many seconds the clock of its host was ahead of Redis's then
    epoch   how many answers it had lost when it sent the last request that changed what it holds
    quiet, stop   1 when it was asked to
    beat_at   its last heartbeat (epoch seconds, clock of Redis)
    lease_ms  how long its lease lasts; absent once a gap has given it another: see lib_lease.lua
    running   JSON [[token, started_at, phase], ...]: the jobs that were handled for a while when this was written
"""

from __future__ import annotations

VERSION = 3  # of the schema above
LEASE_S = 15.0  # the first lease of a worker, before its supervisor renews it


def prefix(name: str) -> str:
    """The beginning of all keys of a service, without the last colon."""
    return f"duey:{{{name}}}"


def idempotency_key(token: str, key: str) -> str:
    """KEY of an idempotency key. The length distinguishes pairs that would give the same text."""
    return f"idem:{len(token)}:{token}:{key}"
