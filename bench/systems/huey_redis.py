"""Plain Huey on Redis, as it comes."""

from __future__ import annotations

from huey import RedisHuey

from bench.systems import REDIS_URL
from bench.systems.plain_huey import PlainHuey

huey = RedisHuey("bench", url=REDIS_URL or None)


class HueyOnRedis(PlainHuey):
    title = "Huey on Redis"
    settings = "RedisHuey as it comes: blocking pop"
    guarantee = "at most once: the job leaves the queue before it runs, a killed worker loses it"
    packages = ("huey", "redis")
    jobs = 5000


SYSTEM = HueyOnRedis(huey, __name__)
