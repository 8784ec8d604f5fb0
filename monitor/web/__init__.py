"""The monitor's pages, below `/monitor`.

A request becomes a `Request` (request.py) and passes the guard (guard.py: log-in, role, CSRF). A page (pages/)
answers it: a GET returns a view (template and data), an action returns what was done and where to go next. render.py
turns a view into HTML, a region of a page, or JSON. Errors are raised and become a page in refusal.py. site.py
connects all of this.

All shown text is escaped by default (text.py), and no page loads anything from another host.
"""

from __future__ import annotations

from duey.monitor.web.site import Site, make_web

__all__ = ["Site", "make_web"]
