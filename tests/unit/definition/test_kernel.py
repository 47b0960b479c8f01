from __future__ import annotations

import re

import pytest

from builder.definition.kernel import DOORS, OWNED, module_regex, refusal
from builder.definition.model import DEFAULT_INITRD_MODULES, Profile


@pytest.mark.parametrize("rule", OWNED, ids=lambda rule: rule.name)
@pytest.mark.parametrize("profile", Profile)
def test_what_bedplate_owns_is_refused_in_every_profile(rule: object, profile: Profile) -> None:
    name = rule.name.removesuffix("*")  # type: ignore[attr-defined]
    assert refusal(name, profile) is rule


@pytest.mark.parametrize("rule", DOORS, ids=lambda rule: rule.name)
def test_a_door_is_refused_in_production_only(rule: object) -> None:
    name = rule.name.removesuffix("*")  # type: ignore[attr-defined]
    assert refusal(f"{name}=1", Profile.PRODUCTION) is rule
    assert refusal(f"{name}=1", Profile.DEVELOPMENT) is None


@pytest.mark.parametrize(
    "argument",
    ["systemd.debug-shell", "rd.systemd.debug-shell=yes", "systemd.set_credential_binary=a:b",
     "systemd.run_success_action=x", "console=ttyS0,115200", "systemd.import-credentials=yes",
     "systemd.unit=rescue.target", "-b", "S", "rd.systemd.wants=debug-shell.service", "systemd.break=pre-mount",
     "systemd.default-debug-tty=ttyS0", "lockdown=none", "bedplate.profile=development"],
)  # fmt: skip
def test_other_spellings_of_a_door_are_refused(argument: str) -> None:
    assert refusal(argument, Profile.PRODUCTION) is not None


@pytest.mark.parametrize(
    "argument",
    ["panic=30", "quiet", "rootwait", "consoleblank=0", "init_on_alloc=1", "initcall_debug", "mitigations=auto"],
)
def test_other_arguments_are_for_the_policies_to_judge(argument: str) -> None:
    assert refusal(argument, Profile.PRODUCTION) is None


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("virtio_blk", "drivers/block/virtio_blk.ko.xz"),
        ("virtio-blk", "drivers/block/virtio_blk.ko"),
        ("dm_verity", "drivers/md/dm-verity.ko.xz"),
        ("virtio_*", "drivers/net/virtio_net.ko"),
        ("nvm?", "drivers/nvme/host/nvme.ko.zst"),
    ],
)
def test_a_module_pattern_finds_its_modules(pattern: str, path: str) -> None:
    assert re.search(module_regex(pattern), path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("nvme", "drivers/nvme/host/nvme-core.ko"),
        ("ena", "drivers/net/verbena.ko"),
        ("nvme", "drivers/nvme/target/nvmet.ko"),
        ("*", "drivers/block/virtio_blk.txt"),
        ("drivers*", "drivers/block/virtio_blk.ko"),
    ],
)
def test_a_module_pattern_finds_no_others(pattern: str, path: str) -> None:
    assert not re.search(module_regex(pattern), path)


def test_the_default_modules_are_told_apart() -> None:
    assert len(set(DEFAULT_INITRD_MODULES)) == len(DEFAULT_INITRD_MODULES)
