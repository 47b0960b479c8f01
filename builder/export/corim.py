"""Reference values as a CoRIM (draft-ietf-rats-corim-11): one CoMID tag per release and Secure Boot mode.

Every tag states the PCRs twice, for the two kinds of verifier that there are: as integrity registers (5.1.4.1.4.7,
``mval`` key 14) and as one measurement per PCR with digests (key 2). The digests of a register are of different banks,
so they are alternatives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec

from builder.errors import InvalidInputError
from builder.evidence.cose import HEADER_CONTENT_TYPE, CoseAlgorithm, sign1
from builder.measurement.pcr import Bank
from signing.keys import public_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from builder.evidence.cbor import Key, Value
    from builder.export.subject import Subject
    from signing.keys import SupportedPrivateKey

_CORIM_TAG: Final = 501
_COMID_TAG: Final = 506
_CONTENT_TYPE: Final = "application/rim+cbor"
# COSE header labels: kid (RFC 9052, 3.1) and corim-meta (the draft, 4.2.1).
_HEADER_KEY_ID, _HEADER_META = 4, 8
_META_SIGNER, _SIGNER_NAME = 0, 0
_CORIM_ID, _CORIM_TAGS = 0, 1
_COMID_IDENTITY, _COMID_TRIPLES = 1, 4
_TAG_ID, _TAG_VERSION = 0, 1
_REFERENCE_TRIPLES: Final = 0
_ENVIRONMENT_CLASS, _CLASS_MODEL = 0, 2
_MEASUREMENT_KEY, _MEASUREMENT_VALUES = 0, 1
_DIGESTS, _INTEGRITY_REGISTERS = 2, 14
# IANA "Named Information Hash Algorithm Registry".
_HASHES: Final = {Bank.SHA256: 1, Bank.SHA384: 7}


def measurement_name(pcr: int) -> str:
    """The key of the measurement that holds one PCR's digests, the name that Trustee's policies use."""
    return f"tpm_pcr{pcr}"


def unsigned(subjects: Sequence[Subject]) -> bytes:
    """A CoRIM (CBOR tag 501) of these subjects, in deterministic encoding. Raises InvalidInputError without any."""
    if not subjects:
        raise InvalidInputError("a CoRIM needs at least one release")
    names = [subject.name for subject in subjects]
    if len(set(names)) != len(names):
        raise InvalidInputError(f"a release is given twice: {', '.join(names)}")
    tags = [cbor2.CBORTag(_COMID_TAG, _encode(_comid(subject))) for subject in subjects]
    return _encode(cbor2.CBORTag(_CORIM_TAG, {_CORIM_ID: "; ".join(names), _CORIM_TAGS: tags}))


def signed(subjects: Sequence[Subject], key: SupportedPrivateKey, signer_name: str | None = None) -> bytes:
    """The same as COSE_Sign1 (tag 18), signed with ES256 or ES384 as the key's curve has it.

    ``signer_name`` is for people and defaults to the key's id, which is also the header ``kid``. Raises
    InvalidInputError for a key of another kind.
    """
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InvalidInputError(
            "a CoRIM is signed with an ECDSA key, this is another", hint="make one of P-256 or P-384"
        )
    key_id = public_key(key.public_key()).key_id
    algorithm = next(choice for choice in CoseAlgorithm if isinstance(key.curve, choice.curve))
    headers: dict[Key, Value] = {
        HEADER_CONTENT_TYPE: _CONTENT_TYPE,
        _HEADER_KEY_ID: bytes.fromhex(key_id),
        _HEADER_META: _encode({_META_SIGNER: {_SIGNER_NAME: signer_name or key_id}}),
    }
    return sign1(unsigned(subjects), key, algorithm, headers)


def _comid(subject: Subject) -> dict[int, Any]:
    values = {number: _digests(pcr.values) for number, pcr in subject.predicted.items()}
    if not values:
        raise InvalidInputError(f"{subject.name}: none of its PCRs has a value")
    measurements: list[dict[int, Any]] = [{_MEASUREMENT_VALUES: {_INTEGRITY_REGISTERS: values}}]
    measurements += [
        {_MEASUREMENT_KEY: measurement_name(number), _MEASUREMENT_VALUES: {_DIGESTS: digests}}
        for number, digests in values.items()
    ]
    environment = {_ENVIRONMENT_CLASS: {_CLASS_MODEL: subject.image.name}}
    return {
        _COMID_IDENTITY: {_TAG_ID: subject.name, _TAG_VERSION: 0},
        _COMID_TRIPLES: {_REFERENCE_TRIPLES: [[environment, measurements]]},
    }


def _digests(values: Mapping[Bank, bytes]) -> list[list[int | bytes]]:
    return [[_HASHES[bank], value] for bank, value in values.items()]


def _encode(value: Any) -> bytes:
    # RFC 8949, 4.2.1: the same release gives the same bytes.
    return cbor2.dumps(value, canonical=True)
