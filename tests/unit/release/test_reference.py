from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from builder.errors import InvalidInputError, MalformedImageError
from builder.image.uki import read_uki
from builder.measurement.configuration import BootConfiguration, SecureBoot, SecureBootMode
from builder.measurement.pcr import Bank
from builder.measurement.predict import predict
from builder.measurement.prediction import PredictedPcr, Unpredictable
from builder.measurement.report import reference_values
from builder.release.predict import systemd_release
from builder.release.reference import load_variables, measured_identity, stated_pcrs
from builder.release.statements import ReferenceValues
from tests.uki_builder import build_uki, bzimage

if TYPE_CHECKING:
    from pathlib import Path

    from builder.image.uki import Uki

OS_RELEASE = 'NAME="Debian"\nIMAGE_ID="node"\nIMAGE_VERSION="1.0.0"\nVARIANT_ID=production\n'


def uki(os_release: str = OS_RELEASE, command_line: str = "quiet") -> Uki:
    sections = [(".osrel", os_release.encode()), (".cmdline", command_line.encode()), (".linux", bzimage("6.12.1"))]
    return read_uki(memoryview(build_uki([*sections, (".initrd", b"initrd")])))


def stated(release: int | None = 257, kernel: str = "6.12.1") -> tuple[Any, ReferenceValues]:
    """A prediction, and what a release states of it."""
    sections = [(".osrel", b"a"), (".cmdline", b"quiet"), (".linux", bzimage(kernel)), (".initrd", b"initrd")]
    configuration = BootConfiguration(SecureBoot(SecureBootMode.DISABLED), release)
    prediction = predict(build_uki(sections), configuration)
    return prediction, msgspec.convert(reference_values(prediction), ReferenceValues)


@pytest.mark.parametrize("kernel", ["6.12.1", "5.10.0"])
def test_stated_values_come_back_as_they_were_predicted(kernel: str) -> None:
    prediction, values = stated(kernel=kernel)
    found = stated_pcrs(values)
    assert list(found) == list(prediction.pcrs)
    for pcr, entry in prediction.pcrs.items():
        back = found[pcr]
        assert type(back) is type(entry)
        if isinstance(entry, Unpredictable):
            assert back == entry
        else:
            assert isinstance(back, PredictedPcr)
            assert (back.values, back.events, back.phases) == (entry.values, entry.events, entry.phases)


def test_one_of_the_kernels_is_not_predictable() -> None:
    """Else the round trip above would have shown one kind of PCR only."""
    assert isinstance(stated(kernel="5.10.0")[0].pcrs[9], Unpredictable)


def test_a_type_of_event_that_is_not_known_is_refused() -> None:
    document = msgspec.to_builtins(stated()[1])
    document["pcrs"]["4"]["events"][0]["type"] = "EV_UNHEARD_OF"
    expected = r"reference values: PCR 4 has an event of the type 'EV_UNHEARD_OF', which is not known$"
    with pytest.raises(InvalidInputError, match=expected):
        stated_pcrs(msgspec.convert(document, ReferenceValues))


def test_a_value_of_both_banks_has_their_lengths() -> None:
    entry = stated_pcrs(stated()[1])[4]
    assert isinstance(entry, PredictedPcr)
    assert {bank: len(value) for bank, value in entry.values.items()} == {Bank.SHA256: 32, Bank.SHA384: 48}


@pytest.mark.parametrize(
    ("paths", "release"),
    [
        (["/usr/lib/systemd/libsystemd-shared-257.so"], 257),
        (["/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-257.13-1~deb13u1.so"], 257),
        (["/usr/lib64/systemd/libsystemd-shared-258.1-2.fc43.so"], 258),
        (["/usr/lib/systemd/libsystemd-core-257.so", "/init"], None),
        (["/usr/lib/systemd/libsystemd-shared-257.so.1"], None),
        ([], None),
    ],
)
def test_the_release_of_systemd_is_that_of_its_library(paths: list[str], release: int | None) -> None:
    assert systemd_release(paths) == release


def test_two_releases_of_systemd_are_refused() -> None:
    with pytest.raises(MalformedImageError, match="it holds systemd 252 and 257"):
        systemd_release([f"/usr/lib/systemd/libsystemd-shared-{release}.so" for release in (257, 252)])


def test_an_image_says_its_name_version_and_profile_itself() -> None:
    identity = measured_identity(uki(), "x86-64")
    assert (identity.name, identity.version) == ("node", "1.0.0")
    assert (identity.architecture, identity.profile) == ("x86-64", "production")


def test_a_development_image_says_so_twice() -> None:
    text = OS_RELEASE.replace("production", "development")
    assert measured_identity(uki(text, "quiet bedplate.profile=development"), "x86-64").profile == "development"
    with pytest.raises(MalformedImageError, match="os-release says development, the command line production"):
        measured_identity(uki(text), "x86-64")
    with pytest.raises(MalformedImageError, match="os-release says production, the command line development"):
        measured_identity(uki(OS_RELEASE, "bedplate.profile=development"), "x86-64")


@pytest.mark.parametrize(
    "text",
    [
        OS_RELEASE.replace("VARIANT_ID=production\n", ""),
        OS_RELEASE + "VARIANT_ID=development\n",
        OS_RELEASE + '  VARIANT_ID="devel-opment"\n',
        OS_RELEASE.replace("=production", "='production\""),
        OS_RELEASE.replace("=production", "=prod$uction"),
        OS_RELEASE.replace("=production", "="),
    ],
)
def test_a_profile_that_could_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(MalformedImageError, match="it does not name the image's VARIANT_ID as one plain word"):
        measured_identity(uki(text), "x86-64")


def test_variables_of_a_release_may_lack_dbx_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "secure-boot").mkdir()
    for name in ("PK", "KEK", "db"):
        (tmp_path / f"secure-boot/{name}.esl").write_bytes(name.encode())
    assert load_variables(tmp_path) == {"PK": b"PK", "KEK": b"KEK", "db": b"db", "dbx": b""}
    (tmp_path / "secure-boot/db.esl").unlink()
    with pytest.raises(InvalidInputError, match=r"cannot read signature list .*db.esl"):
        load_variables(tmp_path)
