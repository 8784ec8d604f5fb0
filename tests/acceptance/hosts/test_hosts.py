"""Several hosts: two webs behind a proxy and three consumers, while hosts are killed, cut off, slow, or go wrong.

Each host is a network namespace with a name of its own. What is promised: docs/scaling.md.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.acceptance.deployment import LEASE_S
from tests.acceptance.harm import SEED
from tests.acceptance.hosts.cluster import Programs, cluster
from tests.acceptance.hosts.harm import HostHarm, check
from tests.acceptance.hosts.stream import Stream
from tests.support import rounds, wait_until

LEASES_S = rounds([LEASE_S], soak=[LEASE_S, 15])
HARMS = rounds(0, soak=60)


@pytest.mark.soak
@pytest.mark.parametrize("lease_s", LEASES_S)
def test_harm_to_hosts_loses_nothing(tmp_path: Path, programs: Programs, lease_s: float) -> None:
    """A web and a consumer are killed, another consumer is cut off for longer than its lease, the clock of the third is
    two hours ahead, and a replica of Redis becomes the primary. In soak it goes on at random, over a bad network."""
    with cluster(tmp_path, programs, lease_s, ahead_s=7200) as site:
        harm, (first, second, ahead), web = HostHarm(site), site.consumers, site.webs[0]
        ahead.process.says("the clock of this machine is 7,200 s ahead of that of Redis")
        with Stream(site.client, 0.04) as stream:
            stream.wait_for(20)
            with harm.cut_off(second):
                stream.wait_for(20)
                wait_until(lambda: not site.is_registered(second), 30, "the consumer that is cut off is taken for dead")
                web.process.kill_tree()
                stream.wait_for(20)
                web.start("web")
            second.process.says("is not in Redis any more, though it is alive: it registers again")
            harm.kill(first)
            first.start("worker")
            harm.fail_over(follow=True)
            stream.wait_for(20)

            harm.kill(ahead)
            gone_at = time.time()
            # The slots that others fire, and not those that it fired for its own time.
            wait_until(lambda: site.late_s("each_second", gone_at), rounds(30, soak=5), "schedules go on without it")
            site.wait_up(first)
            site.wait_up(web)
            if HARMS:
                harm.restart(ahead)
                harm.slow_down(second)
            rng = random.Random(SEED)
            for n in range(HARMS):
                name = harm.any(rng)
                stream.wait_for(20)
                now = time.time()
                wait_until(lambda now=now: site.late_s("each_second", now), 60, f"schedules go on after {n}, {name}")
        print(check(site, stream, harm, 120))
