"""What of Huey 3.5.4 the engine overrides, calls or leans on, by name and the digest of its source.

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

# module:class, and of each function the digest of its source, parameters included
PINS = """
api:Huey __init__=534297854a83 create_storage=42ff61e75bdf get_storage=05aefc8a09b8 get_immediate_storage=d1f0312b43cf
    create_consumer=a87e956d7186 task=83a79dae2a65 periodic_task=ab82cdd554cf context_task=65e865eb4e23
    get_task_wrapper_class=905a0b35765a enqueue=38be09a7abcd _enqueue_chord=d0c6d4505867
    _enqueue_chord_member=071d68ecc5ed _pipeline_results=8aa1e6de1fd9 dequeue=17e7dda8f143 serialize_task=5054c90779b4
    deserialize_task=52988b5bbfd9 put_result=565908624f1c put=54670b3e9470 put_if_empty=a4c0dd7c4bf4
    get_raw=2d98d7475e16 get=78fe31f36405 delete=ad67029b6154 execute=75062dcf4bc1 _execute=e07fb5674f29
    _timeout_context=598c5d690c7a _get_timestamp=aa7ab8ebaa30 _emit=70cab8297ca0 _abort_chord_member=d3f05badad75
    _check_chord=ba438164b621 _requeue_task=6156663420b7 _run_pre_execute=349932bab9e5 _run_post_execute=a711c8675172
    build_error_result=13ca44ebc8a1 is_revoked=9f4b213bb333 _check_revoked=3e4e28acc873 _revoke_keys=ba35abb68ae5
    _task_key=3406b99abf82 add_schedule=f6b28a041f82 read_periodic=c5eae6b0cfe1 lock_task=197948fc7460
    flush_locks=91e8f5597130
api:Task __init__=6d973cd62bf6 resolve_expires=5fbd162a6952 extend_data=33d82a304973
api:TaskWrapper __init__=c079472d24e8 create_task=4e85b6eae166 schedule=da818634d7d6 s=86afdcb1f24a
api:TaskLock __init__=d692a85554c4 acquire=9c3aab965ec8 is_locked=72723983f2b9 __enter__=673c93dcb983
    clear=c9e7b12241d6 __exit__=e5810f252745
api:RateLimit acquire=93b3876f7253
api:Result _get=5d799cf3a8c1 get_raw_result=75a438c12248 reschedule=5fe790b30c4f
signals:Signal send=b43932848e5a
registry:Registry __init__=ee40fc7c8a06 register=76aebfca5e2a unregister=4182cb56d0c7 task_to_string=8e497350b932
    create_message=6d9b7a154e8c create_task=70636105847d
utils: normalize_time=2df8ec4406f3 normalize_expire_time=2211c99d5b21
consumer:Consumer __init__=f75640613a16 run=2d65699b21ee get_environment=a1a702e8112f _create_worker=140567cc9735
    _create_scheduler=e04f4787c487 _create_process=807443884b21
consumer:Worker __init__=8a93d0fc59b3 initialize=a2734cb16024 loop=75068a02ada5 sleep=9c639fa7e2c0
    shutdown=366f3daf9cd0
consumer:BaseProcess __init__=328b084038e4
consumer:Scheduler __init__=8bdf53b82db2
consumer:Environment timeout=2f121aff0980
consumer:ProcessEnvironment timeout=d25e4ca5f749
consumer_options:OptionParserHandler get_option_parser=ac292f43076a
bin.huey_consumer: consumer_main=c9376c33fe27 load_huey=6bb0f6dda0dd
serializer:Serializer __init__=055a04b1ad8c serialize=0ccaac3b3b90 deserialize=ebb6271383ee
storage:BaseStorage flush_all=5ac9d569d92d peek_many=2d6ac70b67c7 wait_result=93a11b1c7fec put_if_empty=79fd65168ba9
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


def pins() -> dict[str, str]:
    """Name -> digest."""
    found, owner = {}, ""
    for word in PINS.split():
        name, equals, digest = word.partition("=")
        if equals:
            found[f"{owner}.{name}".replace(":.", ":")] = digest
        else:
            owner = word
    return found


def find(name: str) -> Any:
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(f"huey.{module}")
    for part in path.split("."):
        found = inspect.getattr_static(found, part) if inspect.isclass(found) else getattr(found, part)
    return found


def test_this_is_the_huey_that_the_engine_was_made_for():
    assert huey.__version__ == "3.5.4", (
        f"Huey is {huey.__version__} and the engine was made for 3.5.4: see which pins fail here, read those places "
        "again, then renew the pins and this version"
    )


def test_each_place_that_the_engine_stands_on_is_as_it_was():
    digests = {name: hashlib.sha256(inspect.getsource(find(name)).encode()).hexdigest()[:12] for name in pins()}
    changed = {name: digest for name, digest in digests.items() if digest != pins()[name]}
    assert not changed, "these have another body or other parameters now: read each again, then renew its pin"


@rows(
    "cls",
    [
        DurableHuey, DurableTaskWrapper, DurableConsumer, DurableScheduler, PrefetchWorker, JsonSerializer,
        PickleSerializer,
    ],
)  # fmt: skip
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
