"""The pages, one noun a file. Each lists its routes; the navigation and the site are made from these lists."""

from __future__ import annotations

from monitor.web.house import House
from monitor.web.pages.account import AccountPage
from monitor.web.pages.audit import AuditPage
from monitor.web.pages.errors import ErrorsPage
from monitor.web.pages.job import JobPage
from monitor.web.pages.jobs import JobsPage
from monitor.web.pages.login import LoginPage
from monitor.web.pages.overview import OverviewPage
from monitor.web.pages.schedule_form import ScheduleForm
from monitor.web.pages.schedules import SchedulesPage
from monitor.web.pages.task import TaskPage
from monitor.web.pages.tasks import TasksPage
from monitor.web.pages.workers import WorkersPage
from monitor.web.route import PageOfRoutes
from monitor.web.session import Cookies

# (section, path, label, key of `g KEY`)
NAVIGATION = (
    ("overview", "/", "Overview", "o"),
    ("jobs", "/jobs", "Jobs", "j"),
    ("errors", "/errors", "Errors", "e"),
    ("tasks", "/tasks", "Tasks", "t"),
    ("schedules", "/schedules", "Schedules", "s"),
    ("workers", "/workers", "Workers", "w"),
    ("audit", "/audit", "Audit", "a"),
)


def all_pages(house: House, cookies: Cookies) -> list[PageOfRoutes]:
    """Every page, in the order in which its routes are tried."""
    return [
        LoginPage(house, cookies),
        AccountPage(house, cookies),
        OverviewPage(house),
        JobsPage(house),
        JobPage(house),
        ErrorsPage(house),
        TasksPage(house),
        TaskPage(house),
        ScheduleForm(house),
        SchedulesPage(house),
        WorkersPage(house),
        AuditPage(house),
    ]
