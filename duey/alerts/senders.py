"""Sends what is due: one thread for each channel, so that one that hangs delays no other."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping

from duey import faults
from duey.alerts.channels import Channel, ChannelFailed
from duey.alerts.message import Message
from duey.alerts.notifications import Attempt, Outbox
from duey.errors import StorageUnavailable

logger = logging.getLogger(__name__)

TIMEOUT_S = 15.0  # of one attempt
IDLE_S = 5.0  # between two looks at what is due
STOP_S = 1.0  # how long a stop waits for an attempt; what it cuts off is sent again later


class Sender:
    """Sends the notifications of one channel, in one thread. `leads`: whether this process may send now."""

    def __init__(self, channel: Channel, outbox: Outbox, leads: Callable[[], bool]) -> None:
        self._channel, self._outbox, self._leads = channel, outbox, leads
        self._wake, self._stopping = threading.Event(), False
        self._urgent: deque[Message] = deque(maxlen=10)
        self._unwritten: Callable[[], None] | None = None  # the answer of the last attempt, until it is written
        # A daemon: a server that hangs must not delay the end of the process.
        self._thread = threading.Thread(target=self._run, name=f"Alerts to {channel.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    def join(self) -> None:
        self._thread.join(STOP_S)

    def wake(self) -> None:
        """Look now at what is due."""
        self._wake.set()

    def send_unwritten(self, message: Message) -> None:
        """Send a message that cannot be stored, because the history cannot be written. It is attempted once."""
        self._urgent.append(message)
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                busy = self.step()
            except Exception:
                logger.exception("the channel %s was interrupted", self._channel.name)
                busy = False
            if not busy:
                self._wake.wait(IDLE_S)

    def step(self) -> bool:
        """Make one attempt. Return whether there may be more to do at once."""
        if self._urgent:
            self._attempt(self._urgent.popleft())
            return True
        if not self._leads():
            return False
        try:
            if self._unwritten is not None:
                self._unwritten()
                self._unwritten = None
            attempt = self._outbox.next(self._channel.name, TIMEOUT_S)
            if attempt is None:
                return False
            if faults.point:
                faults.point("attempt.committed")
            answer = self._attempt(attempt.message)
            if faults.point:
                faults.point("attempt.sent")
            self._unwritten = self._answer(attempt, answer)
            self._unwritten()
            self._unwritten = None
        except StorageUnavailable:
            return False
        return True

    def _attempt(self, message: Message) -> str | ChannelFailed:
        try:
            return self._channel.send(message, TIMEOUT_S)
        except ChannelFailed as failed:
            logger.warning("the channel %s did not take a message: %s", self._channel.name, failed.answer)
            return failed
        except Exception as error:  # a mistake of the channel's code: it must not end the thread
            logger.exception("the channel %s failed", self._channel.name)
            return ChannelFailed(type(error).__name__)

    def _answer(self, attempt: Attempt, answer: str | ChannelFailed) -> Callable[[], None]:
        if isinstance(answer, ChannelFailed):
            failed = answer
            return lambda: self._outbox.failed(attempt, failed.answer, failed.retry_after_s, failed.permanent)
        return lambda: self._outbox.sent(attempt, answer)


class Senders:
    """The senders of all channels."""

    def __init__(self, channels: Mapping[str, Channel], outbox: Outbox, leads: Callable[[], bool]) -> None:
        self._channels, self._outbox = channels, outbox
        self._senders = [Sender(each, outbox, leads) for each in channels.values()]

    def take_over(self) -> None:
        """Prepare to send what other processes left. Raises HistoryUnavailable."""
        self._outbox.give_up_unknown(self._channels)

    def start(self) -> None:
        for each in self._senders:
            each.start()

    def stop(self) -> None:
        for each in self._senders:
            each.stop()
        for each in self._senders:
            each.join()

    def wake(self) -> None:
        for each in self._senders:
            each.wake()

    def send_unwritten(self, message: Message) -> None:
        for each in self._senders:
            each.send_unwritten(message)
