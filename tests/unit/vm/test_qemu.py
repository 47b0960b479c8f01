from __future__ import annotations

from pathlib import Path

import pytest

from builder.vm.qemu import Hardware, qemu_argv
from builder.vm.swtpm import setup_argv, socket_argv

GOLDEN = Path(__file__).parents[2] / "golden/argv"

FULL = Hardware(
    memory=4096,
    cpus=4,
    cpu_model="Haswell",
    network=True,
    https_port=8443,
    network_log=Path("/scratch/pack,ets"),
    smbios_strings=("io.systemd.stub.kernel-cmdline-extra=a,b", "second"),
    extra_disks=(Path("/images/data.raw"),),
    serial_log=Path("/scratch/serial.log"),
    memory_file=Path("/scratch/mem,ory"),
)
COMMANDS = {
    "qemu-default": qemu_argv(Hardware(), disk=Path("/images/a.raw"), variables=Path("/scratch/vars.fd"), tpm_fd=7),
    "qemu-full": qemu_argv(FULL, disk=Path("/images/a,b.raw"), variables=Path("/scratch/vars.fd"), tpm_fd=7),
    "swtpm-setup": setup_argv(Path("/scratch/tpm")),
    "swtpm-socket": socket_argv(Path("/scratch/tpm"), 7, Path("/scratch/swtpm.log")),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_line_is_the_golden_one(name: str) -> None:
    golden = (GOLDEN / f"{name}.txt").read_text().splitlines()
    assert list(COMMANDS[name]) == golden
