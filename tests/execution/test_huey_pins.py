"""What of Huey 3.5.4 the engine overrides, calls or leans on, by name, parameters and the digest of its source.

The engine stands on places that Huey may change at any release. An upgrade fails here, and says which place is
another one now. Then: read it again in the new Huey, see what of the engine leans on it, mend that, and renew the pin.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
from pathlib import Path
from typing import Any

import huey
from huey import MemoryHuey, signals
from huey.api import Huey, PeriodicTask, Task
from huey.consumer import Consumer, Scheduler, Worker, WorkerRecycle
from huey.consumer_options import OptionParserHandler, config_defaults
from huey.exceptions import CancelExecution, RetryTask, TaskException
from huey.registry import Message, Registry
from huey.storage import BaseStorage
from huey.utils import SKIPPED, ChordConfig, Error

from duey.execution.huey import DurableHuey
from duey.payload.serializer import JsonSerializer, PickleSerializer
from duey.scheduling.scheduler import DurableScheduler
from duey.tasks.decorator import DurableTaskWrapper
from duey.worker.process import PrefetchWorker
from duey.worker.supervisor import DurableConsumer
from tests.support import rows

# module:name, the digest of its source, its parameters
PINS = """
api:Huey.__init__                                    534297854a83  self name results store_none utc immediate
                                                                   serializer compression use_zlib
                                                                   immediate_use_memory storage_class
                                                                   store_intermediate_errors **storage_kwargs
api:Huey.create_storage                              42ff61e75bdf  self
api:Huey.get_storage                                 05aefc8a09b8  self **kwargs
api:Huey.get_immediate_storage                       d1f0312b43cf  self
api:Huey.create_consumer                             a87e956d7186  self **options
api:Huey.task                                        83a79dae2a65  self retries retry_delay retry_backoff
                                                                   priority context name expires timeout
                                                                   **kwargs
api:Huey.periodic_task                               ab82cdd554cf  self validate_datetime retries retry_delay
                                                                   retry_backoff priority context name expires
                                                                   timeout **kwargs
api:Huey.context_task                                65e865eb4e23  self obj as_argument **kwargs
api:Huey.get_task_wrapper_class                      905a0b35765a  self
api:Huey.enqueue                                     38be09a7abcd  self task
api:Huey._enqueue_chord                              d0c6d4505867  self chord_obj
api:Huey._enqueue_chord_member                       071d68ecc5ed  self task config
api:Huey._pipeline_results                           8aa1e6de1fd9  self task
api:Huey.dequeue                                     17e7dda8f143  self
api:Huey.serialize_task                              5054c90779b4  self task
api:Huey.deserialize_task                            52988b5bbfd9  self data
api:Huey.put_result                                  565908624f1c  self key data
api:Huey.put                                         54670b3e9470  self key data
api:Huey.put_if_empty                                a4c0dd7c4bf4  self key data ttl
api:Huey.get_raw                                     2d98d7475e16  self key peek
api:Huey.get                                         78fe31f36405  self key peek
api:Huey.delete                                      ad67029b6154  self key
api:Huey.execute                                     75062dcf4bc1  self task timestamp
api:Huey._execute                                    e07fb5674f29  self task timestamp
api:Huey._timeout_context                            598c5d690c7a  self task
api:Huey._get_timestamp                              aa7ab8ebaa30  self
api:Huey._emit                                       70cab8297ca0  self signal task *args **kwargs
api:Huey._abort_chord_member                         d3f05badad75  self task value
api:Huey._check_chord                                ba438164b621  self cc value
api:Huey._requeue_task                               6156663420b7  self task timestamp retry_eta
api:Huey._run_pre_execute                            349932bab9e5  self task
api:Huey._run_post_execute                           a711c8675172  self task task_value exception
api:Huey.build_error_result                          13ca44ebc8a1  self task exception
api:Huey.is_revoked                                  9f4b213bb333  self task timestamp peek
api:Huey._check_revoked                              3e4e28acc873  self data timestamp peek
api:Huey._revoke_keys                                ba35abb68ae5  self task
api:Huey._task_key                                   3406b99abf82  self task_class key
api:Huey.add_schedule                                f6b28a041f82  self task
api:Huey.read_periodic                               c5eae6b0cfe1  self timestamp
api:Huey.lock_task                                   197948fc7460  self lock_name ttl
api:Huey.flush_locks                                 91e8f5597130  self *names
api:Task.__init__                                    6d973cd62bf6  self args kwargs id eta retries retry_delay
                                                                   priority expires on_complete on_error
                                                                   expires_resolved timeout chord_config
                                                                   retry_backoff
api:Task.resolve_expires                             5fbd162a6952  self utc
api:Task.extend_data                                 33d82a304973  self data
api:TaskWrapper.__init__                             c079472d24e8  self huey func context name task_base
                                                                   **settings
api:TaskWrapper.create_task                          4e85b6eae166  self func context name **settings
api:TaskWrapper.schedule                             da818634d7d6  self args kwargs eta delay priority retries
                                                                   retry_delay retry_backoff expires timeout id
api:TaskWrapper.s                                    86afdcb1f24a  self *args **kwargs
api:TaskLock.__init__                                d692a85554c4  self huey name ttl
api:TaskLock.acquire                                 9c3aab965ec8  self
api:TaskLock.is_locked                               72723983f2b9  self
api:TaskLock.__enter__                               673c93dcb983  self
api:TaskLock.clear                                   c9e7b12241d6  self
api:TaskLock.__exit__                                e5810f252745  self exc_type exc_val exc_tb
api:RateLimit.acquire                                93b3876f7253  self
api:Result._get                                      5d799cf3a8c1  self preserve
api:Result.get_raw_result                            75a438c12248  self blocking timeout backoff max_delay
                                                                   revoke_on_timeout preserve
api:Result.reschedule                                5fe790b30c4f  self eta delay expires priority
                                                                   preserve_pipeline
signals:Signal.send                                  b43932848e5a  self signal task *args **kwargs
registry:Registry.__init__                           ee40fc7c8a06  self
registry:Registry.register                           76aebfca5e2a  self task_class
registry:Registry.unregister                         4182cb56d0c7  self task_class
registry:Registry.task_to_string                     8e497350b932  self task_class
registry:Registry.create_message                     6d9b7a154e8c  self task
registry:Registry.create_task                        70636105847d  self message
utils:normalize_time                                 2df8ec4406f3  eta delay utc
utils:normalize_expire_time                          2211c99d5b21  expires utc
consumer:Consumer.__init__                           f75640613a16  self huey workers periodic initial_delay
                                                                   backoff max_delay scheduler_interval
                                                                   worker_type check_worker_health
                                                                   health_check_interval flush_locks extra_locks
                                                                   max_tasks shutdown_timeout graceful_signal
consumer:Consumer.run                                2d65699b21ee  self
consumer:Consumer.get_environment                    a1a702e8112f  self worker_type
consumer:Consumer._create_worker                     140567cc9735  self
consumer:Consumer._create_scheduler                  e04f4787c487  self
consumer:Consumer._create_process                    807443884b21  self process name
consumer:Worker.__init__                             8a93d0fc59b3  self huey stop_flag default_delay max_delay
                                                                   backoff max_tasks
consumer:Worker.initialize                           a2734cb16024  self
consumer:Worker.loop                                 75068a02ada5  self now
consumer:Worker.sleep                                9c639fa7e2c0  self
consumer:Worker.shutdown                             366f3daf9cd0  self
consumer:BaseProcess.__init__                        328b084038e4  self huey stop_flag
consumer:Scheduler.__init__                          8bdf53b82db2  self huey stop_flag interval periodic
consumer:Environment.timeout                         2f121aff0980  self seconds
consumer:ProcessEnvironment.timeout                  d25e4ca5f749  self seconds
consumer_options:OptionParserHandler.get_option_parser ac292f43076a  self
bin.huey_consumer:consumer_main                      c9376c33fe27
bin.huey_consumer:load_huey                          6bb0f6dda0dd  path
serializer:Serializer.__init__                       055a04b1ad8c  self compression compression_level use_zlib
                                                                   pickle_protocol
serializer:Serializer.serialize                      0ccaac3b3b90  self data
serializer:Serializer.deserialize                    ebb6271383ee  self data
storage:BaseStorage.flush_all                        5ac9d569d92d  self
storage:BaseStorage.peek_many                        2d6ac70b67c7  self keys
storage:BaseStorage.wait_result                      93a11b1c7fec  self key timeout backoff max_delay
storage:BaseStorage.put_if_empty                     79fd65168ba9  self key value ttl
"""

# Private attributes of Huey's objects that the engine reads or sets.
ATTRIBUTES = {
    "Huey": (
        "_immediate", "_registry", "_timeout_handler", "_tasks_in_flight", "_startup", "_shutdown",
        "_pre_execute", "_post_execute", "_signal",
    ),
    "Registry": ("_registry", "_periodic_tasks"),
    "Consumer": (
        "huey", "workers", "periodic", "worker_type", "max_tasks", "shutdown_timeout", "stop_flag", "environment",
        "default_delay", "max_delay", "backoff", "scheduler_interval",
    ),
    "Worker": ("huey", "stop_flag", "process_name", "max_tasks", "task_count", "_logger"),
    "Scheduler": ("huey", "stop_flag", "process_name", "periodic", "_logger"),
}  # fmt: skip

ENGINE = Path(__file__).resolve().parents[2] / "duey"


def pins() -> dict[str, tuple[str, list[str]]]:
    """Name -> digest and parameters."""
    lines: list[str] = []
    for line in PINS.strip().splitlines():
        if line.startswith(" "):
            lines[-1] += line
        else:
            lines.append(line)
    return {name: (digest, parameters) for name, digest, *parameters in map(str.split, lines)}


def find(name: str) -> Any:
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(f"huey.{module}")
    for part in path.split("."):
        found = inspect.getattr_static(found, part) if inspect.isclass(found) else getattr(found, part)
    return found


def parameters_of(function: Any) -> list[str]:
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return [stars.get(each.kind, "") + each.name for each in inspect.signature(function).parameters.values()]


def test_this_is_the_huey_that_the_engine_was_made_for():
    assert huey.__version__ == "3.5.4", (
        f"Huey is {huey.__version__} and the engine was made for 3.5.4: see which pins fail here, read those places "
        "again, then renew the pins and this version"
    )


@rows("name", pins())
def test_a_place_that_the_engine_stands_on_is_as_it_was(name):
    digest, parameters = pins()[name]
    function = find(name)
    assert parameters_of(function) == parameters, f"huey.{name} takes other parameters now"
    found = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]
    assert found == digest, f"huey.{name} has another body now ({found}): read it again, then renew its pin"


@rows(
    "cls",
    [
        DurableHuey,
        DurableTaskWrapper,
        DurableConsumer,
        DurableScheduler,
        PrefetchWorker,
        JsonSerializer,
        PickleSerializer,
    ],
)
def test_everything_that_the_engine_overrides_is_pinned(cls):
    own = [each for each in cls.__mro__ if each.__module__.startswith("duey.")]
    hueys = [each for each in cls.__mro__ if each.__module__.startswith("huey.")]
    pinned = {name.partition(":")[2].partition(".")[2] for name in pins()}
    overridden = {
        name
        for each in own
        for name, value in vars(each).items()
        if inspect.isfunction(value) and any(name in vars(base) for base in hueys)
    }
    assert overridden - pinned == set()


def test_every_private_name_of_huey_that_the_engine_uses_is_pinned():
    private = {name for cls in (Huey, Task, Registry, Consumer, Worker, Scheduler) for name in vars(cls)}
    private |= {name for names in ATTRIBUTES.values() for name in names} | set(vars(MemoryHuey()))
    private = {name for name in private if name.startswith("_") and not name.startswith("__")}
    pinned = {name.rpartition(".")[2] for name in pins()} | {n for names in ATTRIBUTES.values() for n in names}
    found = []
    for file in ENGINE.rglob("*.py"):
        used = [n for n in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(n, ast.Attribute)]
        own = {n.attr for n in used if isinstance(n.ctx, ast.Store) and ast.unparse(n.value) == "self"}
        found += [f"{file.name}:{n.lineno}: {n.attr}" for n in used if n.attr in private - pinned - own]
    assert found == []


def test_huey_s_objects_have_the_attributes_that_the_engine_uses():
    app = MemoryHuey()
    consumer = Consumer(app)
    objects = {
        "Huey": app, "Registry": app._registry, "Consumer": consumer, "Worker": consumer._create_worker(),
        "Scheduler": consumer._create_scheduler(),
    }  # fmt: skip
    for kind, names in ATTRIBUTES.items():
        assert [name for name in names if not hasattr(objects[kind], name)] == [], kind


# values


def test_the_fields_of_what_travels_through_the_store():
    assert Message._fields == (
        "id", "name", "eta", "retries", "retry_delay", "priority", "args", "kwargs", "on_complete", "on_error",
        "expires", "expires_resolved", "timeout", "chord_config", "retry_backoff",
    )  # fmt: skip
    assert ChordConfig._fields == ("cid", "size", "idx", "callback")
    assert Error._fields == ("metadata",)
    assert repr(SKIPPED) == "SKIPPED"


def test_the_keys_under_which_huey_keeps_revocations_and_locks():
    app = MemoryHuey("name")
    assert Task(id="x").revoke_id == "r:x"
    assert app._task_key(Task, "rt") == "rt:huey.api.Task"
    assert app.lock_task("db")._key == "name.lock.db"


def test_the_exceptions_that_steer_a_job():
    assert (RetryTask(delay=5).delay, RetryTask(eta=1).eta) == (5, 1)
    assert (CancelExecution("why", retry=False).retry, CancelExecution("why").args) == (False, ("why",))
    assert TaskException({"error": "e"}).metadata == {"error": "e"}
    assert issubclass(WorkerRecycle, Exception)


def test_the_signals():
    assert {name for name in vars(signals) if name.startswith("SIGNAL_")} == {
        f"SIGNAL_{name}" for name in (
            "CANCELED", "COMPLETE", "ENQUEUED", "ERROR", "EXECUTING", "EXPIRED", "INTERRUPTED", "LOCKED",
            "RATE_LIMITED", "RETRYING", "REVOKED", "SCHEDULED", "TIMEOUT",
        )
    }  # fmt: skip


def test_the_options_of_the_command_and_their_defaults():
    assert dict(config_defaults) == {
        "workers": 1, "worker_type": "thread", "initial_delay": 0.1, "backoff": 1.15, "max_delay": 10.0,
        "check_worker_health": True, "health_check_interval": 10, "scheduler_interval": 1, "periodic": True,
        "logfile": None, "verbose": None, "simple_log": None, "flush_locks": False, "extra_locks": None,
        "max_tasks": None, "shutdown_timeout": None, "graceful_signal": "INT",
    }  # fmt: skip
    parsed, _ = OptionParserHandler().get_option_parser().parse_args(["-w", "3"])
    assert {name for name, value in vars(parsed).items() if value is not None} == {"workers"}


def test_the_shape_of_a_storage():
    methods = {name for name, value in vars(BaseStorage).items() if inspect.isfunction(value) and name != "__init__"}
    assert methods == {
        "close", "enqueue", "dequeue", "queue_size", "enqueued_items", "flush_queue", "add_to_schedule",
        "read_schedule", "schedule_size", "scheduled_items", "flush_schedule", "put_data", "peek_data", "peek_many",
        "pop_data", "wait_result", "delete_data", "has_data_for_key", "put_if_empty", "incr", "delete_counter",
        "result_store_size", "result_items", "flush_results", "flush_counters", "flush_all",
    }  # fmt: skip
    assert (BaseStorage.blocking, BaseStorage.priority) == (False, True)


def test_a_periodic_task_is_told_by_its_class_and_its_method():
    assert issubclass(PeriodicTask, Task)
    assert not hasattr(Task, "validate_datetime")
    assert PeriodicTask().validate_datetime(None) is False
