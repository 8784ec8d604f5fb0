"""What a machine can see in the templates."""

from pathlib import Path

import duey.monitor.web
from tests.support import rows

TEMPLATES = sorted((Path(duey.monitor.web.__file__).parent / "templates").glob("*.html"))


@rows("template", TEMPLATES)
def test_a_line_is_continued_only_before_code(template: Path) -> None:
    """Bottle joins lines only at the end of a block of text: elsewhere the backslashes would be shown."""
    lines = template.read_text(encoding="utf-8").splitlines()
    stray = [
        number
        for number, (line, following) in enumerate(zip(lines, [*lines[1:], ""], strict=True), 1)
        if line.endswith("\\\\") and not following.lstrip().startswith("%")
    ]
    assert not stray, f"{template.name}: lines {stray}"


@rows("template", TEMPLATES)
def test_nothing_is_written_into_the_page_that_the_policy_forbids(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    assert "style=" not in text and "<style" not in text, "an inline style"
    assert "onclick" not in text and "javascript:" not in text, "an inline script"
    assert "http://" not in text and "https://" not in text, "another host"
