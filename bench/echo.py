"""A bare Bottle echo on Waitress: the floor of every HTTP figure. `python -m bench.echo PORT THREADS`."""

from __future__ import annotations

import logging
import sys

import bottle
import waitress

app = bottle.Bottle()


@app.post("/api/jobs")
def echo() -> bytes:
    bottle.response.status = 202
    bottle.response.content_type = "application/json"
    return bottle.request.body.read()


if __name__ == "__main__":
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # else a line a request, as in Duey's own server
    waitress.serve(app, host="127.0.0.1", port=int(sys.argv[1]), threads=int(sys.argv[2]), _quiet=True)
