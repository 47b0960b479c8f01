"""PCR 11 against systemd-measure: of systemd 257 in the toolchain, and of the host (252 on Debian 12)."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.image.uki import read_uki
from builder.measurement.configuration import BootConfiguration, SecureBoot, SecureBootMode
from builder.measurement.pcr import Bank
from builder.measurement.phases import Phase
from builder.measurement.predict import predict
from builder.process import run
from tests.uki_builder import Section, append_sections, build_pe, build_uki, tiny_kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from builder.mkosi.toolchain import Toolchain

    Measure = Callable[[Mapping[str, bytes]], dict[str, dict[str, str]]]

pytestmark = pytest.mark.oracle

TOOL = "systemd-measure"
OF_252 = ("osrel", "cmdline", "initrd", "splash", "dtb", "pcrpkey")
# Without "hwids": the tool of 257 has no option for .dtbauto, and so takes --hwids for that section, which stands one
# place earlier in its list. The stub measures .hwids under its own name.
OF_257 = (*OF_252, "ucode", "uname", "sbat", "profile")
CONFIGURATION = BootConfiguration(SecureBoot(SecureBootMode.UNSUPPORTED), initrd_systemd=None)
PHASES = {
    phase: ":".join(other.value for other in list(Phase)[1 : index + 1] if other.value)
    for index, phase in enumerate(Phase)
}
contents = st.binary(min_size=1, max_size=2000)
examples = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def payload(names: Sequence[str]) -> st.SearchStrategy[dict[str, bytes]]:
    kernels = contents.map(lambda content: build_pe([Section(".text", content)]))
    return st.fixed_dictionaries({"linux": kernels}, optional=dict.fromkeys(names, contents))


def measure(
    command: Callable[[Sequence[str], Path], Sequence[str]], sections: Mapping[str, bytes]
) -> dict[str, dict[str, str]]:
    """What the tool calculates: phase -> bank -> value."""
    with tempfile.TemporaryDirectory() as name:
        for section, content in sections.items():
            Path(name, section).write_bytes(content)
        argv = [
            "calculate",
            "--json=short",
            *(f"--bank={bank.value}" for bank in Bank),
            *(f"--phase={path or ':'}" for path in PHASES.values()),
            *(f"--{section}={name}/{section}" for section in sections),
        ]
        answer = json.loads(run(command(argv, Path(name)), timeout=60).stdout)
    return {
        path: {
            bank: next(entry["hash"] for entry in entries if entry.get("phase", "") == path)
            for bank, entries in answer.items()
        }
        for path in PHASES.values()
    }


def predicted(uki: bytes, profile: int = 0) -> dict[str, dict[str, str]]:
    configuration = BootConfiguration(CONFIGURATION.secure_boot, initrd_systemd=None, profile=profile)
    phases = predict(uki, configuration).predicted(11).phases
    return {
        PHASES[phase]: {bank.value: value.hex() for bank, value in values.items()} for phase, values in phases.items()
    }


@pytest.fixture(scope="module")
def measure_257(toolchain: Toolchain) -> Measure:
    def command(argv: Sequence[str], folder: Path) -> Sequence[str]:
        return toolchain.command([f"/usr/lib/systemd/{TOOL}", *argv], readable=[folder])

    return lambda sections: measure(command, sections)


@pytest.fixture(scope="module")
def measure_of_host() -> Measure:
    tool = next((path for path in (Path("/usr/lib/systemd", TOOL), Path("/lib/systemd", TOOL)) if path.exists()), None)
    if tool is None:
        if os.environ.get("CI"):
            pytest.fail(f"the host has no {TOOL}")
        pytest.skip(f"the host has no {TOOL}")
    return lambda sections: measure(lambda argv, _: [str(tool), *argv], sections)


@examples
@given(sections=payload(OF_257), order=st.randoms(use_true_random=False))
def test_the_toolchains_tool_agrees(measure_257: Measure, sections: dict[str, bytes], order: object) -> None:
    pairs = [(f".{name}", content) for name, content in sections.items()]
    order.shuffle(pairs)  # type: ignore[attr-defined]
    # A first .profile ends the base sections: in front of it, order makes no difference.
    pairs.sort(key=lambda pair: pair[0] == ".profile")
    assert predicted(build_uki(pairs)) == measure_257(sections)


@examples
@given(sections=payload(OF_252))
def test_the_hosts_tool_agrees(measure_of_host: Measure, sections: dict[str, bytes]) -> None:
    pairs = [(f".{name}", content) for name, content in sections.items()]
    assert predicted(build_uki(pairs, version="252.39-1~deb12u2")) == measure_of_host(sections)


@examples
@given(sections=payload(tuple(name for name in OF_257 if name not in {"sbat", "profile"})), zeros=st.integers(0, 5000))
def test_a_uki_on_the_toolchains_stub_agrees(
    toolchain: Toolchain, measure_257: Measure, sections: dict[str, bytes], zeros: int
) -> None:
    stub = (toolchain.tree / "usr/lib/systemd/boot/efi/linuxx64.efi.stub").read_bytes()
    sbat = re.search(rb"sbat,1,SBAT Version[^\0]*", stub)
    assert sbat is not None
    # VirtualSize decides what is measured: zeros follow where the file has fewer bytes.
    added = [
        Section(f".{name}", content, len(content) + zeros if name == "initrd" else None)
        for name, content in sections.items()
    ]
    uki = append_sections(stub, added)
    in_memory = {name: content + bytes(zeros if name == "initrd" else 0) for name, content in sections.items()}
    sbat_size = next(section.virtual_size for section in read_uki(uki).pe.sections if section.name == ".sbat")
    in_memory["sbat"] = sbat[0].ljust(sbat_size, b"\0")
    assert predicted(uki) == measure_257(in_memory)


def test_a_uki_that_ukify_built_agrees(toolchain: Toolchain, measure_257: Measure, tmp_path: Path) -> None:
    (tmp_path / "linux").write_bytes(tiny_kernel())
    (tmp_path / "initrd").write_bytes(b"initrd" * 1000)
    target = tmp_path / "test.efi"
    # fmt: off
    argv = [
        "/usr/bin/ukify", "build",
        "--stub=/usr/lib/systemd/boot/efi/linuxx64.efi.stub",
        f"--linux={tmp_path}/linux", f"--initrd={tmp_path}/initrd",
        "--cmdline=quiet root=/dev/vda", "--os-release=ID=test\n", "--uname=6.12.1",
        f"--output={target}",
    ]
    # fmt: on
    run(toolchain.command(argv, writable=[tmp_path]), timeout=60)
    uki = target.read_bytes()
    sections = {section.name[1:]: bytes(section.content) for section in read_uki(uki).sections()}
    assert sections.keys() == {"linux", "osrel", "cmdline", "initrd", "uname", "sbat"}
    assert sections["initrd"] == b"initrd" * 1000
    assert predicted(uki) == measure_257(sections)
