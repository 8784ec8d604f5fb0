"""What an error of the library means, and what to do about it."""

from __future__ import annotations

from redis import exceptions

from duey import errors
from duey.storage.redis.connection import address
from duey.storage.transfer import StorageMoved

OF_A_CLUSTER = "is a node of a Redis Cluster: name a server in [storage] url that runs on its own, or with replicas"
# Answers of a server that is no primary any more, and has not executed the command.
DEMOTED = ("READONLY", "MASTERDOWN", "UNBLOCKED")


class RedisAway(errors.StorageUnavailable):
    """The server cannot be reached, or the connection broke."""


class Demoted(RedisAway):
    """The server is a replica now. Nothing was executed."""


class NotReplicated(RedisAway):
    """Too few replicas have it: it is lost if one that has not becomes the primary."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, None)


def is_demoted(exc: exceptions.ResponseError) -> bool:
    """Whether this is the answer of a server that has become a replica. If a script raised it, it may be anywhere in
    the text."""
    known = isinstance(exc, (exceptions.ReadOnlyError, exceptions.MasterDownError))
    return known or any(word in str(exc) for word in DEMOTED)


def explain(exc: exceptions.RedisError, where: str, prefix: str, sent: bool) -> errors.StorageUnavailable:
    """The error that says what happened and what to do. `sent`: the command may have been executed."""
    at, text = f"Redis at {where}", " ".join(str(exc).split()).rstrip(".")
    if isinstance(exc, (exceptions.AuthenticationError, exceptions.AuthorizationError)):
        return errors.StorageUnavailable(f"{at} refuses the login ({text}): correct [storage] url")
    if isinstance(exc, exceptions.BusyLoadingError):
        return errors.StorageBusy(f"{at} is still loading its data: try again in a moment")
    if isinstance(exc, exceptions.ResponseError):
        return explain_answer(exc, at, prefix, text)
    maybe = None if sent else False
    if isinstance(exc, exceptions.TimeoutError):
        return RedisAway(f"{at} does not answer ({text}): see whether it hangs", maybe)
    return RedisAway(f"{at} cannot be reached ({text}): {address.what_to_do(text)}", maybe)


def explain_answer(exc: exceptions.ResponseError, at: str, prefix: str, text: str) -> errors.StorageUnavailable:
    """What an error answer means. If a script raised it, its name may be anywhere in the text."""
    if moved := StorageMoved.found_in(text):
        return moved
    if isinstance(exc, (exceptions.ClusterError, exceptions.AskError, exceptions.ClusterCrossSlotError)):
        return errors.StorageUnavailable(f"{at} {OF_A_CLUSTER}")
    if isinstance(exc, exceptions.OutOfMemoryError) or "OOM " in text:
        return errors.StorageFull(f"{at} has reached its maxmemory: raise it, or let consumers catch up")
    if is_demoted(exc):
        return errors.StorageReadOnly(f"{at} is a read-only replica: name its primary in [storage] url")
    if "NOREPLICAS" in text:
        return errors.StorageBusy(f"{at} has fewer replicas than its min-replicas-to-write asks for: start them")
    if "MISCONF" in text:
        return errors.StorageReadOnly(f"{at} cannot save to its disk and refuses writes: make room there")
    if text.startswith("BUSY") or "BUSY " in text:
        return errors.StorageBusy(f"{at} is busy with a script: try again in a moment")
    if isinstance(exc, exceptions.NoPermissionError) or "NOPERM" in text:
        return errors.StorageUnavailable(
            f"{at} does not permit what Duey needs ({text}): let this user run scripts on {prefix}:*"
        )
    return errors.StorageUnavailable(f"{at} refused a command ({text})", None)
