"""Key material for the tests of this package, made once a session because RSA keys are slow to make."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from signing import keys, secureboot
from signing.signer import FileSigner

MADE_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(scope="session")
def vectors() -> Path:
    return Path(__file__).parents[2] / "vectors/signing"


@pytest.fixture(scope="session")
def generated() -> secureboot.GeneratedIdentity:
    return secureboot.generate_identity("test", secureboot.owner_guid("test"), MADE_AT)


@pytest.fixture(scope="session")
def identity(generated: secureboot.GeneratedIdentity) -> secureboot.SecureBootIdentity:
    return generated.identity


@pytest.fixture(scope="session")
def db_signer(generated: secureboot.GeneratedIdentity) -> FileSigner:
    return FileSigner.from_pem(generated.files["db.key"].content)


@pytest.fixture(scope="session")
def key_pairs() -> dict[keys.Algorithm, keys.GeneratedKey]:
    return {algorithm: keys.generate(algorithm) for algorithm in keys.Algorithm}
