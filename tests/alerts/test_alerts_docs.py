"""The examples of docs/alerts.md work."""

import base64
import re
from pathlib import Path

import pytest

from duey import config
from duey.alerts.channels import channels_of
from duey.config.alerts import KINDS
from duey.recipes import webhook
from tests.support.pages import text_of

EXAMPLES = re.findall(r"```ini\n(.*?)```", text_of("docs/alerts.md"), re.DOTALL)


def test_each_example_of_a_channel_is_accepted(tmp_path: Path) -> None:
    kinds = []
    for text in EXAMPLES:
        (tmp_path / "config.ini").write_text(text)
        kinds += [channel.kind for channel in channels_of(config.load(tmp_path / "config.ini", {})).values()]
    assert set(kinds) == set(KINDS)


def test_the_example_in_python_knows_a_genuine_message() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", text_of("docs/alerts.md"), re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    is_genuine = names["is_genuine"]
    assert callable(is_genuine)
    secret = "whsec_" + base64.b64encode(b"k" * 24).decode()
    headers = {"webhook-id": "n-1", "webhook-timestamp": "1800000000"}
    headers["webhook-signature"] = webhook.sign(secret, "n-1", 1800000000, b"{}")
    assert is_genuine(secret, headers, b"{}") and not is_genuine(secret, headers, b"{ }")
    with pytest.raises(KeyError):
        is_genuine(secret, {}, b"{}")
