"""The UKI: what the stub measures of it, the stub's own code, and who signed it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.compare.baseline import Outside, Part, Unknown
from builder.compare.difference import Change, Difference, Field, Verdict, node_id
from builder.compare.parts import changed_fields, not_compared, pair, presence, topic
from builder.image.uki import UNMEASURED_SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from builder.compare.baseline import Baseline, Certificate, PackedFile
    from builder.compare.difference import Topic
    from builder.release.statements import ReferenceValues

NAME: Final = "uki"
SIGNATURE: Final = "uki-signature"
PACKING: Final = "initrd-packing"
STUB_ID: Final = node_id(NAME, "stub")
PACKING_ID: Final = node_id(PACKING, "order")
SECTION_SOURCE: Final = "UKI section "
_SECTIONS_PCR: Final = "11"


def compare_uki(old: Baseline, new: Baseline) -> Topic:
    """Sections by digest, the stub by version; where both UKIs were read, also its code and unmeasured sections."""
    sections, stubs = pair(measured_sections(old), measured_sections(new)), pair(old.uki, new.uki)
    if not isinstance(sections, tuple):
        return not_compared(NAME, "Unified kernel image", sections)
    if not isinstance(stubs, tuple):
        return not_compared(NAME, "Unified kernel image", stubs)
    code = pair(old.stub, new.stub)
    incomplete = (f"code of the stub: {code.reason}",) if isinstance(code, Unknown) and not _same_uki(old, new) else ()
    unmeasured = code if isinstance(code, tuple) else ({}, {})
    left, right = ({name: side[name] for name in side.keys() & UNMEASURED_SECTIONS} for side in unmeasured)
    own = ({name: side[name] for name in side.keys() - UNMEASURED_SECTIONS} for side in unmeasured)
    found = [
        *_stub(stubs[0].stub, stubs[1].stub, *own),
        *_sections({**sections[0], **left}, {**sections[1], **right}),
        *_kernel(stubs[0].kernel, stubs[1].kernel),
    ]
    return topic(NAME, "Unified kernel image", found, incomplete)


def compare_signature(old: Baseline, new: Baseline) -> Topic:
    """The certificates of the UKI's Authenticode signature. Firmware measures which key let it run, not the rest."""
    title = "Signature of the UKI"
    both = pair(old.uki_signature, new.uki_signature)
    if not isinstance(both, tuple):
        return topic(SIGNATURE, title, ()) if _same_uki(old, new) else not_compared(SIGNATURE, title, both)
    left, right = ({certificate.sha256: certificate for certificate in side} for side in both)
    found = list(_certificates(left, right))
    if not found and _only_signature_differs(old, new):
        found.append(
            Difference(
                id=node_id(SIGNATURE, "bytes"), kind="signature", subject="another signature by the same certificates",
                change=Change.SIGNATURE,
            )
        )  # fmt: skip
    return topic(SIGNATURE, title, found)


def compare_packing(old: Baseline, new: Baseline) -> Topic:
    """The order of the files in the initrd and how they are compressed: what differs where no file does."""
    title = "Packing of the initrd"
    both = pair(old.packing, new.packing)
    if not isinstance(both, tuple):
        return topic(PACKING, title, ()) if _same_section(old, new, ".initrd") else not_compared(PACKING, title, both)
    return topic(PACKING, title, _packing(*both))


def compare_sections(old: Baseline, new: Baseline) -> dict[str, Verdict]:
    """Whether each measured section differs, by name; nothing if one side's are not known."""
    both = pair(measured_sections(old), measured_sections(new))
    if not isinstance(both, tuple):
        return {}
    names = sorted(both[0].keys() | both[1].keys())
    return {name: Verdict.EQUAL if both[0].get(name) == both[1].get(name) else Verdict.DIFFERS for name in names}


def measured_sections(side: Baseline) -> Part[Mapping[str, str]]:
    """The digests of the measured sections by name, as the events of PCR 11 have them: SHA-256 of the content."""
    if isinstance(side.measured, Unknown | Outside):
        return side.measured
    reason = "no boot is predicted"
    for values in side.measured.values():
        pcr = values.pcrs.get(_SECTIONS_PCR)
        if pcr is None or not pcr.predictable:
            reason = pcr.reason or "PCR 11 is not predicted" if pcr is not None else "there is no PCR 11"
            continue
        return dict(_section_digests(values))
    return Unknown(reason)


def section_id(name: str) -> str:
    """The id of a section's difference."""
    return node_id(NAME, "section", name)


def _section_digests(values: ReferenceValues) -> Iterator[tuple[str, str]]:
    for event in values.pcrs[_SECTIONS_PCR].events:
        name = event.source.removeprefix(SECTION_SOURCE)
        if event.description == f"section {name}" and "sha256" in event.digests:
            yield name, event.digests["sha256"]


def _sections(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Difference]:
    for name in sorted(old.keys() | new.keys()):
        one, other = old.get(name), new.get(name)
        if one != other:
            yield Difference(
                id=section_id(name), kind="section", subject=name, change=presence(one, other), old=one, new=other
            )  # fmt: skip


def _stub(old: str, new: str, old_code: Mapping[str, str], new_code: Mapping[str, str]) -> Iterator[Difference]:
    fields = changed_fields(old_code, new_code)
    if old != new or fields:
        notes = () if old != new else ("the same version, other code",)
        yield Difference(
            id=STUB_ID, kind="stub", subject="systemd-stub", change=Change.CONTENT, old=old, new=new,
            notes=notes, fields=fields,
        )  # fmt: skip


def _kernel(old: str, new: str) -> Iterator[Difference]:
    if old != new:
        yield Difference(
            id=node_id(NAME, "kernel"), kind="kernel", subject="kernel release", change=Change.CONTENT, old=old, new=new
        )


def _certificates(old: Mapping[str, Certificate], new: Mapping[str, Certificate]) -> Iterator[Difference]:
    for digest in sorted(old.keys() ^ new.keys()):
        one, other = old.get(digest), new.get(digest)
        certificate = one or other
        if certificate is not None:
            yield Difference(
                id=node_id(SIGNATURE, digest),
                kind="certificate",
                subject=certificate.name,
                change=presence(one, other),
                old=None if one is None else digest,
                new=None if other is None else digest,
                fields=_details(one, other),
            )


def _details(old: Certificate | None, new: Certificate | None) -> tuple[Field, ...]:
    return changed_fields(dict(old.details) if old else {}, dict(new.details) if new else {})


def _packing(old: tuple[PackedFile, ...], new: tuple[PackedFile, ...]) -> Iterator[Difference]:
    sides = tuple(_times(side) for side in (old, new))
    both = set(sides[0]) & set(sides[1])
    orders = tuple([path for path, time in side if (path, time) in both] for side in sides)
    if orders[0] != orders[1]:
        first = next(index for index, (one, other) in enumerate(zip(*orders, strict=True)) if one != other)
        yield Difference(
            id=PACKING_ID, kind="order", subject="order of the files", change=Change.ORDER, area="initrd",
            old=f"/{orders[0][first]} is number {first}", new=f"/{orders[1][first]} is number {first}",
        )  # fmt: skip
    runs = tuple(", ".join(_runs(side)) for side in (old, new))
    if runs[0] != runs[1]:
        yield Difference(
            id=node_id(PACKING, "compression"), kind="packing", subject="archives and their compression",
            change=Change.METADATA, area="initrd", old=runs[0], new=runs[1],
        )  # fmt: skip


def _times(files: Iterable[PackedFile]) -> list[tuple[str, int]]:
    """The paths in their order, each with how often it was there before: every archive of an initrd has a /usr."""
    seen: dict[str, int] = {}
    found: list[tuple[str, int]] = []
    for file in files:
        time = seen.get(file.path, 0)
        seen[file.path] = time + 1
        found.append((file.path, time))
    return found


def _runs(files: Iterable[PackedFile]) -> list[str]:
    return list({file.run: file.compression for file in files}.values())


def _same_uki(old: Baseline, new: Baseline) -> bool:
    """Whether the digests of the whole file say so."""
    return _artifact(old) is not None and _artifact(old) == _artifact(new)


def _artifact(side: Baseline) -> str | None:
    return None if isinstance(side.artifacts, Unknown | Outside) else side.artifacts.get("uki")


def _same_section(old: Baseline, new: Baseline, name: str) -> bool:
    both = pair(measured_sections(old), measured_sections(new))
    return isinstance(both, tuple) and both[0].get(name) == both[1].get(name)


def _only_signature_differs(old: Baseline, new: Baseline) -> bool:
    """The files differ and what is measured of them does not: PCR 4 is the digest without the signature."""
    if None in {_artifact(old), _artifact(new)} or _same_uki(old, new):
        return False
    both = pair(old.measured, new.measured)
    if not isinstance(both, tuple):
        return False
    modes = both[0].keys() & both[1].keys()
    return bool(modes) and all(_pcr4(both[0][mode]) == _pcr4(both[1][mode]) for mode in modes)


def _pcr4(values: ReferenceValues) -> Mapping[str, str] | None:
    pcr = values.pcrs.get("4")
    return None if pcr is None else pcr.values
