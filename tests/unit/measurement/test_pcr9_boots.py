"""PCR 9, 12 and 13 of boots of a Debian kernel (6.12.107, stub 257.13) with everything that becomes part of an initrd.

The values were read from swtpm. They depend on the command line and the initrd alone, so another kernel, other addon
stubs and the boot's own stub are not needed to predict them.
"""

from __future__ import annotations

import pytest

from builder.measurement.configuration import BootConfiguration, Companions, EspFile, SecureBoot, SecureBootMode
from builder.measurement.pcr import Bank
from builder.measurement.predict import predict
from tests.uki_builder import Section, build_pe, build_uki, bzimage

OFF = SecureBoot(SecureBootMode.DISABLED)
LINUX = (".linux", bzimage("6.12.107+deb13-cloud-amd64"))
# White space, a tab and a NUL for the stub to tidy up; a length that is no multiple of 4.
PLAIN = [
    (".osrel", b"ID=test\n"),
    (".cmdline", b" console=ttyS0\tpanic=-1 \n\0"),
    (".initrd", b"070701odd initrd"),
    LINUX,
]
WITHOUT_INITRD = [PLAIN[1], LINUX]
EVERYTHING = [
    (".osrel", b"ID=test\n"),
    (".cmdline", b"console=ttyS0 panic=-1"),
    (".uname", b"6.12.107"),
    (".ucode", b"ucode"),
    (".initrd", b"odd initrd."),
    (".pcrsig", b"{}"),
    (".pcrpkey", b"PEM"),
    LINUX,
    (".profile", b"ID=main\n"),
]


def addon(name: str, *sections: tuple[str, bytes]) -> EspFile:
    return EspFile(name, build_pe([Section(*section) for section in sections]))


COMPANIONS = Companions(
    extra=(
        addon("m.addon.efi", (".cmdline", b"from=addon"), (".initrd", b"addon initrd!"), (".ucode", b"addon ucode")),
        addon("n.addon.efi", (".initrd", b"second"), (".ucode", b"second ucode")),
        EspFile("a.cred", b"secret"),
        EspFile("x.raw", b"sysext.."),
        EspFile("y.confext.raw", b"conf"),
    ),
    credentials=(EspFile("g.cred", b"global"),),
)
ZERO = {Bank.SHA256: "00" * 32, Bank.SHA384: "00" * 48}


@pytest.mark.parametrize(
    ("sections", "companions", "smbios", "shown"),
    [
        pytest.param(
            PLAIN,
            Companions(),
            None,
            {
                9: {
                    Bank.SHA256: "caec32dcbb5ecdf5867caa2d830948c2a205d1bb6216e9aecc1066b9bcc4afbc",
                    Bank.SHA384: "851e2bbb3df849e0dbd50212139fe7255c234c3727d7684c75806205eac244d9"
                    "299c2eb46503677c64c299cb115b0863",
                },
                12: ZERO,
                13: ZERO,
            },
            id="initrd and os-release",
        ),
        pytest.param(
            WITHOUT_INITRD,
            Companions(),
            None,
            {
                9: {
                    Bank.SHA256: "7a2739f6772dcc2ad8471bd6b79e13c347a1001e0f709cf775b5151e6b7e50ad",
                    Bank.SHA384: "18510a8ef02086c81d00980170d8736a33b36bcec94476d8b2420ee91f1e5fc5"
                    "4486f3d8127628954913a1e7f370303a",
                },
                12: ZERO,
                13: ZERO,
            },
            id="no initrd",
        ),
        pytest.param(
            EVERYTHING,
            COMPANIONS,
            "smb=1",
            {
                9: {
                    Bank.SHA256: "f85c139974a46b1120f530d5a8c5bd455594634cb97085a694d5870fa725d0f9",
                    Bank.SHA384: "73446899603136a1a30e8b565c3ac1993181c0c7d218ce48c5257081b6bfa150"
                    "9ba163d69d88184f58a50ad340ea692e",
                },
                12: {
                    Bank.SHA256: "b5ce0a0f4c1ba5f43840d3097dd866bcc9f8eabfa03e6dab3f9af7bf1417417e",
                    Bank.SHA384: "98831bb80bcf68f64446bdaf2821f3016faaabf28c7aacbb87cc4d105ec94ab2"
                    "757453388a751edf2f7b0b484b9c12d8",
                },
                13: {
                    Bank.SHA256: "52ebded4986e5eec4d6d68706da67868f9394823259d79616643ba913fb68c56",
                    Bank.SHA384: "5aaa699259457c5addf7091139dd5ff3afa664f97dde36c3d34af7cf62221e28"
                    "fca6d72d13e69a24673e76e1702733c2",
                },
            },
            id="everything",
        ),
    ],
)
def test_what_the_kernel_measured_is_what_was_predicted(
    sections: list[tuple[str, bytes]],
    companions: Companions,
    smbios: str | None,
    shown: dict[int, dict[Bank, str]],
) -> None:
    configuration = BootConfiguration(OFF, initrd_systemd=257, companions=companions, smbios_command_line=smbios)
    prediction = predict(build_uki(sections), configuration)
    assert {pcr: {bank: prediction.value(pcr, bank).hex() for bank in Bank} for pcr in shown} == shown
