"""The pages, one noun in each file. Each lists its routes. The navigation and the site are made from these lists."""

from __future__ import annotations

from duey.monitor.web.pages.alerts import AlertsPage
from duey.monitor.web.pages.changes import ChangesPage
from duey.monitor.web.pages.error import ErrorPage
from duey.monitor.web.pages.errors import ErrorsPage
from duey.monitor.web.pages.job_pages.csv_files import CsvFiles
from duey.monitor.web.pages.job_pages.incident_file import IncidentFile
from duey.monitor.web.pages.job_pages.job import JobPage
from duey.monitor.web.pages.job_pages.jobs import JobsPage
from duey.monitor.web.pages.job_pages.share import SharePage
from duey.monitor.web.pages.overview import OverviewPage
from duey.monitor.web.pages.people.access import AccessPage
from duey.monitor.web.pages.people.account import AccountPage
from duey.monitor.web.pages.people.audit import AuditPage
from duey.monitor.web.pages.people.login import LoginPage
from duey.monitor.web.pages.people.second_factor import SecondFactorPage
from duey.monitor.web.pages.schedule_pages.schedule import SchedulePage
from duey.monitor.web.pages.schedule_pages.schedule_form import ScheduleForm
from duey.monitor.web.pages.schedule_pages.schedules import SchedulesPage
from duey.monitor.web.pages.task import TaskPage
from duey.monitor.web.pages.tasks import TasksPage
from duey.monitor.web.pages.workers import WorkersPage
from duey.monitor.web.route import PageOfRoutes
from duey.monitor.web.services import Services
from duey.monitor.web.session import Cookies

# (section, path, label, key of `g KEY`)
NAVIGATION = (
    ("overview", "/", "Overview", "o"),
    ("jobs", "/jobs", "Jobs", "j"),
    ("errors", "/errors", "Errors", "e"),
    ("alerts", "/alerts", "Alerts", "l"),
    ("tasks", "/tasks", "Tasks", "t"),
    ("schedules", "/schedules", "Schedules", "s"),
    ("workers", "/workers", "Workers", "w"),
    ("audit", "/audit", "Audit", "a"),
    ("access", "/access", "Access", "c"),
)
FOR_ADMINS = ("access",)


def all_pages(services: Services, cookies: Cookies) -> list[PageOfRoutes]:
    """Return every page, in the order in which its routes are tried."""
    return [
        LoginPage(services, cookies),
        AccountPage(services, cookies),
        SecondFactorPage(services),
        OverviewPage(services),
        ChangesPage(services),
        CsvFiles(services),
        JobsPage(services),
        IncidentFile(services),
        SharePage(services),
        JobPage(services),
        ErrorsPage(services),
        ErrorPage(services),
        AlertsPage(services),
        TasksPage(services),
        TaskPage(services),
        ScheduleForm(services),
        SchedulesPage(services),
        SchedulePage(services),
        WorkersPage(services),
        AuditPage(services),
        AccessPage(services),
    ]
