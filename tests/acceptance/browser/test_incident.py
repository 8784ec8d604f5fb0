"""What an admin does at three in the morning, in a real browser, with and without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.acceptance.browser.conftest import Service, enter
from tests.acceptance.deployment import made_accounts
from tests.support import wait_until

Open = Callable[..., Page]


def ended(service: Service, job_id: str, state: str) -> None:
    wait_until(lambda: service.deployment.control.job(job_id).state == state, 30, f"job {job_id} is {state}")


def test_a_failing_job_arrives_live_is_read_mended_and_watched_to_its_end(service: Service, open_page: Open) -> None:
    page = open_page()
    expect(page).to_have_title(re.compile("Night watch"))
    page.locator("#live").select_option("2")
    page.get_by_role("link", name="Jobs", exact=True).click()
    job_id = service.enqueue_jobs("flaky", 1, 3, retries=0)
    row = page.locator(f'tr[data-id="{job_id}"]')
    expect(row).to_contain_text("failed")  # it arrived by itself
    row.get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("flaky")
    expect(page.get_by_text("workload.py").first).to_be_visible()  # the own frame of the traceback
    page.get_by_text("Edit arguments and retry").click()
    page.locator("#edit").get_by_label("failures").fill("0")
    page.get_by_role("button", name="Retry with these").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("done")
    expect(page.get_by_role("heading", name="Result")).to_be_visible()


def test_250_failed_jobs_are_retried_by_a_filter_in_two_steps(service: Service, open_page: Open) -> None:
    batch = [{"task": "fail", "args": [n], "retries": 0} for n in range(250)]
    ids = [job["id"] for job in service.deployment.client().post("/api/jobs/batch", batch).body["jobs"]]
    ended(service, ids[-1], "failed")
    page = open_page()
    page.goto("/monitor/jobs?state=failed&task=fail")
    expect(page.get_by_text("all 250 that match")).to_be_visible()
    page.get_by_label("all 250 that match").check()
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("250")
    page.get_by_role("button", name=re.compile("^Retry 250 jobs")).click()
    expect(page.get_by_role("status").first).to_contain_text("250")
    for job_id in (ids[0], ids[-1]):
        wait_until(lambda job_id=job_id: service.deployment.control.job(job_id).attempt == 2, 30, "it ran again")


def test_the_log_of_a_running_job_follows_its_end(service: Service, open_page: Open) -> None:
    gate = service.deployment.folder / "log gate"
    job_id = service.enqueue_jobs("talks", 300, str(gate))
    page = open_page()
    page.goto(f"/monitor/jobs/{job_id}")
    log = page.get_by_label("Log")
    at_end = "box => box.scrollHeight - box.scrollTop - box.clientHeight < 8"
    expect(log).to_contain_text("and more")
    assert log.evaluate(at_end)
    page.get_by_role("button", name="Show where it stands").click()
    expect(page.get_by_role("heading", name="Where it stands")).to_be_visible()  # it came by itself
    expect(page.get_by_text("talking_tasks.py").first).to_be_visible()
    gate.touch()
    expect(page.get_by_role("heading", level=1)).to_contain_text("done")
    expect(page.get_by_text("after the gate")).to_be_attached()
    expect(page.get_by_text("103 lines not shown here")).to_be_attached()


def test_a_paused_task_says_why_its_jobs_wait(service: Service, open_page: Open) -> None:
    page = open_page()
    page.goto("/monitor/tasks/note")
    page.get_by_role("button", name="Pause").click()
    job_id = service.enqueue_jobs("note", 7)
    wait_until(lambda: service.deployment.control.counts().blocked == 1, 30, "a worker met it and set it aside")
    page.goto(f"/monitor/jobs/{job_id}")
    # The timeline says it as well, once the history has it.
    expect(page.get_by_text("The task note is paused").first).to_be_visible()
    page.goto("/monitor/tasks/note")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()  # a browser is not closed amid a request
    ended(service, job_id, "done")


def test_a_task_is_run_from_the_form_made_of_its_signature(service: Service, open_page: Open) -> None:
    page = open_page()
    page.goto("/monitor/tasks/note")
    page.locator('[name="p:n"]').fill("41")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("note")
    expect(page.get_by_role("heading", level=1)).to_contain_text("done")


def test_the_same_reading_and_a_retry_without_javascript(service: Service, open_page: Open) -> None:
    job_id = service.enqueue_jobs("fail", 9, retries=0)
    ended(service, job_id, "failed")
    page = open_page(java_script_enabled=False)
    for place in ("", "jobs", "errors", "tasks", "schedules", "workers", "audit"):
        assert page.goto(f"/monitor/{place}").status == 200
        expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.goto(f"/monitor/jobs/{job_id}")
    expect(page.get_by_text("ValueError").first).to_be_visible()
    page.get_by_role("button", name="Retry", exact=True).click()
    wait_until(lambda: service.deployment.control.job(job_id).attempt == 2, 30, "it ran again")


def test_times_are_by_the_server_s_clock_in_one_zone_that_is_named(open_page: Open) -> None:
    page = open_page(timezone_id="Asia/Tokyo")
    as_of = page.locator('time[data-kind="as-of"]')
    own = page.get_by_role("button", name="Asia/Tokyo")
    expect(as_of).to_have_text(re.compile(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"))
    own.click()
    expect(own).to_have_attribute("aria-pressed", "true")
    before = as_of.text_content()
    as_of.evaluate("node => { node.textContent = '' }")
    page.locator("#live").select_option("2")  # the script asks at once, and writes when that was
    expect(as_of).to_have_text(re.compile(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d JST"))
    assert as_of.text_content()[:13] >= before[:13]


def test_who_logged_out_sees_nothing(service: Service, open_page: Open) -> None:
    page = open_page(log_in=False)
    enter(page)
    page.goto("/monitor/account")
    page.get_by_role("button", name="Log out", exact=True).click()
    page.goto("/monitor/jobs")
    expect(page).to_have_url(re.compile("/monitor/login"))
    expect(page.get_by_label("Password")).to_be_visible()


def test_the_keyboard_leads_to_the_pages(open_page: Open) -> None:
    page = open_page()
    for key, place in (("j", "jobs"), ("e", "errors"), ("w", "workers"), ("o", "")):
        page.goto("/monitor/tasks")
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page).to_have_url(re.compile(f"/monitor/{place}$"))


def test_rows_do_not_move_under_the_pointer_or_while_some_are_ticked(service: Service, open_page: Open) -> None:
    first = service.enqueue_jobs("note", 1, delay=3600)
    page = open_page()
    page.goto("/monitor/jobs?state=scheduled")
    page.locator("#live").select_option("2")
    rows, held, heading = page.locator("tbody tr"), page.locator("#held"), page.get_by_role("heading", level=1)
    shown = rows.count()
    page.locator(f'tr[data-id="{first}"]').hover()
    service.enqueue_jobs("note", 2, delay=3600)
    expect(held).to_have_text("1 new: show")
    expect(rows).to_have_count(shown)
    page.locator(f'tr[data-id="{first}"] input').check()
    heading.hover()
    service.enqueue_jobs("note", 3, delay=3600)
    expect(held).to_have_text("2 new: show")  # a row is ticked
    expect(rows).to_have_count(shown)
    held.click()
    expect(rows).to_have_count(shown + 2)
    expect(held).to_be_hidden()
    expect(page.locator(f'tr[data-id="{first}"] input')).to_be_checked()
    page.locator(f'tr[data-id="{first}"] input').uncheck()
    page.locator(f'tr[data-id="{first}"]').hover()
    service.enqueue_jobs("note", 4, delay=3600)
    expect(held).to_have_text("1 new: show")
    heading.hover()
    expect(rows).to_have_count(shown + 3)  # nothing is pointed at any more


def log_in_here(page: Page) -> None:
    """Log in at the page that asks for it."""
    first = made_accounts()[1]
    page.get_by_label("Name", exact=True).fill(first.account)
    page.get_by_label("Password").fill(first.password)
    page.get_by_role("button", name="Log in").click()


def test_what_was_typed_survives_the_end_of_the_session(service: Service, open_page: Open) -> None:
    page = open_page(log_in=False)
    enter(page)
    page.goto("/monitor/tasks/note")
    page.locator('[name="p:n"]').fill("41")
    page.get_by_label("Delay").fill("15min")
    page.context.clear_cookies()
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    log_in_here(page)
    expect(page.get_by_text("what you typed is here again")).to_be_visible()
    assert page.locator('[name="p:n"]').input_value() == "41"
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("scheduled")
    page.goto("/monitor/tasks/note")
    assert page.locator('[name="p:n"]').input_value() == "", "once only"


def test_what_was_typed_is_for_the_one_who_typed_it_and_was_not_sent(service: Service, open_page: Open) -> None:
    job_id = service.enqueue_jobs("flaky", 1, 99, retries=0)
    ended(service, job_id, "failed")
    page = open_page(log_in=False)
    enter(page)
    page.goto(f"/monitor/jobs/{job_id}")
    page.locator("form[data-keep]").evaluate("form => { form.action = form.action.replace('was=failed', 'was=done') }")
    page.get_by_text("Edit arguments and retry").click()
    again, note = page.get_by_role("button", name="Retry with these"), page.get_by_text("You were logged out before")
    again.click()
    expect(page.get_by_text("Nothing was changed")).to_be_visible()
    expect(note).to_have_count(0)  # the session lasted
    page.get_by_text("Edit arguments and retry").click()
    page.locator("#edit").get_by_label("failures").fill("12345")
    page.context.clear_cookies()
    again.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    page.evaluate(
        "() => { const key = 'duey-typed', kept = JSON.parse(sessionStorage[key]); "
        "sessionStorage[key] = JSON.stringify({ ...kept, who: 'another' }) }"
    )
    log_in_here(page)
    expect(page).to_have_url(re.compile(f"/monitor/jobs/{job_id}$"))
    page.get_by_text("Edit arguments and retry").click()
    expect(note).to_have_count(0)
    assert page.locator("#edit").get_by_label("failures").input_value() == "99"
