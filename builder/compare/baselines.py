"""The difference of two baselines: all topics, and the chains from what changed to the PCRs that it moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.compare.baseline import Outside, Unknown
from builder.compare.build_tree import NAME as TREE
from builder.compare.build_tree import compare_tree
from builder.compare.chains import chains
from builder.compare.command_line import compare_command_lines
from builder.compare.difference import SCHEMA, Report, Side, Verdict
from builder.compare.disk import compare_esp, compare_partitions
from builder.compare.files import compare_files
from builder.compare.identity import DEFINITION, KEYS, compare_definition, compare_identity, compare_signers
from builder.compare.kernel import compare_configuration, compare_modules
from builder.compare.key_policy import key_policies
from builder.compare.links import links
from builder.compare.measured import compare_measurements
from builder.compare.packages import TOOLCHAIN, compare_packages, compare_toolchain
from builder.compare.policy import NAME as POLICY
from builder.compare.policy import compare_policy
from builder.compare.rest import with_rest
from builder.compare.systemd import compare_units
from builder.compare.uki import compare_packing, compare_sections, compare_signature, compare_uki
from builder.compare.variables import NAME as VARIABLES
from builder.compare.variables import compare_variables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.compare.baseline import Baseline
    from builder.compare.difference import Topic

# What statements say beside the disk. Which packages and measurements there are follows from its bytes.
_NOT_OF_THE_DISK: Final = frozenset({DEFINITION, TREE, KEYS, TOOLCHAIN, POLICY, VARIABLES})


def compare(old: Baseline, new: Baseline) -> Report:
    """Everything that differs, why the PCRs moved, and what could not be compared."""
    measurements, measured = compare_measurements(old, new)
    compared = (
        measurements,
        compare_identity(old, new),
        compare_definition(old, new),
        compare_tree(old, new),
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
    topics = with_rest(old, new, compared, _NOT_OF_THE_DISK)
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
        sections=compare_sections(old, new),
        key_policies=key_policies(new, measured.pcrs),
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
    image = None if isinstance(side.identity, Unknown | Outside) else side.identity
    return Side(
        kind=side.source.kind,
        place=side.source.place,
        # Images of others seldom say what they are.
        label=f"{image.name} {image.version}" if image is not None and image.name else side.source.place,
        verified_by=side.source.key_ids,
        remarks=side.remarks,
        image=None if side.source.statements is None else image,
        statements=side.source.statements,
        signers=() if isinstance(side.signers, Unknown | Outside) else side.signers,
    )
