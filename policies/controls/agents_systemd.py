"""Door "agents": parts of systemd and its company that take in users, images and commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.control import Door, Severity, control
from policies.controls._products import Product, find_product, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Facts
    from policies.finding import Finding

_HOMED: Final = Product(
    what="a part of systemd-homed",
    programs=words("systemd-homed systemd-homework homectl"),
    packages=words("systemd-homed"),
    units=words("systemd-homed systemd-homed-activate systemd-homed-firstboot"),
)
_MACHINED: Final = Product(
    what="a manager of machines and containers of systemd",
    programs=words(
        "systemd-machined machinectl systemd-nspawn systemd-vmspawn systemd-nsresourced systemd-mountfsd "
        "systemd-dissect systemd-mountwork systemd-nsresourcework"
    ),
    packages=words("systemd-container"),
    units=words("systemd-machined systemd-nspawn@ systemd-vmspawn@ machines systemd-nsresourced systemd-mountfsd"),
)
_PORTABLED: Final = Product(
    what="a part of portable services",
    programs=words("systemd-portabled portablectl"),
    units=words("systemd-portabled"),
    folders=("/usr/lib/systemd/portable/",),
)
_EXTENSIONS: Final = Product(
    what="a merger of extension images",
    units=words(
        "systemd-sysext systemd-sysext@ systemd-confext systemd-confext@ systemd-sysext-sysroot "
        "systemd-confext-sysroot systemd-sysext-initrd systemd-confext-initrd"
    ),
)
_IMPORT: Final = Product(
    what="a downloader of disk images of systemd",
    programs=words(
        "systemd-importd systemd-import systemd-import-fs systemd-import-generator systemd-pull "
        "systemd-export importctl"
    ),
    units=words("systemd-importd systemd-import@ import@ imports"),
)
_IMDS: Final = Product(
    what="a client of metadata services",
    programs=words("systemd-imdsd systemd-imds systemd-imds-generator ec2-metadata ec2-metadata-mock"),
    packages=words("systemd-imds cloud-guest-utils cloud-utils ec2-utils"),
    units=words("systemd-imdsd@ systemd-imdsd systemd-imds-import systemd-imds-early-network"),
)
_POLKIT: Final = Product(
    what="a program that gives rights to users",
    programs=words("polkitd pkexec pkttyagent pkcheck run0 doas sudo sudo-rs su-rs"),
    packages=words("polkitd pkexec policykit-1 sudo sudo-rs doas opendoas"),
    units=words("polkit"),
)


@control(
    "ZOA-317",
    door=Door.AGENTS,
    severity=Severity.HIGH,
    title="There is no systemd-homed",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_homed(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no systemd-homed, systemd-homework or homectl: by name of program or link,
    package or unit.

    Why it matters: homed takes users, with passwords and keys, from disks and credentials.

    Example: systemd-homed.service is in the root.

    Fix: remove the package systemd-homed, or the files.

    Known limits: a part that was renamed and has no known content is not recognised; masked units do not count.
    """
    yield from find_product(facts, _HOMED)


@control(
    "ZOA-318",
    door=Door.AGENTS,
    severity=Severity.HIGH,
    title="There is no systemd-machined and no nspawn",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_machined(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no systemd-machined, machinectl, nspawn, vmspawn, nsresourced, mountfsd or
    systemd-dissect: by name of program or link, package or unit.

    Why it matters: machinectl shell opens a root shell, also on the host itself; nspawn runs images from writable
    places.

    Example: /usr/bin/machinectl comes with systemd-container.

    Fix: remove the package systemd-container, or the files.

    Known limits: a part that was renamed and has no known content is not recognised; masked units do not count.
    """
    yield from find_product(facts, _MACHINED)


@control(
    "ZOA-319",
    door=Door.AGENTS,
    severity=Severity.HIGH,
    title="There is no systemd-portabled",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_portabled(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no systemd-portabled or portablectl: by name of program or link, package
    or unit, and no profiles.

    Why it matters: it attaches services from images that nobody measured.

    Example: systemd-portabled.service is in the root.

    Fix: remove the files.

    Known limits: a part that was renamed and has no known content is not recognised; masked units do not count.
    """
    yield from find_product(facts, _PORTABLED)


@control(
    "ZOA-320",
    door=Door.AGENTS,
    severity=Severity.CRITICAL,
    title="No extension is merged into the image",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_extensions(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: services and sockets that run systemd-sysext or systemd-confext are absent or masked in root
    and initrd.

    Why it matters: extensions put files over /usr and /etc: programs and units. They are looked for in
    /run/extensions, /var/lib/extensions and, in the initrd, in what the EFI system partition held, all of which is
    outside of the measured image.

    Example: systemd-sysext.socket is wanted by sockets.target.

    Fix: mask systemd-sysext.service, systemd-confext.service and systemd-sysext.socket in root and initrd.

    Known limits: the programs themselves may stay; what root calls by hand is not looked at.
    """
    yield from find_product(facts, _EXTENSIONS)


@control(
    "ZOA-321",
    door=Door.AGENTS,
    severity=Severity.CRITICAL,
    title="Nothing downloads disk images",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_import(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no systemd-importd, systemd-pull, importctl or systemd-import-generator:
    by name of program or link, package or unit.

    Why it matters: systemd.pull= on the command line, or a credential, downloads an image and boots or merges it.

    Example: systemd-import-generator is in the initrd.

    Fix: remove the files.

    Known limits: a part that was renamed and has no known content is not recognised; masked units do not count.
    """
    yield from find_product(facts, _IMPORT)


@control(
    "ZOA-322",
    door=Door.AGENTS,
    severity=Severity.CRITICAL,
    title="Nothing takes configuration from a cloud's metadata service",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_imds(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no systemd-imds, its generator, or ec2-metadata: by name of program or
    link, package or unit.

    Why it matters: systemd-imds makes credentials of what user data says, which users, keys and units can be made of.

    Example: systemd-imds-generator is in the initrd.

    Fix: remove the files.

    Known limits: a part that was renamed and has no known content is not recognised; masked units do not count.
    """
    yield from find_product(facts, _IMDS)


@control(
    "ZOA-323",
    door=Door.AGENTS,
    severity=Severity.HIGH,
    title="Nobody can be given the right to start units",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_polkit(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no polkit, pkexec, run0, sudo or doas: by name of program or link, package
    or unit.

    Why it matters: polkit decides who may start transient units, and so commands, by systemd-run and run0; rules can
    appear in /run.

    Example: /usr/bin/run0 is a link to systemd-run.

    Fix: remove the packages and run0.

    Known limits: systemd-run stays, because without polkit only root can use it.
    """
    yield from find_product(facts, _POLKIT)


CONTROLS = (
    no_homed,
    no_machined,
    no_portabled,
    no_extensions,
    no_import,
    no_imds,
    no_polkit,
)
