"""Everything else, through Apprise (the extra `alerts`): Telegram, Matrix, Teams, Pushover, SMS and a hundred others.

Apprise runs in a child process, which is ended at the deadline. So a plugin that hangs holds no thread, one that fails
harms nobody else, and Apprise is imported only where it is used. The URL goes to the child's standard input, because
everybody on the machine can read a command line.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass

from duey.alerts.channels.contract import TargetChannel
from duey.alerts.message import Message
from duey.recipes import Refused, Unavailable

CHECK_TIMEOUT_S = 30.0  # at the start, with a slow disk
KINDS = {"bad": "failure", "info": "info", "ok": "success"}  # Apprise's words


@dataclass(frozen=True)
class AppriseChannel(TargetChannel):
    kind = "apprise"

    @property
    def scheme(self) -> str:
        return self.target.address.partition("://")[0]

    def check(self) -> None:
        if importlib.util.find_spec("apprise") is None:
            raise Refused("expected Apprise, found it is not installed: pip install 'duey[alerts]'")
        if not self._run({}, CHECK_TIMEOUT_S)["known"]:
            raise Refused(f"expected a URL that Apprise understands, found one of {self.scheme!r} that it does not")

    def deliver(self, message: Message, timeout_s: float) -> str:
        title, body = message.subject, f"{message.text}\n\n{message.link}"
        answer = self._run({"title": title, "body": body, "type": KINDS[message.severity]}, timeout_s)
        if answer["sent"]:
            return f"Apprise sent it to {self.scheme}"
        error = f" ({answer['error']})" if answer["error"] else ""
        raise Unavailable(f"Apprise could not send it to {self.scheme}{error}")

    def _run(self, request: dict[str, str], timeout_s: float) -> dict[str, str]:
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        try:
            done = subprocess.run(
                [sys.executable, "-m", __name__], input=json.dumps({"url": self.target.address, **request}),
                capture_output=True, text=True, timeout=timeout_s, env=environ, start_new_session=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Unavailable(f"{self.scheme} did not answer within {timeout_s:g} s") from None
        except OSError as error:
            raise Unavailable(f"no process for Apprise could be started: {error.strerror}") from None
        try:
            answer: dict[str, str] = json.loads(done.stdout)
        except ValueError:  # its error output may hold the URL
            raise Unavailable(f"Apprise ended with status {done.returncode} and no answer") from None
        return answer


def main() -> None:
    """In the child: read {"url", "title", "body", "type"}, answer {"known", "sent", "error"}. Only a URL: check it."""
    import logging

    import apprise

    request = json.load(sys.stdin)
    output, sys.stdout = sys.stdout, sys.stderr  # whatever a plugin prints is no answer
    known = apprise.Apprise.instantiate(request["url"], suppress_exceptions=True)
    if known:
        known.redirects = False  # also with ?redirect=yes: one could lead to a host in a private network
    sent, error = False, ""
    if known and "body" in request:
        logs: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: logs.append(record.getMessage())  # type: ignore[method-assign]
        logging.getLogger("apprise").addHandler(handler)
        service = apprise.Apprise()
        service.add(known)
        kind = apprise.NotifyType(request["type"])
        body_format = apprise.NotifyFormat.TEXT
        sent = bool(service.notify(request["body"], request["title"], kind, body_format=body_format))
        # Only the number of an error: the rest of a log may hold the URL.
        numbers = re.findall(r"error=(\d{3})", "\n".join(logs))
        error = f"the service answered {numbers[-1]}" if numbers else ""
    output.write(json.dumps({"known": bool(known), "sent": sent, "error": error}))


if __name__ == "__main__":
    main()
