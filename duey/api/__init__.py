"""The HTTP API: JSON over HTTP for other programs, as CONTRACT.md describes it.

For each request, auth.py checks the token and scope, body.py reads and decodes the body, and requests.py converts body
and query to values of the engine. The handler (jobs.py, steering.py, schedules.py, history.py) then calls
duey.control.service. views.py and answer.py write the answer. Any error is raised as an exception, which answer.py
answers. Each handler class lists its endpoints. From these lists, service.py makes the routes, and openapi.py makes
openapi.json.
"""

from __future__ import annotations

from duey.api.service import Api, make_api

__all__ = ["Api", "make_api"]
