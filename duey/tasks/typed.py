"""What a type checker sees of Huey, which carries no types: decorated functions, calls, results.

At run time these are Huey's own objects. The classes here describe them: use them in annotations (`Result[int]`), and
make no instances. `chord`, `group` and the exceptions are Huey's own at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, Protocol, TypedDict, TypeVar, overload

from duey.model.job import Failure, Job

if TYPE_CHECKING:
    from huey.api import Huey

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
R_co = TypeVar("R_co", covariant=True)
F = TypeVar("F", bound=Callable[..., Any])
Delay = float | timedelta | None
Expires = float | timedelta | datetime | None


class TaskOptions(TypedDict, total=False):
    """The options of `@huey.task(...)` and `@huey.periodic_task(timetable, ...)` beside `retries` and `retry_delay`;
    docs/tasks.md says what each does."""

    name: str | None
    context: bool
    retry_backoff: float
    priority: float | None
    expires: Expires
    timeout: float | None
    queue: str
    on_crash: Literal["retry", "fail"]
    backoff: Callable[[int, Any], float]
    retry_on: type[BaseException] | tuple[type[BaseException], ...] | list[type[BaseException]]
    discard_on: type[BaseException] | tuple[type[BaseException], ...] | list[type[BaseException]]
    retry_for: float
    keep_for: float
    ping: str | None
    capture_print: bool
    max_memory_mb: float
    alert: Literal["each", "group", "never"]
    on_failed: Callable[[Job, Failure], Any]
    aliases: str | tuple[str, ...] | list[str]
    accepts: (
        Callable[[tuple[Any, ...], dict[str, Any]], tuple[Iterable[Any], Mapping[str, Any]]] | Mapping[str, str | None]
    )
    limit: int
    rate: tuple[int, float] | tuple[int, float, int]
    unique: bool | float
    unique_key: Callable[..., Any]
    unique_scope: Literal["end", "start", "time"]
    unique_conflict: Literal["return", "replace", "raise"]


class Result(Protocol[R_co]):
    """The handle of a job that was enqueued."""

    @property
    def id(self) -> str: ...
    @overload
    def get(
        self, blocking: Literal[True], timeout: float | None = None, backoff: float = 1.15, max_delay: float = 1.0,
        revoke_on_timeout: bool = False, preserve: bool = False,
    ) -> R_co: ...  # fmt: skip
    @overload
    def get(
        self, blocking: bool = False, timeout: float | None = None, backoff: float = 1.15, max_delay: float = 1.0,
        revoke_on_timeout: bool = False, preserve: bool = False,
    ) -> R_co | None: ...  # fmt: skip
    @overload
    def __call__(self, blocking: Literal[True], timeout: float | None = None) -> R_co: ...
    @overload
    def __call__(self, blocking: bool = False, timeout: float | None = None) -> R_co | None: ...
    def is_ready(self) -> bool: ...
    def is_revoked(self) -> bool: ...
    def revoke(self, revoke_once: bool = True) -> None: ...
    def restore(self) -> bool: ...
    def reschedule(
        self, eta: datetime | None = None, delay: Delay = None, expires: Expires = None,
        priority: float | None = None, preserve_pipeline: bool = True,
    ) -> Any: ...  # fmt: skip
    def reset(self) -> None: ...


class ResultGroup(Protocol[R]):
    """The handles of several jobs: of a group, of the steps of a pipeline, of `.map`."""

    @overload
    def get(self, blocking: Literal[True], timeout: float | None = None) -> list[R]: ...
    @overload
    def get(self, blocking: bool = False, timeout: float | None = None) -> list[R | None]: ...
    def __getitem__(self, idx: int) -> R: ...
    def __iter__(self) -> Iterator[Result[R]]: ...
    def __len__(self) -> int: ...
    def as_completed(self, backoff: float = 1.15, max_delay: float = 1.0) -> Iterator[R]: ...


class ChordResult(Protocol[R_co]):
    """The handle of a chord: that of its callback, and those of its members in `results`."""

    results: ResultGroup[Any]

    @property
    def callback(self) -> Result[R_co]: ...
    @overload
    def get(self, blocking: Literal[True], timeout: float | None = None) -> R_co: ...
    @overload
    def get(self, blocking: bool = False, timeout: float | None = None) -> R_co | None: ...


class Call(Protocol[R_co]):
    """A call that is not enqueued yet, as `TASK.s(...)` makes it."""

    id: str

    @property
    def returns(self) -> R_co:
        """For type checkers alone: what tells one call from another."""

    def then(self, task: TaskFunction[..., Any] | Call[Any], *args: Any, **kwargs: Any) -> Pipeline: ...
    def error(self, task: TaskFunction[..., Any] | Call[Any], *args: Any, **kwargs: Any) -> Call[R_co]: ...


class Pipeline(Protocol):
    """Calls that run one after the other, as `.then(...)` makes them of a call."""

    id: str

    @property
    def steps(self) -> Any:
        """For type checkers alone: what tells a pipeline from a call."""

    def then(self, task: TaskFunction[..., Any] | Call[Any], *args: Any, **kwargs: Any) -> Pipeline: ...
    def error(self, task: TaskFunction[..., Any] | Call[Any], *args: Any, **kwargs: Any) -> Pipeline: ...


class TaskFunction(Protocol[P, R]):
    """A decorated function. Calling it enqueues a job. Where a call names an option of its own (`queue=`, `delay=`), a
    type checker does not compare its other arguments with the function's signature."""

    @property
    def func(self) -> Callable[P, R]:
        """The function as it was written."""

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result[R]: ...
    @overload
    def __call__(self, *args: Any, queue: str, **kwargs: Any) -> Result[R]: ...
    @overload
    def __call__(self, *args: Any, context: Mapping[str, Any], **kwargs: Any) -> Result[R]: ...
    @overload
    def __call__(self, *args: Any, unique: str, **kwargs: Any) -> Result[R]: ...
    @overload
    def __call__(self, *args: Any, delay: float | timedelta, **kwargs: Any) -> Result[R]: ...
    @overload
    def __call__(self, *args: Any, eta: datetime, **kwargs: Any) -> Result[R]: ...
    @overload
    def __call__(self, *args: Any, priority: float, **kwargs: Any) -> Result[R]: ...
    @overload
    def __call__(self, *args: Any, retries: int, **kwargs: Any) -> Result[R]: ...
    @overload
    def __call__(self, *args: Any, expires: float | timedelta | datetime, **kwargs: Any) -> Result[R]: ...
    @overload
    def __call__(self, *args: Any, timeout: float, **kwargs: Any) -> Result[R]: ...
    @overload
    def __call__(self, *args: Any, id: str, **kwargs: Any) -> Result[R]: ...

    @overload
    def s(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]: ...
    @overload
    def s(self, *args: Any, **kwargs: Any) -> Call[R]:
        """A step of a pipeline is given the result of the step before, so its arguments may be incomplete."""

    @overload
    def schedule(self, args: float | timedelta | datetime) -> Result[R]: ...
    @overload
    def schedule(
        self, args: tuple[Any, ...] | list[Any] | None = None, kwargs: dict[str, Any] | None = None,
        eta: datetime | None = None, delay: Delay = None, priority: float | None = None, retries: int | None = None,
        retry_delay: float | None = None, retry_backoff: float | None = None, expires: Expires = None,
        timeout: float | None = None, id: str | None = None, *, queue: str | None = None,
        context: Mapping[str, Any] | None = None, unique: str | None = None,
    ) -> Result[R]: ...  # fmt: skip
    def map(self, it: Iterable[Any]) -> ResultGroup[R]: ...
    def call_local(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def revoke(self, revoke_until: datetime | None = None, revoke_once: bool = False) -> None: ...
    def restore(self) -> bool: ...
    def is_revoked(self, timestamp: datetime | None = None, peek: bool = True) -> bool: ...


class Guard(Protocol):
    """A lock or a rate limit by name: for a `with` block, or as a decorator."""

    def __enter__(self) -> Any: ...
    def __exit__(self, *exc_info: object) -> bool | None: ...
    def __call__(self, function: Callable[P, R]) -> Callable[P, R]: ...


if TYPE_CHECKING:

    class group(Generic[R]):
        """Calls that are enqueued together and run side by side."""

        tasks: list[Call[R]]

        def __init__(self, tasks: Iterable[Call[R]]) -> None: ...
        def then(self, task: TaskFunction[..., S] | Call[S], *args: Any, **kwargs: Any) -> chord[S]: ...
        def error(self, task: TaskFunction[..., Any] | Call[Any], *args: Any, **kwargs: Any) -> group[R]: ...

    class chord(Generic[R]):
        """Calls that run side by side, and a callback that is given the list of their results."""

        def __init__(self, tasks: Iterable[Any], callback: Call[R]) -> None: ...
        def then(self, task: TaskFunction[..., Any] | Call[Any], *args: Any, **kwargs: Any) -> chord[R]: ...
        def error(self, task: TaskFunction[..., Any] | Call[Any], *args: Any, **kwargs: Any) -> chord[R]: ...

    class TaskException(Exception):
        """Raised by `Result.get()` where the job has failed."""

        metadata: dict[str, Any]

    class ResultTimeout(Exception):
        """Raised by `Result.get(blocking=True, timeout=...)` where the job has not ended in time."""

    class TypedHuey(Huey):
        """What users call of Huey, with its types."""

        def rate_limit(self, name: str, limit: int, per: float, retry: bool = True) -> Guard: ...
        def signal(self, *signals: str) -> Callable[[F], F]: ...
        def on_startup(self, name: str | None = None) -> Callable[[F], F]: ...
        def on_shutdown(self, name: str | None = None) -> Callable[[F], F]: ...
        def pre_execute(self, name: str | None = None) -> Callable[[F], F]: ...
        def post_execute(self, name: str | None = None) -> Callable[[F], F]: ...
        def context_task(
            self, obj: AbstractContextManager[Any], as_argument: bool = False, **options: Any
        ) -> Callable[[Callable[..., R]], TaskFunction[..., R]]: ...
        def result(self, id: str, blocking: bool = False, timeout: float | None = None, **how: Any) -> Any: ...

else:
    from huey.api import Huey as TypedHuey
    from huey.api import chord, group
    from huey.exceptions import ResultTimeout, TaskException

__all__ = [
    "Call", "ChordResult", "Guard", "Pipeline", "Result", "ResultGroup", "ResultTimeout", "TaskException",
    "TaskFunction", "TaskOptions", "TypedHuey", "chord", "group",
]  # fmt: skip
