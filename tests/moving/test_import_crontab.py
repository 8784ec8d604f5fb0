"""The lines of a crontab: which become schedules, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

from duey.moving import crontab
from tests.support import rows

SAMPLE = """\
# m h dom mon dow command
MAILTO=ops@example.org
SHELL = "/bin/bash"
0 3 * * * /usr/local/bin/backup.sh --all
*/5 * * * mon-fri  poll  # every five
@daily report

CRON_TZ=Europe/Zagreb
0 9 1 * 7 date +\\%F
@reboot start
0 9 * * * mail bob%Hi
61 * * * * never
* * * *
*/90 * * * * twice
CRON_TZ=Europe/Nowhere
0 0 30 2 * never
""".splitlines()


def test_a_crontab() -> None:
    found = crontab.read(SAMPLE)
    assert [(line.number, line.expression, line.command, line.tz) for line in found.lines] == [
        (4, "0 3 * * *", "/usr/local/bin/backup.sh --all", None),
        (5, "*/5 * * * mon-fri", "poll  # every five", None),
        (6, "@daily", "report", None),
        (9, "0 9 1 * 7", "date +%F", "Europe/Zagreb"),
    ]
    words = [
        (2, "MAILTO is not kept: nobody is sent the output"), (3, "SHELL is not kept: the task decides"),
        (10, "@reboot has no time"), (11, "a % ends the command"), (12, "expected as minute a number from 0 to 59"),
        (13, "expected five fields or @daily and a command, found '* * * *'"), (14, "found '*/90'"),
        (15, "there is no time zone 'Europe/Nowhere'"), (16, "no month that it names has such a day"),
    ]  # fmt: skip
    assert len(found.left) == len(words)
    for sentence, (number, part) in zip(found.left, words, strict=True):
        assert sentence.startswith(f"line {number}: ") and part in sentence and "\n" not in sentence
    names = [line.name for line in found.lines]
    assert names[0].startswith("cron:backup.sh-") and len(set(names)) == 4
    assert names == [line.name for line in crontab.read(SAMPLE[1:]).lines], "the same wherever the lines stand"


def test_a_crontab_of_the_system() -> None:
    found = crontab.read(["0 3 * * * root a b", "@hourly bob c", "0 3 * * * root"], user_column=True)
    assert [(line.expression, line.command) for line in found.lines] == [("0 3 * * *", "a b"), ("@hourly", "c")]
    assert found.left[0] == "line 1: the user root is not kept: jobs run as the user of the service"
    assert found.left[2].startswith("line 3: expected five fields or @daily, a user and a command")


@rows("target, expected", [("Europe/Zagreb", "Europe/Zagreb"), ("posix/UTC", "UTC"), (None, None), ("nowhere", None)])
def test_the_zone_of_the_machine(target, expected, tmp_path: Path):
    link = tmp_path / f"localtime-{target}".replace("/", "-")
    if target:
        file = tmp_path / "zoneinfo" / target
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        link.symlink_to(file)
    assert crontab.system_zone(link) == expected
