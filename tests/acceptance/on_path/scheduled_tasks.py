"""Schedules of the code for the acceptance tests: each slot that runs is a line of the ledger, `schedule@slot`."""

from __future__ import annotations

from workload import write

from duey import cron, crontab, current_job, every, huey


def write_slot() -> None:
    """Begin and end, under the name of the slot."""
    said = current_job().context
    name = f"{said['schedule'].rpartition('.')[2]}@{said['slot']:.3f}"
    write(name, "begin")
    write(name, "end")


@huey.periodic_task(every(1, catch_up="all", overlap="allow"))
def each_second() -> None:
    write_slot()


@huey.periodic_task(every(2, overlap="allow"))
def each_other() -> None:
    write_slot()


@huey.periodic_task(crontab(minute="*", catch_up="all", overlap="allow"))
def each_minute() -> None:
    write_slot()


@huey.periodic_task(cron("* * * * *", tz="Asia/Kathmandu", overlap="allow"))
def there() -> None:
    write_slot()
