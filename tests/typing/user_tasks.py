"""A user's task file, as `mypy --strict` and pyright see it. Each `ignore` marks a mistake that they must find."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from typing_extensions import assert_type

from duey import (
    Call,
    ChordResult,
    Discard,
    Failure,
    Job,
    Result,
    ResultGroup,
    Retry,
    TaskException,
    checkpoint,
    chord,
    cron,
    crontab,
    current_job,
    every,
    exponential,
    group,
    huey,
    on_worker_start,
    progress,
    register_type,
    resume,
    settings,
)  # fmt: skip


@huey.task(retries=5, backoff=exponential(2), retry_on=(OSError,), timeout=30, queue="slow", on_crash="fail")
def add(a: int, b: int = 2) -> int:
    """Keeps its signature."""
    progress(1, 2, "half")
    if a < 0:
        raise Discard("negative")
    if a > 99:
        raise Retry(60)
    job = current_job()
    assert_type(job.id if job else "", str)
    return a + b


def from_euros(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args[:1], {"cents": args[1] * 100, **kwargs}


@huey.task(aliases=("bill", "orders.bill"), accepts=from_euros)
def charge(order: int, *, cents: int) -> str:
    """Keeps its signature, too."""
    return f"{order}: {cents}"


@huey.task(aliases="rest", accepts={"seconds": "s", "why": None})
def pause(s: float) -> None: ...


assert_type(charge(7, cents=500), Result[str])
charge(7)  # type: ignore[call-overload]
huey.task(accepts=lambda args: args)  # type: ignore[misc, arg-type]


def tell(job: Job, error: Failure) -> None:
    assert_type(job.id + error.message, str)


@huey.task(on_failed=tell, unique=60, limit=2, rate=(5, 60))
def total(numbers: list[int]) -> int:
    last = checkpoint()
    for number in resume(numbers):
        assert_type(number, int)
    return sum(numbers) + (last or 0)


@huey.periodic_task(crontab(minute="0", hour="3"), retries=3, retry_delay=60)
def nightly() -> None:
    assert_type(settings.web.port, int)


@huey.periodic_task(cron("0 9 * * mon-fri", tz="Europe/Zagreb"))
def morning() -> str:
    return "good morning"


@huey.periodic_task(every(90))
def poll() -> None:
    with huey.lock_task("poll"):
        pass


@huey.task
@huey.lock_task("one")
def locked(n: int) -> int:
    return n


@huey.task()
@huey.rate_limit("mail", limit=5, per=60)
def limited(n: int) -> int:
    return n


@huey.signal("error")
def on_error(signal: str, task: Any, exc: BaseException | None = None) -> None: ...


@huey.on_startup()
def open_pool() -> None: ...


@huey.pre_execute()
def before(task: Any) -> None: ...


@on_worker_start
def start() -> None: ...


@register_type
class Point:
    x: int = 0


# what a call gives
assert_type(add(1), Result[int])
assert_type(add(1, b=2).get(), "int | None")
assert_type(add(1, 2).get(blocking=True, timeout=5), int)
assert_type(add(1, 2)(True), int)
assert_type(nightly(), Result[None])
assert_type(morning().id, str)
assert_type(add.func(1, 2), int)
assert_type(add.call_local(1, 2), int)
assert_type(locked(1), Result[int])
assert_type(limited(1), Result[int])
assert_type(add(1, 2, queue="other", priority=3), Result[int])
assert_type(add(1, 2, context={"user": "ana"}), Result[int])
assert_type(add(1, delay=timedelta(minutes=5)), Result[int])
assert_type(add(1, eta=datetime(2030, 1, 1, tzinfo=timezone.utc)), Result[int])

# calls that are not enqueued yet
call = add.s(1, 2)
assert_type(call, Call[int])
assert_type(huey.enqueue(call), Result[int])
assert_type(huey.enqueue(add.s(1, 2, retries=10)), Result[int])
assert_type(huey.enqueue(add.s(1).then(add, 3).then(add, 4)), ResultGroup[Any])
assert_type(add.schedule((1, 2), delay=60), Result[int])
assert_type(add.schedule(args=(1, 2), eta=datetime(2030, 1, 1, tzinfo=timezone.utc), queue="slow"), Result[int])
assert_type(nightly.schedule(60), Result[None])

# many
assert_type(add.map([(1, 2), (3, 4)]), ResultGroup[int])
assert_type(add.map([(1, 2)]).get(blocking=True), list[int])
assert_type(huey.enqueue(group([add.s(1, 2), add.s(3, 4)])), ResultGroup[int])
assert_type(huey.enqueue(chord([add.s(1, 2), add.s(3, 4)], total.s())), ChordResult[int])
assert_type(huey.enqueue(group([add.s(1, 2)]).then(total)), ChordResult[int])
for result in add.map([1, 2]):
    assert_type(result, Result[int])

try:
    add(1).get(blocking=True)
except TaskException as exc:
    print(exc.metadata["error"])

add("one")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
add()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
add.call_local("one")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
add(1).get(blocking="yes")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
add.missing()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


@huey.task(retries="many")  # type: ignore[call-overload, untyped-decorator]  # pyright: ignore[reportCallIssue]
def refused() -> None: ...


@huey.task(retrise=3)  # type: ignore[call-overload, untyped-decorator]  # pyright: ignore[reportCallIssue]
def misspelt() -> None: ...
