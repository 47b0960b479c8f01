from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builder.release.statements import REFERENCE_MEASUREMENTS, VERDICT
from signing import keys
from signing.signer import FileSigner
from tests.verdicts import REFERENCE_VALUES, verdict

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def signers() -> tuple[FileSigner, ...]:
    """Three keys."""
    return tuple(FileSigner.from_pem(keys.generate(keys.Algorithm.ED25519).private_pem) for _ in range(3))


@pytest.fixture(scope="session")
def make_statement() -> Callable[..., dict[str, object]]:
    """A statement of a release as JSON value; arguments replace members."""

    def make(predicate_type: str, **members: object) -> dict[str, object]:
        identity = {"name": "node", "version": "1.0.0", "architecture": "x86-64", "profile": "production"}
        uki = {"stub": "257", "kernel": "6.12", "command_line": "quiet", "root_hash": "00" * 32}
        reference = {"image": identity, "uki": uki, "reference_values": REFERENCE_VALUES}
        return {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "node.efi", "digest": {"sha256": "00" * 32}}],
            "predicateType": predicate_type,
            "predicate": {REFERENCE_MEASUREMENTS: reference, VERDICT: verdict()}.get(predicate_type, {}),
        } | members

    return make
