"""What people see: the monitor's pages, below `/monitor`.

A request becomes a `Request` (request.py: who asks for what), passes the guard (guard.py: log-in, role, CSRF), and is
answered by the page of its noun (pages/): a GET by a view (template and data), an action by what was done and where
to go next. render.py turns a view into HTML, a fragment of it, or JSON. Whatever refuses on the way raises, and is
told in one place (refusal.py). site.py puts all of it together.

Nothing that is shown is trusted: templates escape by default (text.py), and no page asks another host for anything.
"""

from __future__ import annotations

from duey.monitor.web.site import Site, make_web

__all__ = ["Site", "make_web"]
