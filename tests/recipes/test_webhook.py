"""duey.recipes.webhook: what is sent is what Standard Webhooks says."""

import base64
import hashlib
import hmac
import json
import math
import time

import pytest

from duey.recipes import Refused, webhook
from tests.recipes.http_peer import HttpPeer, Received
from tests.support import rows

BODY = {"type": "user.created", "data": {"name": "Zoë", "tags": ["a", None, 1.5]}}


def delivered(peer: HttpPeer, body: object = (), message_id: str = "1", **options: object) -> Received:
    webhook.deliver(peer.url(), body, message_id=message_id, timeout_s=5, allow_hosts=("127.0.0.1",), **options)
    return peer.received[-1]


def test_the_signature_of_the_specifications_libraries() -> None:
    # The vector that the reference implementations share in their tests.
    secret, id_ = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    signature = webhook.sign(secret, id_, 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    own = hmac.new("päss".encode(), b"id.1.{}", hashlib.sha256).digest()  # any other secret is its own key
    assert webhook.sign("päss", "id", 1, b"{}") == f"v1,{base64.b64encode(own).decode()}"


def test_what_arrives_can_be_verified_from_its_headers(peer: HttpPeer) -> None:
    key = bytes(range(32))
    before = int(time.time())
    secret = "whsec_" + base64.b64encode(key).decode()
    received = delivered(peer, BODY, "7f-1", secret=secret, headers={"X-A": "b"})
    headers = received.headers
    assert received.method == "POST" and json.loads(received.body) == BODY
    found = [headers[name] for name in ("content-type", "x-a", "webhook-id")]
    assert found == ["application/json", "b", "7f-1"]
    assert before <= int(headers["webhook-timestamp"]) <= time.time()
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + received.body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_headers_of_other_calls(peer: HttpPeer) -> None:
    headers = delivered(peer, message_id="a.b\r\nx: y").headers  # an id cannot shift what is signed
    assert headers["webhook-id"] == "a_b__x:_y" and not headers.keys() & {"x", "webhook-signature"}
    mine = {"Content-Type": "application/cloudevents+json", "Authorization": "Bearer t"}
    headers = delivered(peer, headers=mine).headers
    assert {name: headers[name.lower()] for name in mine} == mine


@rows(
    ("options", "sentence"),
    [
        *(({"body": {"a": wrong}}, "expected a body of JSON values") for wrong in (math.nan, {1, 2}, "\ud800", b"x")),
        ({"secret": "whsec_ä!"}, "expected base64 after whsec_"),
        *(
            ({"headers": headers}, r"expected a header|leave it out")
            for headers in (
                {"x": "a\r\ny: b"}, {"x": "a\nb"}, {"x": "a\x00b"}, {"x": "€"}, {"x: y": "z"}, {"x\r\n": "z"},
                {"": "z"}, {"Host": "evil.test"}, {"content-length": "0"}, {"Transfer-Encoding": "chunked"},
                {"Webhook-Id": "mine"}, {"webhook-signature": "v1,mine"}, {"Proxy-Authorization": "x"},
            )
        ),
    ],
)  # fmt: skip
def test_what_breaks_the_request_is_refused(peer: HttpPeer, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(Refused, match=sentence) as caught:
        delivered(peer, **options)
    assert "ä!" not in str(caught.value) and not peer.received
