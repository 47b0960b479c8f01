"""Secure Boot identities and signed images, made once: RSA keys are slow to make."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from builder.image.pe import attach_signature, authenticode_digest, pad_for_signing
from builder.measurement.configuration import SecureBoot, SecureBootMode
from signing import authenticode, secureboot
from signing.esl import parse_signature_lists
from signing.signer import FileSigner

if TYPE_CHECKING:
    from signing.esl import SignatureEntry

MADE_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Authority:
    """A Secure Boot identity that signs images."""

    generated: secureboot.GeneratedIdentity

    @property
    def variables(self) -> dict[str, bytes]:
        return self.generated.identity.variables()

    @property
    def secure_boot(self) -> SecureBoot:
        variables = self.variables
        return SecureBoot(SecureBootMode.ENABLED, variables["PK"], variables["KEK"], variables["db"])

    @property
    def entry(self) -> SignatureEntry:
        return parse_signature_lists(self.variables["db"])[0].entries[0]

    def sign(self, image: bytes) -> bytes:
        padded = pad_for_signing(image)
        signer = FileSigner.from_pem(self.generated.files["db.key"].content)
        certificate = self.generated.identity.db_certificate
        return attach_signature(padded, authenticode.build(authenticode_digest(padded, "sha256"), signer, certificate))


def make_authority(name: str) -> Authority:
    return Authority(secureboot.generate_identity(name, secureboot.owner_guid(name), MADE_AT))


@pytest.fixture(scope="session")
def authority() -> Authority:
    return make_authority("one")


@pytest.fixture(scope="session")
def other_authority() -> Authority:
    return make_authority("two")
