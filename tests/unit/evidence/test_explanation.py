"""Each thing that can happen to a boot, with the words for it: from the log, and from the values alone."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builder.evidence.appraisal import NearestRelease, appraise
from builder.evidence.explanation import Cause
from builder.evidence.policy import AppraisalPolicy
from builder.measurement.events import EventType, utf16
from builder.measurement.pcr7 import GLOBAL_VARIABLE, IMAGE_SECURITY_DATABASE, variable_data
from tests.export_subjects import VARIABLES
from tests.nodes import COMMAND_LINE, Node, event, reference, release

if TYPE_CHECKING:
    from builder.evidence.eventlog import UntrustedEvent

GOOD = Node.of()
RELEASE = release()
IPL, TAG = EventType.EV_IPL, EventType.EV_EVENT_TAG
IMAGE = EventType.EV_EFI_BOOT_SERVICES_APPLICATION
DRIVER_CONFIG, AUTHORITY = EventType.EV_EFI_VARIABLE_DRIVER_CONFIG, EventType.EV_EFI_VARIABLE_AUTHORITY
DEBUG = utf16("systemd.debug_shell")


def explained(node: Node, *, log: bool = True) -> NearestRelease:
    evidence = node.evidence()
    verified = node.verified_log(evidence) if log else None
    result = appraise(evidence, [RELEASE], AppraisalPolicy(), event_log=verified)
    assert result.match is None
    assert result.nearest is not None
    return result.nearest


def causes(nearest: NearestRelease) -> dict[Cause, tuple[int, ...]]:
    return {item.cause: item.pcrs for item in nearest.explanations}


def sentence(node: Node, *, log: bool = True) -> str:
    (only,) = explained(node, log=log).explanations
    return only.text


def tagged(register: int, tag: int, label: bytes, measured: bytes) -> UntrustedEvent:
    return event(register, TAG, struct.pack("<II", tag, len(label)) + label, measured)


def kernel_line(text: str) -> UntrustedEvent:
    return tagged(9, 0x8F3B22ED, b"LOADED_IMAGE::LoadOptions\0", utf16(text))


def test_a_command_line_is_named_with_the_pcr_it_moved() -> None:
    nearest = explained(GOOD.with_events(event(12, IPL, DEBUG)))
    (found,) = nearest.explanations
    assert found.text == "kernel command line was extended with systemd.debug_shell: PCR 12 moved"
    (divergence,) = nearest.divergences
    assert (divergence.pcr, divergence.position, divergence.expected) == (12, 0, None)
    assert divergence.found == "systemd.debug_shell"


def test_a_command_line_that_the_kernel_measured_too_moves_pcr_12_and_9() -> None:
    # The release's kernel measures nothing, so that this event is one too many; it is explained all the same.
    node = GOOD.with_events(event(12, IPL, DEBUG), kernel_line(f"{COMMAND_LINE} systemd.debug_shell"))
    assert sentence(node) == "kernel command line was extended with systemd.debug_shell: PCR 12 and 9 moved"


def test_a_label_that_no_digest_proves_is_no_command_line() -> None:
    node = GOOD.with_events(event(12, IPL, DEBUG, measured=b"something else"))
    nearest = explained(node)
    assert set(causes(nearest)) == {Cause.UNKNOWN}
    assert 'that the log calls "systemd.debug_shell"' in nearest.explanations[0].text


def test_a_command_line_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in sentence(GOOD.with_events(event(12, IPL, utf16("\x1b[2Jquiet"))))


@pytest.mark.parametrize(
    ("added", "cause", "pcr"),
    [
        (event(12, IPL, utf16("Credentials initrd"), b"cpio"), Cause.CREDENTIALS, 12),
        (event(12, IPL, utf16("Configuration extension initrd"), b"cpio"), Cause.EXTENSION, 12),
        (event(13, IPL, utf16("System extension initrd"), b"cpio"), Cause.EXTENSION, 13),
        (tagged(12, 0x13AED6DB, utf16("1"), utf16("1")), Cause.PROFILE, 12),
        (tagged(12, 0x49DFFE0F, b"a", b"cpio"), Cause.INITRD, 12),
    ],
    ids=["credentials", "confext", "sysext", "profile", "initrd addon"],
)
def test_what_is_added_to_a_boot_is_recognised(added: UntrustedEvent, cause: Cause, pcr: int) -> None:
    assert causes(explained(GOOD.with_events(added))) == {cause: (pcr,)}


def test_an_image_more_is_told_from_another_image() -> None:
    (loaded,) = [item for item in GOOD.log.events if item.register == 4 and item.type == IMAGE]
    more = event(4, IMAGE, loaded.data, b"another image")
    assert causes(explained(GOOD.with_events(more))) == {Cause.ADDITIONAL_IMAGE: (4,)}

    swapped = GOOD.edited(lambda item: more if item is loaded else item)
    nearest = explained(swapped)
    assert causes(nearest) == {Cause.OTHER_IMAGE: (4,)}
    assert "in place of the UKI" in nearest.explanations[0].text
    assert nearest.divergences[0].position == 2


def test_a_boot_entry_that_returned_is_recognised() -> None:
    node = GOOD.with_events(
        event(4, EventType.EV_EFI_ACTION, b"Returning from EFI Application from Boot Option"),
        event(4, EventType.EV_EFI_ACTION, b"Calling EFI Application from Boot Option"),
    )
    assert set(causes(explained(node))) == {Cause.BOOT_ENTRY_RETURNED}


def variable(name: str, content: bytes) -> Node:
    """The node with another content of a Secure Boot variable."""
    guid = GLOBAL_VARIABLE if name in {"SecureBoot", "PK", "KEK"} else IMAGE_SECURITY_DATABASE
    named = variable_data(guid, name, b"")[32:]
    data = variable_data(guid, name, content)

    def edit(item: UntrustedEvent) -> UntrustedEvent:
        matches = item.type == DRIVER_CONFIG and item.data[32:].startswith(named) and item.data[24] >= 0
        length = int.from_bytes(item.data[16:24], "little") if matches else 0
        return event(7, DRIVER_CONFIG, data) if matches and length == len(name) else item

    return GOOD.edited(edit)


def test_secure_boot_off_is_named() -> None:
    assert sentence(variable("SecureBoot", b"\0")) == "Secure Boot is off: PCR 7 moved"


@pytest.mark.parametrize("name", ["PK", "KEK", "db", "dbx"])
def test_other_keys_are_named(name: str) -> None:
    other = VARIABLES["KEK" if name != "KEK" else "PK"]
    nearest = explained(variable(name, other))
    assert causes(nearest) == {Cause.SECURE_BOOT_KEYS: (7,)}
    assert f"the Secure Boot variable {name}: " in nearest.explanations[0].text


def test_another_authority_is_named() -> None:
    data = variable_data(IMAGE_SECURITY_DATABASE, "db", VARIABLES["PK"][28:])
    node = GOOD.edited(lambda item: event(7, AUTHORITY, data) if item.type == AUTHORITY else item)
    assert causes(explained(node)) == {Cause.AUTHORITY: (7,)}


def test_another_section_of_the_uki_is_named() -> None:
    sections = [item for item in GOOD.log.events if item.register == 11]
    names = [item.data.decode("utf-16-le").rstrip("\0") for item in sections]
    place = [index for index, name in enumerate(names) if name == ".cmdline"][1]
    changed = event(11, IPL, sections[place].data, b"other=1")
    node = GOOD.edited(lambda item: changed if item is sections[place] else item)
    assert sentence(node) == "UKI section .cmdline not as in the release: PCR 11 moved"


def test_an_early_phase_is_a_refusal_of_its_own() -> None:
    node = replace(GOOD, words=GOOD.words[:1])
    result = appraise(node.evidence(), [RELEASE], AppraisalPolicy())
    assert [item.text for item in result.refusals] == [
        "the boot is at phase enter-initrd, accepted is sysinit or ready"
    ]


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("more", [("shutdown",), ("shutdown", "final"), ("factory-reset",)])
def test_phases_of_a_shutdown_are_recognised_with_and_without_a_log(more: tuple[str, ...], *, log: bool) -> None:
    node = replace(GOOD, words=(*GOOD.words, *more))
    assert sentence(node, log=log) == f"after boot phase ready the node went on to {' and '.join(more)}: PCR 11 moved"


def test_the_os_separator_of_new_initrds_is_recognised() -> None:
    nearest = explained(GOOD.with_events(*(event(pcr, IPL, b"os-separator") for pcr in (4, 7, 9, 12, 13))))
    assert causes(nearest) == {Cause.OS_SEPARATOR: (4, 7, 9, 12, 13)}


@pytest.mark.parametrize(
    ("pcr", "words"),
    [
        (4, "another image"),
        (7, "Secure Boot"),
        (9, "kernel saw"),
        (11, "sections"),
        (12, "parameterised"),
        (13, "system"),
    ],
)
def test_without_a_log_it_is_said_what_the_pcr_has(pcr: int, words: str) -> None:
    text = sentence(GOOD.with_events(event(pcr, IPL, b"something")), log=False)
    assert words in text
    assert f"PCR {pcr} moved" in text


def test_every_pcr_that_differs_is_named_with_both_values() -> None:
    node = GOOD.with_events(*(event(pcr, IPL, b"something") for pcr in (4, 7, 11, 12)))
    result = appraise(node.evidence(), [RELEASE], AppraisalPolicy())
    assert result.nearest is not None
    assert [item.pcr for item in result.nearest.differences] == [4, 7, 11, 12]
    stated = reference().reference_values["enabled"].pcrs["7"].values["sha256"]
    assert any(stated in refusal.text and "PCR 7" in refusal.text for refusal in result.refusals)
