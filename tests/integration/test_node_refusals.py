"""Machines that run something else than the release, each booted whole: no client sends them one byte of a prompt.

Two boots. In each of them the same machine is asked under policies that forgive all but one thing, so that each thing
alone is what the prompt is held back for; and where everything is forgiven, the prompt is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builder.definition.model import Profile
from builder.evidence.policy import AppraisalPolicy
from builder.measurement.configuration import SecureBootMode
from builder.measurement.phases import Phase
from builder.progress import Silent
from builder.release.keyring import RELEASE_PUBLIC_KEY, generate_keyring, load_keyring, load_trusted
from builder.release.sign import sign_build
from builder.vm.boot import boot
from builder.vm.observation import Outcome
from builder.vm.qemu import Hardware
from signing.keys import Algorithm
from tests.front_door import Attempt, attempt, enrolled, first_evidence, free_port, reference_of, secure_boot_of
from tests.releases import NAMES, variant

if TYPE_CHECKING:
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain
    from builder.release.trusted import TrustedReference
    from builder.vm.varstore import SecureBootVariables

pytestmark = [pytest.mark.boot, pytest.mark.integration]

BOOT_SECONDS = 900.0
ANY_SECURE_BOOT = frozenset(SecureBootMode)
DEBUG = "systemd.debug_shell"


def ask_booted(
    toolchain: Toolchain,
    disk: Path,
    secure_boot: SecureBootVariables | None,
    folder: Path,
    prompts: dict[str, tuple[TrustedReference, AppraisalPolicy]],
    *smbios_strings: str,
) -> dict[str, Attempt]:
    """Boot a machine, and have each prompt answered by whoever runs the release that it is for."""
    port, attempts = free_port(), dict[str, Attempt]()

    def visit() -> None:
        (any_release, _), *_ = prompts.values()
        grounds = enrolled(first_evidence(f"https://127.0.0.1:{port}", any_release))
        attempts.update({name: attempt(port, release, grounds, policy) for name, (release, policy) in prompts.items()})

    observed = boot(
        toolchain,
        disk,
        secure_boot=secure_boot,
        until=Phase.READY,
        timeout=BOOT_SECONDS,
        workdir=folder,
        hardware=Hardware(https_port=port, smbios_strings=smbios_strings),
        visit=visit,
    )
    assert observed.outcome is Outcome.REACHED
    return attempts


@pytest.fixture(scope="module")
def reference(release: Path, keyring: Path) -> TrustedReference:
    return reference_of(release, load_trusted(keyring / RELEASE_PUBLIC_KEY))


@pytest.fixture(scope="module")
def development(
    built: Path, reference: TrustedReference, toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Attempt]:
    """A development image, on a machine whose Secure Boot is off."""
    folder = tmp_path_factory.mktemp("development")
    edits = {
        ".osrel": lambda text: text.replace(b"VARIANT_ID=production", b"VARIANT_ID=development"),
        ".cmdline": lambda text: text.rstrip(b"\0") + b" bedplate.profile=development\0",
    }
    unsigned = variant(built, folder / "unsigned", toolchain, edits)
    generate_keyring(folder / "keys", Profile.DEVELOPMENT, Algorithm.ED25519)
    own = sign_build(unsigned, load_keyring(folder / "keys"), Silent(), output=folder / "1.0.0").directory
    runs = reference_of(own, load_trusted(folder / "keys" / RELEASE_PUBLIC_KEY))
    forgiving = AppraisalPolicy(allow_development=True, secure_boot=ANY_SECURE_BOOT)
    prompts = {
        "strict": (runs, AppraisalPolicy()),
        "development may be": (runs, AppraisalPolicy(allow_development=True)),
        "secure boot may be off": (runs, AppraisalPolicy(secure_boot=ANY_SECURE_BOOT)),
        "both may be": (runs, forgiving),
        "both may be, other release": (reference, forgiving),
    }
    return ask_booted(toolchain, own / NAMES.disk, None, folder, prompts)


def held_back(tried: Attempt, *problems: str) -> None:
    """Nothing of the prompt was sent, for these reasons and no other."""
    assert not tried.prompt_left
    assert len(tried.problems) == len(problems)
    for found, expected in zip(tried.problems, problems, strict=True):
        assert expected in found


SECURE_BOOT_OFF = "Secure Boot is disabled, the policy asks for enabled"
DEVELOPMENT = "development image"


def test_where_everything_is_forgiven_the_prompt_is_sent(development: dict[str, Attempt]) -> None:
    assert development["both may be"].problems == ()
    assert development["both may be"].prompt_left


def test_a_development_image_hears_no_prompt(development: dict[str, Attempt]) -> None:
    held_back(development["secure boot may be off"], DEVELOPMENT)


def test_a_machine_without_secure_boot_hears_no_prompt(development: dict[str, Attempt]) -> None:
    held_back(development["development may be"], SECURE_BOOT_OFF)
    assert {DEVELOPMENT in text or SECURE_BOOT_OFF in text for text in development["strict"].problems} == {True}
    assert not development["strict"].prompt_left


def test_a_machine_that_runs_another_release_hears_no_prompt(development: dict[str, Attempt]) -> None:
    other = development["both may be, other release"]
    assert not other.prompt_left
    assert any(text.startswith("UKI section .osrel, UKI section .cmdline") for text in other.problems)


def test_a_machine_whose_command_line_was_injected_hears_no_prompt(
    release: Path, reference: TrustedReference, toolchain: Toolchain, tmp_path: Path
) -> None:
    tried = ask_booted(
        toolchain,
        release / NAMES.disk,
        secure_boot_of(release),
        tmp_path,
        {"strict": (reference, AppraisalPolicy())},
        f"io.systemd.stub.kernel-cmdline-extra={DEBUG}",
    )["strict"]
    assert not tried.prompt_left
    assert f"kernel command line was extended with {DEBUG}" in " ".join(tried.problems)
