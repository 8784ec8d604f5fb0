"""The pictures of the README: `make screenshots` writes docs/images/*.png, pages with a made-up morning on them."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path

import waitress
from playwright.sync_api import Page, sync_playwright

from tests.monitor.web import scene, world
from tests.support.chromium import find_chromium

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
WIDE, PHONE = {"width": 1180, "height": 860}, {"width": 390, "height": 760}
PICTURES = (
    ("overview-light", "", WIDE, "light"),
    ("job-dark", "jobs?state=failed", WIDE, "dark"),
    ("alerts-light", "alerts", WIDE, "light"),
    ("alerts-dark", "alerts", WIDE, "dark"),
    ("alerts-phone", "alerts", PHONE, "light"),
    ("schedules-dark", "schedules", WIDE, "dark"),
)
# The scene is a test's: the path of its file on this machine belongs in no picture.
RENAME = """([from, to]) => { const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(from, to); }"""


def enter(page: Page, base: str) -> None:
    """Log in as the admin of the scene."""
    page.goto(f"{base}login")
    page.get_by_label("Name", exact=True).fill("ana")
    page.get_by_label("Password").fill(world.PASSWORDS["ana"])
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(base)


def main() -> int:
    """Serve the scene, look at it, and write the pictures."""
    chromium, sentence = find_chromium()
    if not chromium:
        print(sentence, file=sys.stderr)
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        made = scene.morning(Path(folder), time.time)
        world.count_past(made)
        server = waitress.create_server(made.site, host="127.0.0.1", port=0, threads=4)
        threading.Thread(target=server.run, daemon=True).start()
        base = f"http://127.0.0.1:{server.effective_port}/monitor/"
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name, place, viewport, scheme in PICTURES:
            context = browser.new_context(viewport=viewport, color_scheme=scheme)
            page = context.new_page()
            enter(page, base)
            page.goto(base + place)
            if name.startswith("job-"):
                page.locator("tbody tr a").first.click()
            page.wait_for_load_state("networkidle")
            page.evaluate(RENAME, [world.__file__, "/srv/shop/tasks.py"])
            page.screenshot(path=FOLDER / f"{name}.png")
            print(f"{name}.png {(FOLDER / f'{name}.png').stat().st_size // 1024} KB")
            context.close()
        browser.close()
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
