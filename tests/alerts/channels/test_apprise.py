"""Apprise, in a child process of its own."""

import importlib.util
import json
import threading

import pytest

from duey.alerts.channels import ChannelFailed
from duey.alerts.channels import apprise_urls as channel_module
from duey.errors import Misconfigured
from tests.alerts.channels.conftest import MESSAGE, Load
from tests.recipes.http_peer import HttpPeer, answer


def test_a_message_arrives(load: Load, peer: HttpPeer) -> None:
    (channel,) = load(f"apprise = json://127.0.0.1:{peer.port}/T0ps3cret").values()
    assert channel.send(MESSAGE, 60) == "Apprise sent it to json"
    body = json.loads(peer.received[0].body)
    assert (body["title"], body["type"]) == ("[Shop] send_report failed", "failure")
    assert MESSAGE.text in body["message"] and str(MESSAGE.url) in body["message"]


def test_what_fails_is_one_line_without_the_url_and_a_redirect_leads_nowhere(load: Load, peer: HttpPeer) -> None:
    (channel,) = load(f"apprise = json://127.0.0.1:{peer.port}/T0ps3cret?redirect=yes").values()
    with HttpPeer() as inner:
        peer.behave = answer(307, Location=inner.url())
        with pytest.raises(ChannelFailed) as caught:
            channel.send(MESSAGE, 60)
        assert inner.received == [] and len(peer.received) == 1
    assert caught.value.answer == "Apprise could not send it to json (the service answered 307)"
    hung = threading.Event()
    peer.behave = lambda handler: (peer.closing.wait(60), hung.set())
    with pytest.raises(ChannelFailed, match=r"json did not answer within 1 s"):
        channel.send(MESSAGE, 1)
    assert not hung.is_set(), "the answer is not waited for"


def test_a_url_that_it_does_not_know_stops_the_start(load: Load) -> None:
    with pytest.raises(Misconfigured) as caught:
        load("apprise = tgrm://T0ps3cret/chat name=ops")
    assert str(caught.value) == (
        "[alerts] apprise, channel ops: expected a URL that Apprise understands, found one of 'tgrm' that it does not"
    )


def test_without_the_extra_one_sentence_says_how_to_install_it(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert channel_module.importlib.util is importlib.util
    with pytest.raises(Misconfigured, match=r"pip install 'duey\[alerts\]'"):
        load("apprise = json://127.0.0.1/")
