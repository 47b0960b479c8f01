"""The difference of two baselines: all topics, and the chains from what changed to the PCRs that it moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.compare.baseline import Outside, Unknown
from builder.compare.chains import chains
from builder.compare.command_line import compare_command_lines
from builder.compare.difference import SCHEMA, Report, Side, Verdict
from builder.compare.disk import compare_esp, compare_partitions
from builder.compare.files import compare_files
from builder.compare.identity import compare_definition, compare_identity, compare_signers
from builder.compare.kernel import compare_configuration, compare_modules
from builder.compare.links import links
from builder.compare.measured import compare_measurements
from builder.compare.packages import compare_packages, compare_toolchain
from builder.compare.policy import compare_policy
from builder.compare.systemd import compare_units
from builder.compare.uki import compare_packing, compare_signature, compare_uki
from builder.compare.variables import compare_variables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.compare.baseline import Baseline
    from builder.compare.difference import Topic


def compare(old: Baseline, new: Baseline) -> Report:
    """Everything that differs, why the PCRs moved, and what could not be compared."""
    measurements, measured = compare_measurements(old, new)
    topics = (
        measurements,
        compare_identity(old, new),
        compare_definition(old, new),
        compare_packages(old, new),
        compare_files(old, new),
        compare_units(old, new),
        compare_command_lines(old, new),
        compare_uki(old, new),
        compare_configuration(old, new),
        compare_modules(old, new),
        compare_packing(old, new),
        compare_signature(old, new),
        compare_variables(old, new),
        compare_partitions(old, new),
        compare_esp(old, new),
        compare_policy(old, new),
        compare_signers(old, new),
        compare_toolchain(old, new),
    )
    steps = links(old, new, topics, measured)
    return Report(
        schema=SCHEMA,
        verdict=_verdict(topics),
        old=_side(old),
        new=_side(new),
        chains=chains(steps, measured.pcrs),
        pcrs=measured.pcrs,
        links=steps,
        topics=topics,
    )


def _verdict(topics: Sequence[Topic]) -> Verdict:
    verdicts = {topic.verdict for topic in topics}
    if Verdict.DIFFERS in verdicts:
        return Verdict.DIFFERS
    # Nothing that both sides have is not the same as the same.
    return Verdict.EQUAL if verdicts <= {Verdict.EQUAL, Verdict.OUTSIDE} and Verdict.EQUAL in verdicts else (
        Verdict.INCOMPLETE
    )  # fmt: skip


def _side(side: Baseline) -> Side:
    image = side.identity
    return Side(
        kind=side.source.kind,
        place=side.source.place,
        label=side.source.place if isinstance(image, Unknown | Outside) else f"{image.name} {image.version}",
        verified_by=side.source.key_ids,
        remarks=side.remarks,
    )
