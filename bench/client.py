"""Eight keep-alive clients that POST as fast as they are answered: `python -m bench.client PORT TOKEN SECONDS`.

wrk is taken where it is on PATH, because a Python client takes a good part of the processor that it shares with the
service; else eight threads with plain sockets. Answers JSON: {"tool", "accepted_per_s", "p50_s", "p99_s", "refused"}.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

from bench.figures import percentile

CLIENTS = 8
BODY = b'{"task": "noop", "args": [5]}'
LUA = """
wrk.method = "POST"
wrk.body = '%s'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %s"
function done(summary, latency)
  io.write(string.format("FOUND %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), summary.errors.status + summary.errors.timeout))
end
"""


def with_wrk(wrk: str, port: int, token: str, seconds: float) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA % (BODY.decode(), token))
        script.flush()
        command = [wrk, "-t1", f"-c{CLIENTS}", f"-d{max(1, round(seconds))}s", "-s", script.name]
        out = subprocess.run([*command, f"http://127.0.0.1:{port}/api/jobs"], capture_output=True, text=True).stdout
    match = re.search(r"FOUND (\d+) (\d+) (\d+) (\d+) (\d+)", out)
    if match is None:
        raise SystemExit(f"wrk said: {out[-200:]}")
    requests, duration_us, p50_us, p99_us, refused = map(int, match.groups())
    return {
        "tool": "wrk", "accepted_per_s": (requests - refused) / duration_us * 1e6, "p50_s": p50_us / 1e6,
        "p99_s": p99_us / 1e6, "refused": refused,
    }  # fmt: skip


def with_threads(port: int, token: str, seconds: float) -> dict[str, Any]:
    request = (
        b"POST /api/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s" % (token.encode(), len(BODY), BODY)
    )
    taken: list[float] = []
    refused: list[bytes] = []
    until = time.monotonic() + seconds

    def client() -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while time.monotonic() < until:
                began = time.perf_counter()
                connection.sendall(request)
                answer = read_answer(connection)
                if answer.startswith(b"HTTP/1.1 202"):
                    taken.append(time.perf_counter() - began)
                else:
                    refused.append(answer)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "tool": "Python threads", "accepted_per_s": len(taken) / seconds, "p50_s": percentile(taken, 50),
        "p99_s": percentile(taken, 99), "refused": len(refused),
    }  # fmt: skip


def read_answer(connection: socket.socket) -> bytes:
    """One whole answer with a Content-Length."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: (\d+)", head)
    size = int(found[1]) if found else 0
    while len(body) < size:
        body += connection.recv(65536)
    return answer


if __name__ == "__main__":
    wrk = shutil.which("wrk")
    arguments = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    print(json.dumps(with_wrk(wrk, *arguments) if wrk else with_threads(*arguments)))
