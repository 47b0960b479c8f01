"""The formats that are JSON: nitrotpm, keylime, trustee, pcrlock, and all of them against their golden output."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import cbor2
import pytest

from builder.errors import InvalidInputError, UnpredictableError
from builder.export import corim, keylime, kms, nitrotpm, pcrlock, trustee
from builder.export.formats import FORMATS
from builder.measurement import report
from builder.measurement.configuration import BootConfiguration, KernelMeasurement
from builder.measurement.pcr import Bank
from builder.measurement.predict import predict
from builder.measurement.prediction import Unpredictable
from signing.esl import parse_signature_lists
from tests.export_subjects import ENROLLED, VARIABLES, secured, shown, tiny_uki, unsecured, with_kernel, with_version

GOLDEN = Path(__file__).parents[2] / "golden" / "export"
ROLE = "arn:aws:iam::111122223333:role/node"


@pytest.mark.parametrize("name", ["nitrotpm", "keylime", "keylime-mb", "pcrlock", "trustee", "trustee-corim", "tcg"])
def test_the_output_is_the_golden_one(name: str) -> None:
    written = FORMATS[name].render([secured()])
    data = written.encode() + b"\n" if isinstance(written, str) else written
    assert data == (GOLDEN / name).read_bytes()


def test_every_format_of_the_table_has_a_golden_output() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {*FORMATS, "kms-policy"}


@pytest.mark.parametrize("name", [name for name, kind in FORMATS.items() if not kind.several])
def test_a_format_of_one_release_refuses_two(name: str) -> None:
    with pytest.raises(InvalidInputError, match="takes one release, 2 are given"):
        FORMATS[name].render([secured(), unsecured()])


@pytest.mark.parametrize("name", [name for name, kind in FORMATS.items() if kind.several])
def test_a_format_of_many_releases_refuses_none(name: str) -> None:
    with pytest.raises(InvalidInputError, match="at least one release"):
        FORMATS[name].render([])


def test_nitrotpm_is_byte_for_byte_what_measure_prints() -> None:
    configuration = BootConfiguration(ENROLLED, None, kernel=KernelMeasurement.NOTHING)
    assert nitrotpm.export(secured()) == report.nitrotpm(predict(tiny_uki("tsb257"), configuration))


def test_nitrotpm_has_no_value_for_what_cannot_be_predicted() -> None:
    subject = secured()
    with pytest.raises(UnpredictableError, match="PCR 7 cannot be predicted: why"):
        nitrotpm.export(replace(subject, pcrs={**subject.pcrs, 7: Unpredictable(7, "why")}))


def test_a_key_policy_binds_image_secure_boot_and_command_line() -> None:
    (statement,) = json.loads(kms.export([secured()], [ROLE]))["Statement"]
    real = shown("tsb257", "sha384")
    assert statement["Condition"] == {
        "StringEqualsIgnoreCase": {f"kms:RecipientAttestation:NitroTPMPCR{pcr}": real[pcr] for pcr in (4, 7, 12)}
    }


def test_without_secure_boot_a_key_policy_leaves_pcr_7_out() -> None:
    (statement,) = json.loads(kms.export([unsecured()], [ROLE]))["Statement"]
    assert [key[-2:] for key in statement["Condition"]["StringEqualsIgnoreCase"]] == ["R4", "12"]


def test_a_rollout_lists_the_old_and_the_new_image_in_one_statement() -> None:
    old, new = unsecured(), replace(with_kernel(), image=with_version(unsecured(), "2.0.0").image)
    (statement,) = json.loads(kms.export([old, new], [ROLE]))["Statement"]
    assert statement["Condition"]["StringEqualsIgnoreCase"] == {
        "kms:RecipientAttestation:NitroTPMPCR4": [subject.value(4, Bank.SHA384).hex() for subject in (old, new)],
        "kms:RecipientAttestation:NitroTPMPCR12": "0" * 96,
    }


def test_releases_with_other_secure_boot_keys_never_share_a_statement() -> None:
    other = secured()
    pcr = other.predicted[7]
    rotated = replace(
        other, pcrs={**other.pcrs, 7: replace(pcr, values={bank: bytes([1]) * bank.size for bank in Bank})}
    )
    statements = json.loads(kms.export([secured(), rotated], [ROLE]))["Statement"]
    assert [statement["Sid"] for statement in statements] == ["MeasuredBoot1", "MeasuredBoot2"]


@pytest.mark.parametrize(
    "principal", ["*", "arn:aws:iam::111122223333:role/*", "111122223333", "", "arn:aws:iam::1:root"]
)
def test_a_principal_that_is_not_one_identity_is_refused(principal: str) -> None:
    with pytest.raises(InvalidInputError, match="is not the ARN of one user or role"):
        kms.export([secured()], [principal])


def test_a_key_policy_needs_a_release_and_a_principal() -> None:
    for subjects, principals in (([], [ROLE]), ([secured()], [])):
        with pytest.raises(InvalidInputError, match="at least one release and one principal"):
            kms.export(subjects, principals)


def test_the_golden_key_policy() -> None:
    written = kms.export([secured(), unsecured()], [ROLE, "arn:aws:iam::111122223333:user/ops"])
    assert f"{written}\n" == (GOLDEN / "kms-policy").read_text()


def test_a_tpm_policy_is_one_that_keylime_reads() -> None:
    policy = json.loads(keylime.export_tpm_policy([secured(), unsecured()]))
    # readPolicy of Keylime: keys are PCR numbers, no mask (it adds its own), not PCR 10 (IMA) nor 16 (data).
    assert all(key.isdigit() and int(key) <= 24 and int(key) not in {10, 16} for key in policy)
    assert policy["4"] == [
        subject.value(4, bank).hex() for subject in (secured(), unsecured()) for bank in (Bank.SHA256, Bank.SHA384)
    ]
    assert policy["12"] == ["0" * 64, "0" * 96]


def test_a_measured_boot_state_has_the_enrolled_keys_and_refuses_for_the_rest() -> None:
    state = json.loads(keylime.export_measured_boot([secured()]))
    (entry,) = parse_signature_lists(VARIABLES["PK"])[0].entries
    assert state["has_secureboot"] is True
    assert state["pk"] == [{"SignatureOwner": str(entry.owner), "SignatureData": f"0x{entry.data.hex()}"}]
    assert state["kernels"] == state["scrtm_and_bios"] == []
    real = shown("tsb257", "sha256")
    (uki,) = state["ukis"]
    assert len(uki["authcode_sha256"]) == 1
    assert real[4] not in uki["authcode_sha256"][0]


def test_a_measured_boot_state_has_one_set_of_keys() -> None:
    with pytest.raises(InvalidInputError, match="one set of Secure Boot keys"):
        keylime.export_measured_boot([secured(), unsecured()])


def test_pcrlock_has_what_the_uki_measures_and_nothing_of_firmware_or_user_space() -> None:
    records = json.loads(pcrlock.export(with_kernel()))["records"]
    assert [record["pcr"] for record in records] == [4, *[11] * 10, 4, 9, 9]
    assert {digest["hashAlg"] for record in records for digest in record["digests"]} == {"sha256", "sha384"}


def test_pcrlock_refuses_a_release_without_events_of_the_uki() -> None:
    with pytest.raises(InvalidInputError, match="no event of the UKI"):
        pcrlock.export(replace(secured(), pcrs={}))


def test_a_sample_message_is_what_trustee_asks_for() -> None:
    message = json.loads(trustee.export_sample([secured(), unsecured()]))
    assert (message["version"], message["type"]) == ("0.1.0", "sample")
    values = json.loads(base64.b64decode(message["payload"], validate=True))
    assert values["tpm_pcr4"] == [subject.value(4, Bank.SHA256).hex() for subject in (secured(), unsecured())]
    assert values["tpm_pcr11"] == [secured().value(11, Bank.SHA256).hex()]  # one UKI, signed and not: said once
    assert values["tpm_pcr12"] == ["0" * 64]


def test_a_corim_message_carries_an_unsigned_corim() -> None:
    message = json.loads(trustee.export_corim([secured()]))
    payload = base64.b64decode(message["payload"], validate=True)
    assert (message["type"], payload) == ("corim", corim.unsigned([secured()]))
    assert cbor2.loads(payload).tag == 501
