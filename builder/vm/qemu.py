"""The QEMU command line of a measured boot: q35 with SMM-protected variables, a TPM 2.0 and one disk, nothing else.

Every option is stated, so that QEMU's and the distribution's defaults cannot add a device or a boot entry. With a boot
index on the one disk, OVMF drops all other boot options (``OvmfPkg/Library/QemuBootOrderLib``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Debian's Secure Boot build for 4 MiB flash, inside the toolchain tree. It serves the boots without Secure Boot too
# (no keys enrolled): the plain build would boot any image, signed or not, and has no SecureBoot variable to measure.
FIRMWARE_CODE = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"
FIRMWARE_VARIABLES = "usr/share/OVMF/OVMF_VARS_4M.fd"


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a machine has, as far as a caller may choose; sizes in MiB, paths absolute.

    ``network`` adds a card on a user-mode network that reaches nothing outside the machine; ``https_port`` is a port of
    this host's loopback address that leads to port 443 of the machine, and adds the card, too. The card brings no boot
    code and no boot entry, so that no PCR that a release binds depends on it. ``network_log`` gets all packets of the
    card (pcap). ``smbios_strings`` are OEM
    strings (type 11), which systemd reads credentials and the stub a command line from. ``serial_log`` is for
    debugging: production images have no serial console. ``memory_file`` holds the machine's memory, and still does so
    when the machine is gone.
    """

    memory: int = 1024
    cpus: int = 2
    cpu_model: str = "max"
    network: bool = False
    https_port: int | None = None
    network_log: Path | None = None
    smbios_strings: tuple[str, ...] = ()
    extra_disks: tuple[Path, ...] = ()
    serial_log: Path | None = None
    memory_file: Path | None = None


def qemu_argv(hardware: Hardware, *, disk: Path, variables: Path, tpm_fd: int) -> tuple[str, ...]:
    """The command that boots ``disk`` with the (writable) variable store ``variables``.

    ``tpm_fd`` is an inherited socket on which swtpm's control protocol is answered. Disks are opened read-only;
    what the guest writes to ``disk`` goes to a temporary file of QEMU (in TMPDIR), and to extra disks it cannot write.
    """
    # fmt: off
    argv = [
        "qemu-system-x86_64",
        "-no-user-config",
        "-nodefaults",
        "-display", "none",
        "-machine", "q35,smm=on" + ("" if hardware.memory_file is None else ",memory-backend=memory"),
        "-accel", "tcg,thread=multi",
        "-cpu", hardware.cpu_model,
        "-smp", str(hardware.cpus),
        "-m", f"{hardware.memory}M",
        # Only code in System Management Mode may write to the variables, and S3 resume would be a way around it.
        "-global", "driver=cfi.pflash01,property=secure,value=on",
        "-global", "ICH9-LPC.disable_s3=1",
        "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={FIRMWARE_CODE}",
        "-drive", f"if=pflash,unit=1,format=raw,file={_value(variables)}",
        "-chardev", f"socket,id=tpm,fd={tpm_fd}",
        "-tpmdev", "emulator,id=tpm,chardev=tpm",
        "-device", "tpm-crb,tpmdev=tpm",
        *_disk("disk", disk, ",bootindex=0"),
    ]
    # fmt: on
    for number, extra in enumerate(hardware.extra_disks):
        argv += _disk(f"extra{number}", extra, access="readonly=on")
    if hardware.network or hardware.https_port is not None:
        # "restrict" leaves what is forwarded explicitly.
        forward = "" if hardware.https_port is None else f",hostfwd=tcp:127.0.0.1:{hardware.https_port}-:443"
        # An empty romfile: the card brings no boot code, so no boot entry and no measurement of its own.
        argv += ["-netdev", f"user,id=net,restrict=on{forward}", "-device", "virtio-net-pci,netdev=net,romfile="]
        if hardware.network_log is not None:
            argv += ["-object", f"filter-dump,id=packets,netdev=net,file={_value(hardware.network_log)}"]
    for string in hardware.smbios_strings:
        argv += ["-smbios", f"type=11,value={_value(string)}"]
    if hardware.memory_file is not None:
        file = f"memory-backend-file,id=memory,size={hardware.memory}M,share=on,mem-path={_value(hardware.memory_file)}"
        argv += ["-object", file]
    if hardware.serial_log is not None:
        argv += ["-chardev", f"file,id=serial,path={_value(hardware.serial_log)}"]
        argv += ["-device", "isa-serial,chardev=serial"]
    return tuple(argv)


def _disk(name: str, path: Path, options: str = "", access: str = "snapshot=on") -> list[str]:
    # fmt: off
    return [
        "-drive", f"if=none,id={name},format=raw,{access},file={_value(path)}",
        "-device", f"virtio-blk-pci,drive={name}{options}",
    ]
    # fmt: on


def _value(text: object) -> str:
    """An option's value as QEMU's parser wants it: a comma is written twice."""
    return str(text).replace(",", ",,")
