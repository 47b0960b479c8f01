"""Which entry of db lets an image run, what firmware refuses, and what PCR 7 gets of it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

import pytest

from builder.errors import InvalidInputError, UnpredictableError
from builder.image.pe import attach_signature, authenticode_digest, certificates, strip_signatures
from builder.image.uki import read_uki
from builder.measurement import pcr7
from builder.measurement.boot import Boot, LoadedImage
from builder.measurement.configuration import (
    BootConfiguration,
    BootLoader,
    Companions,
    EspFile,
    SecureBoot,
    SecureBootMode,
)
from builder.measurement.events import EventType, Measurer
from builder.measurement.image_verification import BootRefusedError
from builder.measurement.image_verification import authority as trusted_by
from builder.measurement.pcr import Bank
from builder.measurement.predict import predict
from builder.measurement.prediction import Unpredictable
from signing.efi import SignatureType
from signing.esl import SignatureEntry, SignatureList, build_sha256_list
from tests.uki_builder import Section, build_pe, build_uki, tiny_kernel

if TYPE_CHECKING:

    class Authority(Protocol):
        """See conftest.py."""

        variables: dict[str, bytes]
        secure_boot: SecureBoot
        entry: SignatureEntry

        def sign(self, image: bytes) -> bytes: ...


OWNER = UUID("77fa9abd-0359-4d32-bd60-28f4e78f784b")
UKI = build_uki([(".linux", tiny_kernel()), (".cmdline", b"quiet")])
MEASURER = Measurer((Bank.SHA256,))


def image(signed: bytes) -> LoadedImage:
    return LoadedImage("UKI", memoryview(signed))


def digest_list(data: bytes) -> bytes:
    return build_sha256_list(OWNER, [authenticode_digest(data, "sha256")])


def revoked_certificate(kind: SignatureType = SignatureType.X509_SHA256, size: int = 48) -> bytes:
    return SignatureList(kind, (SignatureEntry(OWNER, bytes(size)),)).encode()


def test_the_certificate_of_the_signer_lets_an_image_run(authority: Authority) -> None:
    entry = trusted_by(image(authority.sign(UKI)), authority.variables["db"], b"")
    assert entry == authority.entry


def test_the_first_entry_in_the_variables_order_counts(authority: Authority, other_authority: Authority) -> None:
    again = SignatureList(SignatureType.X509, (SignatureEntry(OWNER, authority.entry.data),)).encode()
    signed = image(authority.sign(UKI))
    other, own = other_authority.variables["db"], authority.variables["db"]
    assert trusted_by(signed, other + again + own, b"").owner == OWNER
    assert trusted_by(signed, other + own + again, b"") == authority.entry


def test_the_first_signature_that_db_knows_counts(authority: Authority, other_authority: Authority) -> None:
    twice = other_authority.sign(authority.sign(UKI))
    both = authority.variables["db"] + other_authority.variables["db"]
    assert trusted_by(image(twice), both, b"") == authority.entry
    assert trusted_by(image(twice), other_authority.variables["db"], b"") == other_authority.entry


def test_a_digest_in_db_lets_an_unsigned_image_run() -> None:
    entry = trusted_by(image(UKI), digest_list(UKI), b"")
    assert entry == SignatureEntry(OWNER, authenticode_digest(UKI, "sha256"))


def test_a_digest_in_db_lets_an_image_run_whose_signer_is_unknown(
    authority: Authority, other_authority: Authority
) -> None:
    signed = authority.sign(UKI)
    db = other_authority.variables["db"] + digest_list(signed)
    assert trusted_by(image(signed), db, b"").owner == OWNER


def test_an_image_that_db_does_not_verify_is_refused(authority: Authority, other_authority: Authority) -> None:
    with pytest.raises(BootRefusedError, match="firmware will not start the UKI: no entry of db verifies"):
        trusted_by(image(authority.sign(UKI)), other_authority.variables["db"], b"")


def test_an_unsigned_image_is_refused(authority: Authority) -> None:
    with pytest.raises(BootRefusedError, match="not signed, and db lacks its digest"):
        trusted_by(image(UKI), authority.variables["db"], b"")


def test_one_flipped_byte_is_refused(authority: Authority) -> None:
    signed = bytearray(authority.sign(UKI))
    signed[signed.index(b"quiet")] ^= 1
    with pytest.raises(BootRefusedError, match="no entry of db verifies"):
        trusted_by(image(bytes(signed)), authority.variables["db"], b"")


def test_another_images_signature_is_refused(authority: Authority) -> None:
    (signature,) = certificates(authority.sign(UKI))
    other = attach_signature(build_uki([(".linux", b"other kernel")]), signature)
    with pytest.raises(BootRefusedError, match="no entry of db verifies"):
        trusted_by(image(other), authority.variables["db"], b"")


def test_a_digest_in_dbx_forbids_a_signed_image(authority: Authority) -> None:
    signed = authority.sign(UKI)
    with pytest.raises(BootRefusedError, match="dbx has its digest"):
        trusted_by(image(signed), authority.variables["db"], digest_list(signed))


def test_a_digest_in_dbx_forbids_an_unsigned_image() -> None:
    with pytest.raises(BootRefusedError, match="dbx has its digest"):
        trusted_by(image(UKI), digest_list(UKI), digest_list(UKI))


def test_a_certificate_in_dbx_forbids_what_it_signed(authority: Authority, other_authority: Authority) -> None:
    twice = other_authority.sign(authority.sign(UKI))
    with pytest.raises(BootRefusedError, match="dbx has a certificate of its signer"):
        trusted_by(image(twice), authority.variables["db"], other_authority.variables["db"])


def test_a_dbx_about_other_images_forbids_nothing(authority: Authority, other_authority: Authority) -> None:
    dbx = build_sha256_list(OWNER, [hashlib.sha256(b"").digest()]) + other_authority.variables["db"]
    assert trusted_by(image(authority.sign(UKI)), authority.variables["db"], dbx) == authority.entry


def test_certificate_digests_in_dbx_make_a_signed_image_unpredictable(authority: Authority) -> None:
    with pytest.raises(UnpredictableError, match="X509_SHA256, and whether they forbid the UKI"):
        trusted_by(image(authority.sign(UKI)), authority.variables["db"], revoked_certificate())
    assert trusted_by(image(UKI), digest_list(UKI), revoked_certificate()).owner == OWNER


def test_a_signature_that_cannot_be_read_makes_the_answer_unpredictable(authority: Authority) -> None:
    with pytest.raises(UnpredictableError, match="what firmware makes of a signature is not known"):
        trusted_by(image(attach_signature(UKI, b"no DER")), authority.variables["db"], b"")
    with pytest.raises(UnpredictableError, match="what firmware makes of a signature is not known"):
        trusted_by(image(attach_signature(UKI, b"no DER")), digest_list(UKI), b"")


@pytest.mark.parametrize("which", ["db", "dbx"])
def test_a_broken_signature_database_is_refused(authority: Authority, which: str) -> None:
    databases = {"db": authority.variables["db"], "dbx": b""} | {which: b"\1" * 40}
    with pytest.raises(InvalidInputError, match="Secure Boot variable cannot be read"):
        trusted_by(image(authority.sign(UKI)), **databases)


def boot(uki: bytes, secure_boot: SecureBoot, **options: object) -> Boot:
    configuration = BootConfiguration(secure_boot, initrd_systemd=None, **options)  # type: ignore[arg-type]
    return Boot(memoryview(uki), read_uki(uki), configuration)


def test_the_events_are_the_variables_the_separator_and_the_entry(authority: Authority) -> None:
    events = pcr7.events(boot(authority.sign(UKI), authority.secure_boot), MEASURER)
    assert [event.description for event in events] == [
        "variable SecureBoot",
        "variable PK",
        "variable KEK",
        "variable db",
        "variable dbx (absent)",
        "separator",
        "entry of db that lets the UKI run",
    ]
    assert events[-1].type is EventType.EV_EFI_VARIABLE_AUTHORITY
    content = pcr7.IMAGE_SECURITY_DATABASE.bytes_le
    content += (2).to_bytes(8, "little") + (16 + len(authority.entry.data)).to_bytes(8, "little") + b"d\0b\0"
    content += authority.entry.owner.bytes_le + authority.entry.data
    assert events[-1].digests[Bank.SHA256] == hashlib.sha256(content).digest()


def test_an_entry_that_lets_several_images_run_is_measured_once(
    authority: Authority, other_authority: Authority
) -> None:
    loader = build_uki([(".linux", b"")], product="systemd-boot")
    addon = build_pe([Section(".sdmagic", b"x"), Section(".cmdline", b"debug")])
    both = replace(authority.secure_boot, db=authority.variables["db"] + other_authority.variables["db"])
    events = pcr7.events(
        boot(
            authority.sign(UKI),
            both,
            boot_loader=BootLoader(authority.sign(loader)),
            companions=Companions(addons=(EspFile("a.addon.efi", other_authority.sign(addon)),)),
        ),
        MEASURER,
    )
    assert [event.description for event in events[6:]] == [
        "entry of db that lets the boot loader run",
        "entry of db that lets the addon a.addon.efi run",
    ]


def test_without_secure_boot_no_image_is_asked_for(authority: Authority) -> None:
    disabled = replace(authority.secure_boot, mode=SecureBootMode.DISABLED)
    assert len(pcr7.events(boot(UKI, disabled), MEASURER)) == 6


def test_a_boot_that_firmware_refuses_is_not_predicted(authority: Authority) -> None:
    configuration = BootConfiguration(authority.secure_boot, initrd_systemd=None)
    with pytest.raises(BootRefusedError, match="will not start the UKI"):
        predict(strip_signatures(authority.sign(UKI)), configuration)


def test_only_pcr_7_is_unpredictable_if_dbx_cannot_be_evaluated(authority: Authority) -> None:
    secure_boot = replace(authority.secure_boot, dbx=revoked_certificate())
    prediction = predict(authority.sign(UKI), BootConfiguration(secure_boot, initrd_systemd=None))
    assert isinstance(prediction.pcrs[7], Unpredictable)
    assert prediction.value(4, Bank.SHA256)
