"""From an unsigned build to a release: sign the UKI, put it back into the ESP, check and measure it, sign statements.

This needs the build, the keys and nothing else: no toolchain, no network, no root. The signed image is measured from
its own bytes, and the finished release is verified before it gets its name.
"""

from __future__ import annotations

import datetime as dt
import mmap
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from builder.definition.model import Profile
from builder.errors import InvalidInputError, NotVerifiedError
from builder.files import locked, mapped, new_directory, remove_partial, require_free, sha256_file, write_atomically
from builder.image.binary import BinaryView
from builder.image.disk import read_disk, read_system_partition, replace_uki
from builder.image.inventory_file import pack
from builder.image.pe import attach_signature, authenticode_digest, pad_for_signing
from builder.release.contents import read_contents
from builder.release.layout import (
    BUNDLE_SUFFIX,
    INVENTORY,
    POLICY,
    POLICY_PAGE,
    POLICY_REPORT,
    POLICY_SARIF,
    REFERENCE_VALUES,
    SECURE_BOOT,
    STATEMENTS,
    Names,
    signature_list,
)
from builder.release.model import read_model
from builder.release.provenance import provenance
from builder.release.reference import load_variables, measure, measured_identity
from builder.release.statements import (
    MODEL,
    OPTIONAL_NAMES,
    PAYLOAD_TYPE,
    PROVENANCE,
    REFERENCE_MEASUREMENTS,
    SHORT_NAMES,
    VERDICT,
    Subject,
    encode_statement,
)
from builder.release.summary import summarize
from builder.release.unsigned import find_unsigned, read_sources
from builder.release.verdict import ImageFacts, RefusedImageError, judge, load_policy, require_valid_waivers
from builder.release.verify import verify_release
from policies.policy import encode as encode_policy
from policies.presenters.html import html
from policies.presenters.sarif import sarif
from signing import authenticode, dsse, envelope_json

if TYPE_CHECKING:
    from pathlib import Path

    from builder.progress import Reporter
    from builder.release.contents import ImageContents
    from builder.release.keyring import Keyring
    from builder.release.record import BuildRecord
    from builder.release.statements import ReferenceMeasurements
    from builder.release.verify import VerifiedRelease
    from builder.weights.identity import Model
    from policies.policy import Policy
    from policies.report import Report

# Disk, partitions and UKI: at most three times the disk.
_SPACE_FACTOR: Final = 3


@dataclass(frozen=True, slots=True)
class SignedRelease:
    """A release and what its own verification found in it; ``reused`` tells that it was there already."""

    directory: Path
    verified: VerifiedRelease
    reused: bool


def sign_build(
    unsigned: Path, keyring: Keyring, reporter: Reporter, *, output: Path | None = None, force: bool = False
) -> SignedRelease:
    """Make the release of an unsigned build, by default beside it under the version's own name.

    A release of the same build by the same keys is kept. Raises InvalidInputError if the build is broken, if the keys
    are for another profile, or if another release is there (unless ``force``: it goes once the new one is whole),
    NotVerifiedError if a waiver of the policy has expired, and RefusedImageError if the signed image does not satisfy
    the policy of the build.
    """
    with reporter.stage("read the build"):
        disk, record = find_unsigned(unsigned)
        policy = load_policy(unsigned, record.policy)
        sources = read_sources(unsigned, record)
    require_valid_waivers(policy, str(unsigned / POLICY), dt.datetime.now(dt.UTC).date())
    if record.profile != keyring.profile.value:
        raise InvalidInputError(
            f"{unsigned} is a {record.profile} image and the keys sign {keyring.profile.value} images only",
            hint="sign it with keys of its own profile",
        )
    target = (output or unsigned.absolute().parent / record.version).absolute()
    require_free(target.parent, _SPACE_FACTOR * disk.stat().st_size, what="the release")
    with locked(target.parent / ".lock"):
        remove_partial(target.parent)
        if target.exists() and (current := _current(target, record, keyring)):
            return SignedRelease(target, current, reused=True)
        if target.exists() and not force:
            raise InvalidInputError(
                f"{target} is there already, and is not the release of this build by these keys",
                hint="raise the version of the image, or replace what is there with --force",
            )
        with new_directory(target, replace=force) as partial:
            names = Names(record.stem)
            with reporter.stage("sign the UKI"):
                shutil.copyfile(disk, partial / names.disk)
                for name, content in sources.items():
                    write_atomically(partial / name, content)
                _sign_disk(partial / names.disk, keyring)
            with reporter.stage("measure"):
                reference, model = _write_contents(partial, names, record, keyring)
            with reporter.stage("check"):
                judgement = _judge(partial / names.disk, policy)
                _write_report(partial, judgement, record)
            with reporter.stage("sign the statements"):
                _write_statements(partial, record, reference, model, judgement, keyring)
            with reporter.stage("verify"):
                verified = verify_release(
                    partial,
                    [keyring.release.public_key],
                    allow_development=record.profile == Profile.DEVELOPMENT.value,
                    image=judgement.image,
                )
    return SignedRelease(target, verified, reused=False)


@dataclass(frozen=True, slots=True)
class _Judgement:
    """What the policy says of the signed image, and when it was asked."""

    policy: Policy
    image: ImageFacts
    report: Report
    time: dt.datetime


def sign_uki(uki: bytes | memoryview, keyring: Keyring) -> bytes:
    """The UKI with an Authenticode signature of the keyring's db key."""
    padded = pad_for_signing(uki)
    signature = authenticode.build(
        authenticode_digest(padded, "sha256"), keyring.image, keyring.identity.db_certificate
    )
    return attach_signature(padded, signature)


def _current(target: Path, record: BuildRecord, keyring: Keyring) -> VerifiedRelease | None:
    """The verified release at ``target`` if it is the one of this build and these keys."""
    allow = record.profile == Profile.DEVELOPMENT.value
    try:
        verified = verify_release(target, [keyring.release.public_key], allow_development=allow)
        same_keys = load_variables(target) == keyring.identity.variables()
    except (NotVerifiedError, InvalidInputError):
        return None
    return verified if same_keys and verified.provenance == provenance(record) else None


def _sign_disk(path: Path, keyring: Keyring) -> None:
    with mapped(path, what="disk image") as view:
        uki = read_system_partition(read_disk(BinaryView.of(view, "disk image"))).uki_content()
        signed = sign_uki(uki, keyring)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        with memoryview(mapping) as view:
            replace_uki(view, signed)
        mapping.flush()


def _write_contents(
    partial: Path, names: Names, record: BuildRecord, keyring: Keyring
) -> tuple[ReferenceMeasurements, Model | None]:
    variables = keyring.identity.variables()
    with mapped(partial / names.disk, what="disk image") as view:
        contents = read_contents(view)
        _check_identity(contents, record)
        write_atomically(partial / names.uki, bytes(contents.uki_file))
        write_atomically(partial / names.root, contents.root.read(0, len(contents.root)))
        write_atomically(partial / names.root_verity, contents.root_verity.read(0, len(contents.root_verity)))
        write_atomically(partial / INVENTORY, pack(contents.inventory()))
        (partial / SECURE_BOOT).mkdir()
        for variable, content in variables.items():
            if content:
                write_atomically(partial / signature_list(variable), content)
        reference = measure(contents, variables, record.architecture)
        model = read_model(contents.root)
    document = msgspec.json.format(msgspec.json.encode(reference, order="sorted"), indent=2)
    write_atomically(partial / REFERENCE_VALUES, document + b"\n")
    return reference, model


def _check_identity(contents: ImageContents, record: BuildRecord) -> None:
    """The image that is about to be signed says of itself what its build record says of it."""
    measured = measured_identity(contents.uki, record.architecture)
    said = {"name": measured.name, "version": measured.version, "profile": measured.profile}
    problems = tuple(
        f"its {key} is {value}, the build record says {getattr(record, key)}"
        for key, value in said.items()
        if value != getattr(record, key)
    )
    if problems:
        raise NotVerifiedError("the image is not the one of its build record", problems)


def _judge(disk: Path, policy: Policy) -> _Judgement:
    time = dt.datetime.now(dt.UTC).replace(microsecond=0)
    image = ImageFacts.read(disk, sha256_file(disk))
    return _Judgement(policy, image, judge(image, policy, today=time.date(), stage="signed"), time)


def _write_report(partial: Path, judgement: _Judgement, record: BuildRecord) -> None:
    report = judgement.report
    if not report.passed:
        raise RefusedImageError(
            report,
            f"the signed image of {record.name} {record.version}",
            hint="`bedplate check --explain ID` says how to fix a finding; nothing was released",
        )
    document = msgspec.json.format(msgspec.json.encode(report, order="sorted"), indent=2)
    write_atomically(partial / POLICY, encode_policy(judgement.policy))
    write_atomically(partial / POLICY_REPORT, document + b"\n")
    write_atomically(partial / POLICY_SARIF, sarif(report))
    write_atomically(partial / POLICY_PAGE, html(report))


def _write_statements(
    partial: Path,
    record: BuildRecord,
    reference: ReferenceMeasurements,
    model: Model | None,
    judgement: _Judgement,
    keyring: Keyring,
) -> None:
    subjects = tuple(
        sorted(
            Subject(str(path.relative_to(partial)), {"sha256": sha256_file(path)})
            for path in partial.rglob("*")
            if path.is_file()
        )
    )
    verdict = summarize(
        judgement.report,
        judgement.policy,
        reference.image,
        {subject.name: subject.digest["sha256"] for subject in subjects},
        Names(record.stem).disk,
        judgement.time,
    )
    predicates: dict[str, Any] = {
        REFERENCE_MEASUREMENTS: reference,
        PROVENANCE: provenance(record),
        VERDICT: verdict,
        **({} if model is None else {MODEL: model}),
    }
    envelopes = {
        kind: dsse.sign(PAYLOAD_TYPE, encode_statement(kind, predicate, subjects), [keyring.release])
        for kind, predicate in predicates.items()
    }
    write_atomically(partial / STATEMENTS, envelope_json.encode_lines(envelopes.values()))
    for kind, envelope in envelopes.items():
        bundle = envelope_json.encode_bundle(envelope, keyring.release.public_key)
        name = (SHORT_NAMES | OPTIONAL_NAMES)[kind]
        write_atomically(partial / f"{name}{BUNDLE_SUFFIX}", bundle)
