"""Behind a real nginx, over https, below a prefix, with the server of deploy/proxy/nginx.conf."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Response, expect

from tests.acceptance.browser.conftest import Service
from tests.acceptance.deployment import Deployment, made_accounts
from tests.support import free_port, needs, wait_until
from tests.support.nginx import Nginx, make_certificate

Open = Callable[..., Page]
SHOWN = Path(__file__).resolve().parents[3] / "deploy" / "proxy" / "nginx.conf"
# As many a server has it: whatever looks like an asset is looked for on the disk.
ASSETS = "    location ~ \\.(css|js|svg|png)$ { root /var/empty; }\n"


def server_as_shown(port: int, backend: int, certificate: Path, key: Path) -> str:
    """The servers of the file, with ports and files of this machine."""
    text = SHOWN.read_text(encoding="utf-8")
    for shown, here in (
        ("listen 80;", f"listen 127.0.0.1:{free_port()};"),
        ("    location / {", "    location /duey/ {"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;\n{ASSETS}"),
        ("/etc/ssl/jobs.example.org.pem", str(certificate)),
        ("/etc/ssl/private/jobs.example.org.key", str(key)),
        ("http://127.0.0.1:8080", f"http://127.0.0.1:{backend}"),
    ):
        assert text.count(shown) == 1, shown
        text = text.replace(shown, here)
    return text


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, nginx: str) -> Iterator[Service]:
    openssl = needs(shutil.which("openssl"), "expected openssl on PATH, found none; install it.")
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    base = f"https://127.0.0.1:{port}"
    web = {"url_prefix": "/duey", "public_url": base, "trusted_proxy": "127.0.0.1"}
    deployment = Deployment(folder / "d", settings={"web": web})
    try:
        running = Service(deployment)
        running.base = base
        server = server_as_shown(port, deployment.port, *make_certificate(openssl, folder))
        with Nginx(nginx, folder, server):
            yield running
    finally:
        deployment.close()


def test_the_whole_monitor_works_through_the_proxy(service: Service, open_page: Open) -> None:
    page = open_page(log_in=False, ignore_https_errors=True)
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))

    # The shortest address leads to the log-in, which leads back.
    page.goto("/duey")
    expect(page).to_have_url(re.compile(f"^{service.base}/duey/monitor/login"))
    page.get_by_label("Name", exact=True).fill("admin")
    page.get_by_label("Password").fill(made_accounts()[1].password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{service.base}/duey/monitor/")

    cookie = next(each for each in page.context.cookies() if each["name"].startswith("__Secure-duey_session"))
    kept = {name: cookie[name] for name in ("path", "secure", "httpOnly", "sameSite")}  # type: ignore[literal-required]
    assert kept == {"path": "/duey", "secure": True, "httpOnly": True, "sameSite": "Lax"}
    assert page.evaluate("getComputedStyle(document.querySelector('.tiles')).display") == "grid", "the styles came"

    # Every link leads on below the prefix.
    for name in ("Jobs", "Errors", "Tasks", "Schedules", "Workers", "Audit"):
        page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True).click()
        page.wait_for_url(f"{service.base}/duey/monitor/{name.lower()}")
        expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    assert page.locator("tbody").get_by_text("127.0.0.1").count(), "the audit knows the visitor's address"

    # A job that came through the proxy arrives in the list by itself.
    page.locator("#live").select_option("2")
    page.goto("/duey/monitor/jobs")
    job = service.deployment.client().post("/duey/api/jobs", {"task": "fail", "args": [1], "retries": 0}).body
    assert job["url"] == f"{service.base}/duey/api/jobs/{job['id']}"
    row = page.locator(f'tr[data-id="{job["id"]}"]')
    expect(row).to_contain_text("failed")
    row.get_by_role("link").first.click()

    # A verb passes the guard, and its message comes with the redirect.
    page.get_by_role("button", name="Retry", exact=True).click()
    page.wait_for_url(f"{service.base}/duey/monitor/jobs/{job['id']}")
    expect(page.get_by_role("status").filter(has_text="Queued again")).to_be_visible()
    wait_until(lambda: service.deployment.control.job(job["id"]).attempt == 2, 30, "it ran again")
    page.get_by_role("button", name="Dark").click()
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"

    page.goto("/duey/monitor/account")
    page.get_by_role("button", name="Log out", exact=True).click()
    page.wait_for_url(f"{service.base}/duey/monitor/login")
    assert not [each for each in page.context.cookies() if "duey_session" in each["name"]]

    assert [each.url for each in answers if each.status >= 400] == []
    assert {each.url.startswith(f"{service.base}/duey") for each in answers} == {True}
    assets = [each for each in answers if "/static/" in each.url and each.status == 200]
    assert {each.headers["content-type"].split(";")[0] for each in assets} >= {"text/css", "text/javascript"}
    assert all("immutable" in each.headers["cache-control"] for each in assets)
