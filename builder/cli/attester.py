"""Options that say whose evidence is believed: the attestation key of a node, and who vouches for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from builder.cli.appraise_inputs import hexadecimal, read_input
from builder.cli.options import EXISTING_FILE, together

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from cryptography import x509

    from builder.evidence.evidence_files import Grounds
    from builder.evidence.freshness import ExpectedNonce
    from builder.evidence.public_area import PublicArea
    from builder.evidence.signature import PublicKey
    from builder.evidence.trust import TrustedAk


def _several(option: str, name: str, meaning: str) -> Callable[[Callable[..., None]], Any]:
    return click.option(option, name, multiple=True, type=EXISTING_FILE, help=f"{meaning}; may be given several times.")


@dataclass(frozen=True, slots=True)
class Certification:
    """A statement of TPM2_Certify that the attestation key is in the TPM of another key, ``certifier``.

    Without ``certifier`` it is the key of the certificate that stands beside.
    """

    certify: Path | None = None
    certify_signature: Path | None = None
    certify_nonce: str | None = None
    certifier: Path | None = None

    def check(self, certificate: Path | None) -> None:
        """Raises UsageError for files that say nothing without others."""
        if (self.certify is None) != (self.certify_signature is None):
            raise click.UsageError("--certify and --certify-signature go together")
        if self.certify is None and (self.certifier is not None or self.certify_nonce is not None):
            raise click.UsageError("--certifier and --certify-nonce go with --certify")
        if self.certify is not None and self.certifier is not None and certificate is not None:
            raise click.UsageError("the key of --certify is either --certifier, or that of --ak-cert")


NOT_CERTIFIED = Certification()


@dataclass(frozen=True, slots=True)
class AttesterOptions:
    """The attestation key, certificates that lead from it to a root, AWS's roots, and whether first use will do."""

    key: Path | None = None
    certificate: Path | None = None
    intermediates: tuple[Path, ...] = ()
    roots: tuple[Path, ...] = ()
    nitro_roots: tuple[Path, ...] = ()
    first_use: bool = False

    def grounds(self, now: datetime, certification: Certification = NOT_CERTIFIED) -> Grounds:
        """Why evidence is believed; certificates must be valid ``now``.

        Raises UsageError for options that say nothing without others, InvalidInputError for files that are not what
        they should be, and NotVerifiedError if nobody who is trusted vouches for the key.
        """
        from builder.evidence.evidence_files import Grounds  # noqa: PLC0415 -- for a fast --help

        if (self.certificate is None) != (not self.roots):
            raise click.UsageError("--ak-cert and --ak-root go together")
        certification.check(self.certificate)
        return Grounds(self._trusted(now, certification), self.first_use, _certificates(self.nitro_roots), now)

    def _trusted(self, now: datetime, certification: Certification) -> TrustedAk | None:
        from builder.evidence.evidence_files import read_attestation_key  # noqa: PLC0415
        from builder.evidence.public_area import PublicArea  # noqa: PLC0415
        from builder.evidence.trust import trust_pinned_key  # noqa: PLC0415

        read = None if self.key is None else read_attestation_key(read_input(self.key, "attestation key"))
        if certification.certify is not None:
            return self._certified(read if isinstance(read, PublicArea) else None, now, certification)
        if self.certificate is not None:
            return self._by_certificate(self.certificate, read, now)
        return None if read is None else trust_pinned_key(read)

    def _by_certificate(self, certificate: Path, expected: PublicKey | PublicArea | None, now: datetime) -> TrustedAk:
        from builder.evidence.trust import trust_certificate  # noqa: PLC0415

        leaf, *more = _certificates([certificate])
        intermediates = [*more, *_certificates(self.intermediates)]
        return trust_certificate(leaf, intermediates, _certificates(self.roots), now, expected)

    def _certified(self, area: PublicArea | None, now: datetime, said: Certification) -> TrustedAk:
        from builder.evidence.evidence_files import read_attestation_key  # noqa: PLC0415
        from builder.evidence.freshness import NoNonce  # noqa: PLC0415
        from builder.evidence.tpm2_tools import read_signature  # noqa: PLC0415
        from builder.evidence.trust import trust_certified_key, trust_pinned_key  # noqa: PLC0415

        if area is None or said.certify is None or said.certify_signature is None:
            raise click.UsageError("--certify is about a key as a TPM describes it: name it with --ak, not as PEM")
        if self.certificate is not None:
            certifier = self._by_certificate(self.certificate, None, now)
        elif said.certifier is not None:
            certifier = trust_pinned_key(read_attestation_key(read_input(said.certifier, "certifying key")))
        else:
            raise click.UsageError("--certify needs its key: either --certifier, or --ak-cert with --ak-root")
        key = certifier.public_area or certifier.key
        signature = read_signature(read_input(said.certify_signature, "signature"), key)
        nonce: ExpectedNonce = NoNonce.FRESHNESS_NOT_CHECKED
        if said.certify_nonce is not None:
            nonce = hexadecimal(said.certify_nonce, "--certify-nonce")
        statement = read_input(said.certify, "statement of TPM2_Certify")
        return trust_certified_key(area, statement, signature, certifier, nonce)


@dataclass(frozen=True, slots=True)
class EndorsementOptions:
    """Authorities that certify TPMs, and certificates between them and the TPMs'."""

    ek_roots: tuple[Path, ...] = ()
    ek_intermediates: tuple[Path, ...] = ()

    def grounds(self, others: Grounds) -> Grounds:
        """``others``, or trust in keys of certified TPMs in their place.

        Raises UsageError for options that say nothing without others, or for two grounds; InvalidInputError for files
        that are no certificates.
        """
        from builder.evidence.endorsement import EndorsementRoots  # noqa: PLC0415 -- for a fast --help

        if not self.ek_roots:
            if self.ek_intermediates:
                raise click.UsageError("--ek-intermediate goes with --ek-root")
            return others
        if others.ak is not None or others.first_use:
            raise click.UsageError("--ek-root takes the place of --ak, --ak-cert and --trust-on-first-use")
        roots = EndorsementRoots(_certificates(self.ek_roots), _certificates(self.ek_intermediates))
        return replace(others, endorsed=roots)


def _certificates(paths: Sequence[Path]) -> list[x509.Certificate]:
    """X.509 certificates, DER or PEM; a PEM file may have several, the leaf's file first the leaf."""
    from builder.evidence.certificates import parse_certificates  # noqa: PLC0415

    return [item for path in paths for item in parse_certificates(read_input(path, "certificate"), str(path))]


# Gives the command an AttesterOptions.
attester_options = together(
    AttesterOptions,
    "attester",
    click.option("--ak", "key", type=EXISTING_FILE, help="Attestation key: PEM, or as a TPM gives it."),
    click.option("--ak-cert", "certificate", type=EXISTING_FILE, help="Certificate of the attestation key."),
    _several("--ak-intermediate", "intermediates", "Certificate between it and the root"),
    _several("--ak-root", "roots", "Root that attestation keys' certificates lead to"),
    click.option("--trust-on-first-use", "first_use", is_flag=True, help="Trust the key that came with the evidence."),
    _several("--nitro-root", "nitro_roots", "AWS's root, for NitroTPM documents"),
)

# Gives the command an EndorsementOptions.
endorsement_options = together(
    EndorsementOptions,
    "endorsement",
    _several("--ek-root", "ek_roots", "Authority that certifies TPMs, and so vouches for keys in all of them"),
    _several("--ek-intermediate", "ek_intermediates", "Certificate between it and a TPM's"),
)

# Gives the command a Certification.
certification_options = together(
    Certification,
    "certification",
    click.option(
        "--certify",
        type=EXISTING_FILE,
        help="Statement of TPM2_Certify that the attestation key is in its certifier's TPM.",
    ),
    click.option("--certify-signature", type=EXISTING_FILE, help="Its signature."),
    click.option("--certify-nonce", metavar="HEX", help="The nonce that it must answer."),
    click.option(
        "--certifier",
        type=EXISTING_FILE,
        help="Key that made it: PEM, or as a TPM gives it.  [default: that of --ak-cert]",
    ),
)
