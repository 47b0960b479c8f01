"""A release against a node that booted it, and one that booted something else."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from builder.baseline.node import release_and_node
from builder.compare.baseline import OUTSIDE
from builder.compare.baselines import compare
from builder.compare.difference import Verdict
from builder.errors import InvalidInputError
from builder.measurement.configuration import SecureBootMode
from builder.measurement.phases import Phase
from tests.baselines import bare
from tests.nodes import Node, reference

if TYPE_CHECKING:
    from builder.compare.baseline import Baseline

STATED = (4, 7, 9, 11, 12, 13, 14)


def release(uki: str = "tsb257") -> Baseline:
    return bare(measured=reference(uki).reference_values)


def test_a_node_that_booted_the_release_does_not_differ() -> None:
    node = Node.of()
    evidence = node.evidence(STATED)
    report = compare(*release_and_node(release(), evidence, node.verified_log(evidence), mode=SecureBootMode.ENABLED))
    assert (report.verdict, report.differences, report.incomplete) == (Verdict.EQUAL, (), ())


def test_a_node_at_an_earlier_phase_is_compared_at_that_phase() -> None:
    node = Node(Node.of().log, words=("enter-initrd", "leave-initrd", "sysinit"))
    evidence = node.evidence(STATED)
    sides = release_and_node(
        release(), evidence, node.verified_log(evidence), mode=SecureBootMode.ENABLED, phase=Phase.SYSINIT
    )
    assert compare(*sides).verdict is Verdict.EQUAL
    later = release_and_node(release(), evidence, node.verified_log(evidence), mode=SecureBootMode.ENABLED)
    assert [item.pcr for item in compare(*later).pcrs if item.verdict is Verdict.DIFFERS] == [11]


def test_a_node_that_booted_something_else_names_the_events() -> None:
    node = Node.of("t257")
    evidence = node.evidence(STATED)
    sides = release_and_node(release("tsb257"), evidence, node.verified_log(evidence), mode=SecureBootMode.DISABLED)
    report = compare(*sides)
    moved = [item for item in report.pcrs if item.verdict is Verdict.DIFFERS]
    assert moved
    assert all(item.events for item in moved)
    assert all(not chain.explained for chain in report.chains)


def test_a_pcr_that_was_not_quoted_is_incomplete() -> None:
    node = Node.of()
    evidence = node.evidence((7, 11))
    report = compare(*release_and_node(release(), evidence, None, mode=SecureBootMode.ENABLED))
    assert report.verdict is Verdict.INCOMPLETE
    assert "Measurements: PCR 4, Secure Boot enabled: the new side does not speak of it" in report.incomplete


def test_a_pcr_that_moved_without_a_log_is_unexplained() -> None:
    node = Node.of()
    evidence = replace(node.evidence((7,)), pcrs=MappingProxyType({"sha256": {7: b"x" * 32}}))
    report = compare(*release_and_node(release(), evidence, None, mode=SecureBootMode.ENABLED))
    (chain,) = report.chains
    assert (chain.moved, chain.explained) == ((7,), False)


def test_a_mode_that_the_release_does_not_state_is_refused() -> None:
    evidence = Node.of().evidence(STATED)
    with pytest.raises(InvalidInputError, match="states no values for Secure Boot enabled"):
        release_and_node(bare(measured=OUTSIDE), evidence, None, mode=SecureBootMode.ENABLED)


def test_evidence_without_a_pcr_of_the_release_is_refused() -> None:
    evidence = Node.of().evidence((0, 2))
    with pytest.raises(InvalidInputError, match="carries no PCR that the release states"):
        release_and_node(release(), evidence, None, mode=SecureBootMode.ENABLED)
