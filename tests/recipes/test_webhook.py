"""duey.recipes.webhook: what is sent is what Standard Webhooks says."""

import base64
import hashlib
import hmac
import json
import math
import time

import pytest

from duey.recipes import Refused, webhook
from tests.recipes.http_peer import HttpPeer
from tests.support import rows

HERE = ("127.0.0.1",)
BODY = {"type": "user.created", "data": {"name": "Zoë", "tags": ["a", None, 1.5]}}


def test_the_signature_of_the_specifications_libraries() -> None:
    # The vector that the reference implementations share in their tests.
    signature = webhook.sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_arrives_can_be_verified_from_its_headers(peer: HttpPeer) -> None:
    key = bytes(range(32))
    secret = "whsec_" + base64.b64encode(key).decode()
    before = int(time.time())
    webhook.deliver(
        peer.url(), BODY, message_id="7f-1", timeout_s=5, allow_hosts=HERE, secret=secret, headers={"X-A": "b"}
    )  # fmt: skip
    (received,) = peer.received
    headers = received.headers
    assert received.method == "POST"
    assert json.loads(received.body) == BODY
    assert headers["content-type"] == "application/json"
    assert headers["x-a"] == "b"
    assert headers["webhook-id"] == "7f-1"
    assert before <= int(headers["webhook-timestamp"]) <= time.time()
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + received.body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_any_other_secret_is_its_own_key() -> None:
    expected = base64.b64encode(hmac.new("päss".encode(), b"id.1.{}", hashlib.sha256).digest()).decode()
    assert webhook.sign("päss", "id", 1, b"{}") == f"v1,{expected}"


def test_without_a_secret_there_is_no_signature(peer: HttpPeer) -> None:
    webhook.deliver(peer.url(), [], message_id="1", timeout_s=5, allow_hosts=HERE)
    assert "webhook-signature" not in peer.received[0].headers
    assert "webhook-id" in peer.received[0].headers


def test_an_id_cannot_shift_what_is_signed(peer: HttpPeer) -> None:
    webhook.deliver(peer.url(), [], message_id="a.b\r\nx: y", timeout_s=5, allow_hosts=HERE)
    assert peer.received[0].headers["webhook-id"] == "a_b__x:_y"
    assert "x" not in peer.received[0].headers


def test_a_secret_that_is_no_base64_is_refused(peer: HttpPeer) -> None:
    with pytest.raises(Refused, match="expected base64 after whsec_") as caught:
        webhook.deliver(peer.url(), {}, message_id="1", timeout_s=5, allow_hosts=HERE, secret="whsec_ä!")
    assert "ä!" not in str(caught.value)
    assert not peer.received


@pytest.mark.parametrize("body", [{"a": math.nan}, {"a": {1, 2}}, {"a": "\ud800"}, {"a": b"x"}])
def test_a_body_that_is_no_json_is_refused(peer: HttpPeer, body: object) -> None:
    with pytest.raises(Refused, match="expected a body of JSON values"):
        webhook.deliver(peer.url(), body, message_id="1", timeout_s=5, allow_hosts=HERE)
    assert not peer.received


@rows(
    "headers",
    [
        {"x": "a\r\ny: b"}, {"x": "a\nb"}, {"x": "a\x00b"}, {"x": "€"}, {"x: y": "z"}, {"x\r\n": "z"}, {"": "z"},
        {"Host": "evil.test"}, {"content-length": "0"}, {"Transfer-Encoding": "chunked"}, {"Webhook-Id": "mine"},
        {"webhook-signature": "v1,mine"}, {"Proxy-Authorization": "x"},
    ],
)  # fmt: skip
def test_headers_that_break_the_request_are_refused(peer: HttpPeer, headers: dict[str, str]) -> None:
    with pytest.raises(Refused, match=r"expected a header|leave it out"):
        webhook.deliver(peer.url(), {}, message_id="1", timeout_s=5, allow_hosts=HERE, headers=headers)
    assert not peer.received


def test_the_callers_content_type_replaces_ours(peer: HttpPeer) -> None:
    headers = {"Content-Type": "application/cloudevents+json", "Authorization": "Bearer t"}
    webhook.deliver(peer.url(), {}, message_id="1", timeout_s=5, allow_hosts=HERE, headers=headers)
    assert peer.received[0].headers["content-type"] == "application/cloudevents+json"
    assert peer.received[0].headers["authorization"] == "Bearer t"
