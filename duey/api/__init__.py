"""What other programs see: JSON over HTTP, as CONTRACT.md lists it.

A request is checked for its token and scope (auth.py), its body is read and decoded within bounds (body.py),
becomes a value of the engine (requests.py, query.py), is handed to duey.control.service by the file of its noun
(jobs.py, tasks.py, queues.py, workers.py), and what comes back is shown (views.py, answer.py). Whatever
refuses on the way raises, and is answered in one place (problem.py). Each noun lists its endpoints
(endpoint.py); the routes (service.py) and openapi.json (openapi.py, schemas.py) are made from these lists.
"""

from __future__ import annotations

from duey.api.service import Api, make_api

__all__ = ["Api", "make_api"]
