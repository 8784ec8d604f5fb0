"""The registered tasks by name: the full name, or the short name while it is unique."""

from __future__ import annotations

import inspect
from typing import Any

from huey.api import PeriodicTask, Task

from duey import errors
from duey.model.job import TaskInfo
from duey.tasks.options import HUEYS_OPTIONS, OPTIONS
from duey.tasks.runbook import runbook_of
from duey.tasks.signature import Signature


class KnownTasks:
    """Reads Huey's registry, which grows while task modules are imported."""

    def __init__(self, huey: Any) -> None:
        self._huey = huey
        self._size = -1
        self._by_name: dict[str, list[type[Task]]] = {}

    def _names(self) -> dict[str, list[type[Task]]]:
        registry = self._huey._registry._registry
        if len(registry) != self._size:
            by_name: dict[str, list[type[Task]]] = {}
            for qualname, cls in registry.items():
                for name in (qualname, qualname.rpartition(".")[2], cls.__name__):
                    same = by_name.setdefault(name, [])
                    if cls not in same:  # a task of several names
                        same.append(cls)
            self._by_name, self._size = by_name, len(registry)
        return self._by_name

    def all(self) -> list[type[Task]]:
        """Every registered task, by name, without the internal ones."""
        registry, renamed = self._huey._registry._registry, self._huey.renamed
        return [cls for name, cls in sorted(registry.items()) if renamed.present(name) == name and not is_internal(cls)]

    def find(self, name: str, internal: bool = False) -> type[Task]:
        """The task with this short or full name. `internal`: also tasks whose jobs only Duey itself enqueues. Raises
        UnknownTask, AmbiguousTask."""
        found = [cls for cls in self._names().get(name, ()) if internal or not is_internal(cls)]
        if not found:
            raise errors.UnknownTask(name, [each for each, of in self._names().items() if not is_internal(of[0])])
        if len(found) > 1:
            raise errors.AmbiguousTask(name, [self.full(cls) for cls in found])
        return found[0]

    def full(self, cls: type[Task]) -> str:
        """module.name"""
        return str(self._huey._registry.task_to_string(cls))

    def qualname(self, name: str) -> str:
        """The full name for a short or full one."""
        return self.full(self.find(name, internal=True))

    def full_name(self, name: str) -> str | None:
        """The full name for a short or full one; None if no task, or more than one, has this name."""
        try:
            return self.full(self.find(name))
        except (errors.UnknownTask, errors.AmbiguousTask):
            return None

    def searched(self, name: str) -> str:
        """What to search for: the present full name for a former name, any other name as it is."""
        full = self.full_name(name)
        return name if full is None or name == full.rpartition(".")[2] else full

    def names(self, name: str) -> list[str]:
        """The full name for a short or full one, then the task's former names."""
        return list(self._huey.renamed.names(self.qualname(name)))

    def present(self, qualname: str) -> str:
        """The present full name of a task for one of its full names, also of a task that is not known."""
        return str(self._huey.renamed.present(qualname))

    def short(self, qualname: str) -> str:
        """The short name of a task if it is unique, otherwise the full name; for an unknown task the last part."""
        qualname = self.present(qualname)
        cls = self._huey._registry._registry.get(qualname)
        name = qualname.rpartition(".")[2] if cls is None else cls.__name__
        return qualname if len(self._names().get(name, ())) > 1 else name

    def signature(self, cls: type[Task]) -> Signature:
        """The signature against which calls of the task are checked."""
        found = self._huey.display.signature(self.full(cls))
        assert found is not None  # because it is registered
        return found

    def info(self, cls: type[Task], paused: set[str]) -> TaskInfo:
        """The display form of a task."""
        signature = self.signature(cls)
        options = {name: getattr(cls, f"default_{name}") for name in HUEYS_OPTIONS}
        options |= {name: plain(getattr(cls, name)) for name in OPTIONS if hasattr(cls, name)}
        if options.get("ping"):  # the rest of the URL is a secret
            options["ping"] = "/".join([*options["ping"].split("/")[:3], "…"])
        is_paused = not paused.isdisjoint(self._huey.renamed.names(self.full(cls)))
        return TaskInfo(
            name=self.short(self.full(cls)), qualname=self.full(cls), doc=inspect.cleandoc(cls.__doc__ or ""),
            parameters=signature.parameters, options={k: v for k, v in options.items() if v},
            paused=is_paused, periodic=issubclass(cls, PeriodicTask), internal=is_internal(cls),
            runbook=runbook_of(cls.__doc__),
        )  # fmt: skip


def is_internal(cls: type[Task]) -> bool:
    """Whether only Duey itself enqueues jobs of the task, as for on_failed handlers."""
    return bool(getattr(cls, "internal", False))


def plain(value: Any) -> Any:
    """An option as text or number."""
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else getattr(value, "__name__", repr(value))
