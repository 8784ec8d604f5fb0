"""CSRF proofs: one secret for all processes, one proof for one visitor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from duey.monitor.access import Access


def test_a_proof_counts_for_its_visitor_alone(access: Access) -> None:
    proof = access.csrf.token("session one")
    assert len(proof) == 64
    assert access.csrf.token("session one") == proof
    assert access.csrf.valid("session one", proof)
    assert not access.csrf.valid("session two", proof)


@pytest.mark.parametrize("proof", ["", "0" * 64, "é", "\ud800", "x" * 100_000])
def test_another_proof_does_not_count(access: Access, proof: str) -> None:
    assert not access.csrf.valid("session", proof)


def test_hostile_session_ids_are_only_text(access: Access) -> None:
    assert access.csrf.valid("\ud800", access.csrf.token("\ud800"))
    assert not access.csrf.valid("", access.csrf.token("\ud800"))


def test_a_form_outlives_a_restart(access: Access, url: str) -> None:
    proof = access.csrf.token("session")
    assert Access(url).csrf.valid("session", proof)
    assert len(access.csrf_secret()) == 32


def test_another_installation_has_another_secret(access: Access, url: str) -> None:
    assert not Access(url + "2").csrf.valid("session", access.csrf.token("session"))


def test_all_that_come_at_once_get_the_same_secret(url: str, in_processes: Callable[..., list[Any]]) -> None:
    found = in_processes(2, 8, lambda n: Access(url).csrf_secret())
    assert found == [Access(url).csrf_secret()] * 16


def test_it_is_read_once(access: Access, queries: Callable[[Access], list[str]]) -> None:
    proof = access.csrf.token("session")
    seen = queries(access)
    assert access.csrf.valid("session", proof)
    assert seen == []
