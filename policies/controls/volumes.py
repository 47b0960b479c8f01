"""Door "integrity": what mounts lie over, and who opens encrypted volumes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.controls._arguments import about_argument, arguments, is_on
from policies.controls._tools import is_own_volume
from policies.controls.storage import about_mount, verified_volumes
from policies.finding import about_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import EncryptedVolume, Facts, Mount
    from policies.finding import Finding

# Below /sysroot the initrd sees the root that is to run.
_PROGRAMS: Final = re.compile(r"(?:/sysroot)?/(?:usr|etc|opt|bin|sbin|lib|lib64)(?:/.*)?|(?:/sysroot)?/?")
_SYSROOT: Final = "/sysroot"
_ONE_TIME: Final = frozenset({"/dev/urandom", "/dev/random"})
# What else systemd takes for yes is spelled so by nobody, and asks for a second look.
_HEADLESS: Final = frozenset({None, "yes", "true", "1"})
_ASKS: Final = ("keyscript", "pkcs11-uri", "fido2-device")
# systemd-cryptsetup-generator(8).
_LUKS: Final = re.compile(r"(?:rd\.)?luks(?:\..+)?")


@control(
    "ZOA-741",
    door=Door.INTEGRITY,
    severity=Severity.HIGH,
    title="Nothing is mounted over programs or configuration",
    references=("NIST SP 800-53 SI-7", "NIST SP 800-53 CM-5"),
)
def nothing_over_programs(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no mount unit that is not masked and no line of fstab has a mount point that is /, or is or lies
    below /usr, /etc, /opt, /bin, /sbin or /lib, with or without /sysroot before it, in root and initrd, links of the
    image followed.

    Why it matters: such a mount takes the place of files that verity protects and controls have looked at; the ones on
    a tmpfs can be written by whoever is root.

    Example: tmpfs /etc tmpfs nosuid,nodev,noexec in fstab.

    Fix: mount somewhere else, such as below /run.

    Known limits: mounts for one service (BindPaths= and the like) are the subject of ZOA-423.
    """
    for area in facts.areas:
        for mount in area.configuration.mounts:
            if mount.type != "swap" and _PROGRAMS.fullmatch(_covered(facts, mount)):
                yield about_mount(area, mount, f"covers {_covered(facts, mount)} of the image")


@control(
    "ZOA-742",
    door=Door.INTEGRITY,
    severity=Severity.HIGH,
    title="Encrypted volumes are opened by the TPM alone",
    references=("NIST SP 800-53 SC-28", "NIST SP 800-53 SC-28(1)"),
    parameters=(Parameter("allowed", (), "Names of volumes, as in crypttab, that are opened in another way."),),
)
def volumes_ask_nobody(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: every line of crypttab in root and initrd has tpm2-device= and headless, no tpm2-pin, no
    keyscript, no token (PKCS#11, FIDO2) and no key file; or its key is /dev/urandom, which nobody knows. None has the
    name root or usr, or that of a volume which a unit opens by its root hash. No argument of the command line names a
    volume (luks=, luks.name=, rd.luks.uuid= and the like), but to turn them off.

    Why it matters: a volume that may be opened with a passphrase is opened by whoever knows one, with what he put into
    it; without headless, systemd asks at the console if the TPM does not answer. A key file is in the image for
    everybody to read, or comes from outside. What has the name of a verified volume first is mounted in its place.

    Example: data /dev/vdb none luks.

    Fix: none as the key, and luks,tpm2-device=auto,headless as options.

    Known limits: which PCRs the key is bound to is in the volume's header and not in the image.
    """
    verified = {name for area in facts.areas for name in verified_volumes(area)}
    for area in facts.areas:
        for volume in area.configuration.encrypted_volumes:
            problem = None if volume.name in parameters["allowed"] else _problem(volume)
            if volume.name in verified or not is_own_volume(volume.name):
                problem = "takes the name of a volume that is read through a hash tree, or of no volume"
            if problem is not None:
                value = f"{volume.source} {volume.key} {','.join(volume.options)}"
                yield about_name(area, f"{volume.origin.path}:{volume.name}", problem, (volume.origin, value))
    for placed in arguments(facts):
        is_off = placed.name in {"luks", "rd.luks"} and not is_on(placed.value)
        if _LUKS.fullmatch(placed.name) and not is_off:
            yield about_argument(placed, "opens an encrypted volume")


def _problem(volume: EncryptedVolume) -> str | None:
    options = {
        name: value if equals else None for name, equals, value in (option.partition("=") for option in volume.options)
    }
    if volume.key in _ONE_TIME:
        return None
    if volume.key not in {"-", "none"}:
        return f"is opened with the key file {volume.key}"
    if "tpm2-device" not in options or any(name in options for name in _ASKS):
        return "is opened with something else than the TPM"
    if is_on(options.get("tpm2-pin", "no")):
        return "asks for a PIN"
    return None if options.get("headless", "no") in _HEADLESS else "asks for a passphrase if the TPM does not answer"


def _covered(facts: Facts, mount: Mount) -> str:
    """The mount point; of one below /sysroot that in the root, where the root's links lead."""
    inner = mount.where.removeprefix(f"{_SYSROOT}/")
    return mount.where if inner == mount.where else facts.root.real(f"/{inner}") or mount.where


CONTROLS = (nothing_over_programs, volumes_ask_nobody)
