"""The HTTP API: JSON over HTTP for other programs, as CONTRACT.md describes it.

For each request, auth.py checks the token and scope, body.py reads and decodes the body, and requests.py or query.py
convert it to values of the engine. The handler (jobs.py, tasks.py, queues.py, workers.py and others) then calls
duey.control.service. views.py and answer.py write the answer. Any error is raised as an exception, which problem.py
answers. Each handler class lists its endpoints (endpoint.py). From these lists, service.py makes the routes, and
openapi.py and schemas.py make openapi.json.
"""

from __future__ import annotations

from duey.api.service import Api, make_api

__all__ = ["Api", "make_api"]
