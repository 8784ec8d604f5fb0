"""A slow and lossy wire between two interfaces of a namespace: what `tc netem` does, which few kernels of containers
have. One thread reads the frames of both, and writes each to the other one after a while, but for those that are lost.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import random
import select
import socket
import threading
import time

ETH_P_ALL, SOL_PACKET, PACKET_VNET_HDR, PACKET_OUTGOING = 3, 263, 15, 4
LONGEST = 1 << 17  # what the kernel hands on as one frame may be several


class Wire:
    """Made inside of the namespace; `close` ends it."""

    def __init__(self, first: str, second: str, delay_s: float, loss: float, seed: int = 1) -> None:
        self._ends = [_end(first), _end(second)]
        self._delay_s, self._loss, self._random = delay_s, loss, random.Random(seed)
        self._stop, self._told = socket.socketpair()
        self._thread = threading.Thread(target=self._carry, daemon=True, name=f"wire {first}")
        self._thread.start()

    def close(self) -> None:
        self._told.close()
        self._thread.join()
        for each in (*self._ends, self._stop):
            each.close()

    def _carry(self) -> None:
        under_way: list[tuple[float, int, socket.socket, bytes]] = []
        other, count = dict(zip(self._ends, reversed(self._ends), strict=True)), itertools.count()
        while True:
            wait_s = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
            ready = select.select([self._stop, *self._ends], [], [], wait_s)[0]
            if self._stop in ready:
                return
            for end in ready:
                frame, address = end.recvfrom(LONGEST)
                if address[2] != PACKET_OUTGOING and self._random.random() >= self._loss:  # else it came from here
                    item = (time.monotonic() + self._delay_s, next(count), other[end], frame)
                    heapq.heappush(under_way, item)
            while under_way and under_way[0][0] <= time.monotonic():
                _, _, end, frame = heapq.heappop(under_way)
                with contextlib.suppress(OSError):  # lost, too
                    end.send(frame)


def _end(interface: str) -> socket.socket:
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    # With what the kernel knows of a frame before it: whether its checksum is still to be computed, and its pieces.
    end.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    end.bind((interface, ETH_P_ALL))
    return end
