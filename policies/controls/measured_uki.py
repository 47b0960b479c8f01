"""Door "measured boot": what firmware starts is one signed file, and all that it uses is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.effective import about_profile, profiles
from policies.finding import Evidence, Finding, about_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Facts, Uki

# docs/decisions/0018: what these measure is known and was compared with systemd-measure.
_STUBS: Final = range(252, 263)
_NEEDED: Final = (".linux", ".osrel", ".cmdline", ".initrd", ".uname", ".sbat")
# What describes or changes the machine itself (UAPI group, "Unified Kernel Image").
_HARDWARE: Final = frozenset({".dtb", ".dtbauto", ".hwids", ".efifw"})
_NAMES: Final = ("IMAGE_ID", "IMAGE_VERSION", "VARIANT_ID")
_BUILT_IN: Final = ("CONFIG_CMDLINE", "CONFIG_INITRAMFS_SOURCE", "CONFIG_BOOT_CONFIG_EMBED_FILE")
_PROFILE_ARGUMENT: Final = "bedplate.profile"
_ESP_MESSAGES: Final = {
    "program": "is a second program that firmware can start",
    "addon": "is taken in by the stub and adds to the command line or initrd",
    "credential": "is taken in by the stub and hands credentials or extensions to systemd",
    "loader": "configures a boot loader",
    "other": "is neither measured nor needed",
}


@control(
    "ZOA-901",
    door=Door.MEASURED_BOOT,
    severity=Severity.CRITICAL,
    title="The EFI system partition holds the UKI and nothing else",
    references=("NIST SP 800-53 SI-7(9)", "NIST SP 800-53 CM-7(5)"),
    needs=("uki",),
)
def esp_holds_the_uki_only(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: there is no file besides the UKI: no second program, boot loader, addon, credential, extension,
    loader entry, key to enroll, nor anything else.

    Why it matters: the stub takes in addons, credentials and extensions that lie beside the UKI, and firmware or a
    boot loader can start another program. All of it is outside the measured set.

    Example: /EFI/BOOT/BOOTX64.EFI.extra.d/debug.addon.efi adds systemd.debug_shell.

    Fix: CopyFiles= only the UKI into the partition.

    Known limits: what a host puts there before the boot is not in the image; PCR 4, 12 and 13 show it.
    """
    for file in facts.esp_files:
        evidence = Evidence(
            source="esp", path=file.path, value=str(file.command_line.text if file.command_line else "")
        )
        yield Finding(subject=f"esp:{file.path}", message=_ESP_MESSAGES[file.role], evidence=(evidence,))


@control(
    "ZOA-902",
    door=Door.MEASURED_BOOT,
    severity=Severity.HIGH,
    title="The UKI is signed",
    references=("NIST SP 800-53 CM-14", "NIST SP 800-53 SI-7(15)"),
    needs=("uki",),
    stage="signed",
)
def uki_is_signed(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: the UKI has an Authenticode signature.

    Why it matters: with Secure Boot on, firmware starts nothing else, and the stub ignores a command line from outside
    and unsigned addons. Without it PCR 12 is open to whoever configures the firmware.

    Example: a build whose `bedplate sign` was left out.

    Fix: sign the UKI.

    Known limits: who signed, and whether the machine has Secure Boot on, is not known here; PCR 7 shows it.
    """
    if facts.uki is not None and not facts.uki.signed:
        yield _about(facts.uki, "signature", "has no signature", "unsigned")


@control(
    "ZOA-903",
    door=Door.MEASURED_BOOT,
    severity=Severity.HIGH,
    title="The UKI's stub is one whose measurements are known",
    references=("NIST SP 800-53 SI-7(9)",),
    needs=("uki",),
)
def stub_is_known(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: the stub is systemd-stub of a release from 252 to 262.

    Why it matters: an older stub measures less, and what a newer one takes in or measures was not compared with the
    reference values yet.

    Example: 250, which does not measure the command line on its own.

    Fix: take the stub of a supported systemd.

    Known limits: the stub's own code is not compared with the distribution's; PCR 4 covers it.
    """
    if facts.uki is not None and facts.uki.stub_release not in _STUBS:
        message = f"is of a release whose measurements are not known: {facts.uki.stub_release}"
        yield _about(facts.uki, "stub", message, facts.uki.stub_version)


@control(
    "ZOA-904",
    door=Door.MEASURED_BOOT,
    severity=Severity.CRITICAL,
    title="Every profile of the UKI brings all its sections, command line included",
    references=("NIST SP 800-53 SI-7(9)",),
    needs=("uki",),
)
def sections_are_complete(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: each profile has .linux, .osrel, .cmdline with at least one argument, .initrd, .uname and .sbat.

    Why it matters: a stub whose UKI has no .cmdline takes the command line from the firmware's boot entry, and without
    .initrd nothing opens verity; without .osrel and .uname nobody can tell what was measured, and without .sbat a
    broken version cannot be revoked.

    Example: a UKI made for a boot loader that brings the command line in its entries.

    Fix: have mkosi or ukify put all of them in.

    Known limits: the stub of some releases takes an addition to the command line from SMBIOS (type 11,
    io.systemd.stub.kernel-cmdline-extra); Secure Boot and confidential machines close it, and PCR 12 shows it.
    """
    for profile in profiles(facts):
        present = {section.name for section in profile.sections}
        for name in _NEEDED:
            if name not in present:
                yield about_profile(profile, name, "is not there", name)
        if ".cmdline" in present and not (profile.command_line and profile.command_line.arguments):
            yield about_profile(profile, ".cmdline", "is empty")


@control(
    "ZOA-905",
    door=Door.MEASURED_BOOT,
    severity=Severity.HIGH,
    title="The UKI has one profile, or those that the pack names",
    references=("NIST SP 800-53 CM-7",),
    parameters=(Parameter("allowed", (), "IDs of further profiles that the image may have."),),
    needs=("uki",),
)
def no_other_profile(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: the UKI has no profile but the first, unless the parameter "allowed" has its ID.

    Why it matters: a profile is another command line or initrd in the same signed file, and whoever writes the boot
    entry chooses it.

    Example: a profile "debug" with systemd.debug_shell.

    Fix: build a UKI with one profile.

    Known limits: the other controls look at every profile, those that are allowed too.
    """
    for profile in profiles(facts):
        if profile.number != 0 and (profile.id or "") not in parameters["allowed"]:
            message = "is a profile that whoever writes the boot entry can choose"
            yield about_profile(profile, profile.id or "no ID", message, ".profile")


@control(
    "ZOA-906",
    door=Door.MEASURED_BOOT,
    severity=Severity.HIGH,
    title="UKI, root and initrd say that they are the same image",
    references=("NIST SP 800-53 CM-8",),
    needs=("uki", "initrd"),
)
def names_agree(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: the .osrel section of each profile is the root's os-release, and IMAGE_ID, IMAGE_VERSION and
    VARIANT_ID, which must be there, are the same in the initrd's.

    Why it matters: the .osrel section is measured and is what a verifier sees; if the root calls itself something else,
    the measurement says nothing about it.

    Example: the root says VARIANT_ID=development, the UKI was made before that.

    Fix: write os-release before the UKI and the initrd are made.

    Known limits: none known.
    """
    root = facts.root.os_release
    for profile in profiles(facts):
        for key in sorted(root.keys() | profile.os_release.keys()):
            if root.get(key) != profile.os_release.get(key):
                value = f"{key}={profile.os_release.get(key)}, in the root {root.get(key)}"
                evidence = Evidence(source="uki", path=f".osrel of profile {profile.number}", value=value)
                message = "is not what the root's os-release says"
                yield Finding(subject=f"uki:{profile.number}:{key}", message=message, evidence=(evidence,))
    for key in _NAMES:
        if not root.get(key):
            evidence = Evidence(source="root", path="/usr/lib/os-release", value=f"no {key}")
            yield Finding(subject=f"root:{key}", message="is not in os-release", evidence=(evidence,))
        elif facts.initrd is not None and facts.initrd.os_release.get(key) != root.get(key):
            value = f"{key}={facts.initrd.os_release.get(key)}, in the root {root.get(key)}"
            evidence = Evidence(source="initrd", path="/usr/lib/os-release", value=value)
            yield Finding(subject=f"initrd:{key}", message="is not what the root says", evidence=(evidence,))


@control(
    "ZOA-907",
    door=Door.MEASURED_BOOT,
    severity=Severity.MEDIUM,
    title="UKI, root and initrd are of the same kernel",
    references=("NIST SP 800-53 CM-8",),
    needs=("uki", "initrd"),
)
def kernels_agree(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: the .uname section of each profile is the only release of which root and initrd have modules.

    Why it matters: modules of another kernel cannot be loaded, and those that protect (dm-verity, the TPM's) are then
    missing; a second kernel's modules mean that a second kernel was there.

    Example: a kernel was updated after the initrd had been made.

    Fix: build the image again.

    Known limits: the version in the kernel itself is not compared with .uname.
    """
    for profile in profiles(facts):
        for area in facts.areas:
            for release in area.kernel.releases or ("no modules",):
                if release != profile.kernel_release:
                    path = f"/usr/lib/modules/{release}"
                    evidence = Evidence(source=area.name, path=path, value=f".uname is {profile.kernel_release}")
                    message = f"is not of the kernel of profile {profile.number}"
                    subject = f"{area.name}:{release}:{profile.number}"
                    yield Finding(subject=subject, message=message, evidence=(evidence,))


@control(
    "ZOA-908",
    door=Door.MEASURED_BOOT,
    severity=Severity.CRITICAL,
    title="The marks of a development image agree",
    references=("NIST SP 800-53 CM-2",),
    needs=("uki",),
)
def marks_agree(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: VARIANT_ID of the image is "production" or "development", and each profile of the UKI has
    bedplate.profile=development on its command line exactly if it is development, and no other value of it.

    Why it matters: a development image may have a console. PCR 11 and 12 of a machine must not let it pass for one of
    production.

    Example: VARIANT_ID=production, and bedplate.profile=development is still on the command line.

    Fix: set profile: in the definition and build again, nothing by hand.

    Known limits: none known.
    """
    mark = facts.identity.profile
    if facts.uki is not None and mark not in {"production", "development"}:
        message = f"is neither production nor development: {mark}"
        yield _about(facts.uki, "VARIANT_ID", message, f"VARIANT_ID={mark}")
    expected = ["development"] if mark == "development" else []
    for profile in profiles(facts):
        found = profile.command_line.all(_PROFILE_ARGUMENT) if profile.command_line else ()
        if [argument.value for argument in found] != expected:
            message = f"does not agree with VARIANT_ID={mark}"
            yield about_profile(profile, _PROFILE_ARGUMENT, message)


@control(
    "ZOA-909",
    door=Door.MEASURED_BOOT,
    severity=Severity.CRITICAL,
    title="The image is one for production",
    references=("NIST SP 800-53 CM-2",),
    needs=("uki",),
)
def image_is_for_production(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: VARIANT_ID in the measured .osrel section is "production".

    Why it matters: images for development may open a console, by intention.

    Example: profile: development in the definition of an image that goes to customers.

    Fix: profile: production, or check the image with the pack "development".

    Known limits: the mark is the image's own word; the other controls look at what it holds.
    """
    if facts.uki is not None and facts.identity.profile != "production":
        yield _about(facts.uki, "VARIANT_ID", "is not production", f"VARIANT_ID={facts.identity.profile}")


def _about(uki: Uki, name: str, message: str, value: str) -> Finding:
    evidence = Evidence(source="esp", path=uki.path, value=value)
    return Finding(subject=f"uki:{name}", message=message, evidence=(evidence,))


@control(
    "ZOA-922",
    door=Door.MEASURED_BOOT,
    severity=Severity.HIGH,
    title="The kernel brings no arguments and no files of its own",
    references=("NIST SP 800-53 CM-6",),
)
def nothing_is_built_in(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: where root or initrd has the kernel's configuration, it has no command line (CONFIG_CMDLINE), no
    initrd (CONFIG_INITRAMFS_SOURCE) and no boot configuration (CONFIG_BOOT_CONFIG_EMBED_FILE) that is built in.

    Why it matters: the kernel adds what is built in to what it is given; no control that reads the command line or the
    initrd of the image sees it.

    Example: CONFIG_CMDLINE="systemd.debug_shell".

    Fix: take a kernel without, and put arguments on the measured command line.

    Known limits: most images do not have the configuration, and then nothing is checked; the kernel itself is not
    searched.
    """
    for area in facts.areas:
        for name in _BUILT_IN:
            value = (area.kernel.configuration or {}).get(name)
            if value:
                evidence = (str(area.kernel.configuration_path), f"{name}={value}")
                yield about_name(area, name, "is built into the kernel", evidence)


@control(
    "ZOA-923",
    door=Door.MEASURED_BOOT,
    severity=Severity.HIGH,
    title="The UKI brings no device tree and no firmware",
    references=("NIST SP 800-53 CM-7",),
    parameters=(Parameter("allowed", (), 'Sections that the image needs, such as ".dtb".'),),
    needs=("uki",),
)
def no_hardware_section(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no profile of the UKI has a section .dtb, .dtbauto, .hwids or .efifw, but those in the parameter
    "allowed".

    Why it matters: a device tree tells the kernel which devices there are, names a console and adds arguments
    (/chosen); firmware runs before the kernel. No other control looks into them.

    Example: a .dtb section whose /chosen has stdout-path and bootargs.

    Fix: build the UKI without Devicetree= and firmware.

    Known limits: what is in a section that is allowed is not looked at.
    """
    for profile in profiles(facts):
        for section in profile.sections:
            if section.name in _HARDWARE and section.name not in parameters["allowed"]:
                message = "describes or changes the machine, and no control looks into it"
                yield about_profile(profile, section.name, message, section.name)


CONTROLS = (
    esp_holds_the_uki_only, uki_is_signed, stub_is_known, sections_are_complete, no_other_profile, names_agree,
    kernels_agree, marks_agree, image_is_for_production, nothing_is_built_in, no_hardware_section,
)  # fmt: skip
