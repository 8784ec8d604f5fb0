"""Tasks that were renamed (`aliases=`), and tasks whose parameters have changed (`accepts=`).

Jobs keep the name under which they were enqueued, which is a part of what is signed. So a former name leads to the task
wherever a name is looked up: Huey's registry holds the class under each of its names, and `Renamed` says which of them
is the present one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from huey.api import Task
from huey.registry import Registry

from duey import errors

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class Renamed:
    """The former names of one Huey's tasks, in full (module.name)."""

    def __init__(self) -> None:
        self._present: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._present)

    def present(self, name: str) -> str:
        """The present name of a task, by any of its names."""
        return self._present.get(name, name)

    def names(self, name: str) -> list[str]:
        """All names of a task, by its present one, which is the first."""
        return [name, *(former for former, present in self._present.items() if present == name)]

    def former(self) -> dict[str, str]:
        """The present name for each former one."""
        return dict(self._present)

    def refuse_taken(self, name: str) -> None:
        """Raise Misconfigured if a task of this name must not be registered."""
        if name in self._present:
            other = self._present[name]
            raise errors.Misconfigured(
                f"task {name} has a name that is also in aliases= of {other}: take it out there, or rename one of them"
            )

    def add(self, registry: Registry, cls: type[Task], aliases: Iterable[str]) -> None:
        """Let these names lead to the task, which is about to be registered. Short ones are of its module. Raises
        Misconfigured if one is taken."""
        present = registry.task_to_string(cls)
        for alias in aliases:
            full = alias if "." in alias else f"{cls.__module__}.{alias}"
            if full == present or full in registry._registry:
                whose = "its own name" if full == present else f"a name of task {self.present(full)}"
                raise errors.Misconfigured(
                    f"task {present}: {full} in aliases= is {whose}: take it out, or rename one of them"
                )
            registry._registry[full] = cls
            self._present[full] = present


class ArgumentsUnfit(errors.JobError):
    """The stored arguments of a job do not fit its task, and its `accepts=` does not make them fit."""

    final = "its arguments would not fit the next time either"

    def __init__(self, task: str, why: Exception):
        text = " ".join(str(why).split()).removeprefix(f"task {task}: ")
        reason = text if isinstance(why, TypeError) and text else f"{type(why).__name__}{': ' * bool(text)}{text}"
        super().__init__(f"accepts= of task {task} does not convert its arguments ({reason}): correct it, then retry")


def accepted(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Arguments:
    """Stored arguments as the task's function takes them now. Raises ArgumentsUnfit where `accepts=` fails, or returns
    what does not fit. Without `accepts=` they are returned as they are."""
    accepts = getattr(task, "accepts", None)
    if accepts is None:
        return tuple(args), dict(kwargs)
    name = f"{task.__module__}.{task.__name__}"
    try:
        if isinstance(accepts, Mapping):
            found: Any = (args, renamed_arguments(accepts, kwargs))
        else:
            found = accepts(tuple(args), dict(kwargs))
        try:
            placed, named = found
            converted = tuple(placed), {**named}
        except (TypeError, ValueError):
            raise TypeError(f"it returned {type(found).__name__}, not (args, kwargs)") from None
        task.arity.check(name, *converted)
    except Exception as exc:
        raise ArgumentsUnfit(name, exc) from exc
    return converted


def converting(body: Callable[[Task], Any], task: Task) -> Any:
    """Run the body of a task that has `accepts=`, after its arguments are converted."""
    task.args, task.kwargs = accepted(type(task), task.args, task.kwargs)
    return body(task)


def renamed_arguments(accepts: Mapping[str, str | None], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by name with their present names. None as a present name: the parameter is gone."""
    found: dict[str, Any] = {}
    for name, value in kwargs.items():
        present = accepts.get(name, name)
        if present is None:
            continue
        if present in found or (present != name and present in kwargs):
            raise TypeError(f"{present} is given twice, also as {name}")
        found[present] = value
    return found
