"""What an ``image.yaml`` that is accepted means."""

from __future__ import annotations

import datetime as dt
import uuid

import msgspec
import pytest

from builder.definition.load import parse
from builder.definition.model import Architecture, ImageDefinition, Profile
from builder.errors import InvalidInputError

MINIMAL = """
name: node
version: 1.0.0
base: ../base
source_date: 2026-01-31T00:00:00Z
seed: 7ab0b0a9-2f4e-4ce5-8d0f-0c9ec1a4ad1b
"""


def definition(*lines: str) -> ImageDefinition:
    return parse("\n".join((MINIMAL, *lines)).encode(), "image.yaml")


def test_the_least_that_can_be_said_has_these_defaults() -> None:
    minimal = definition()
    assert (minimal.name, minimal.version, minimal.base) == ("node", "1.0.0", "../base")
    assert minimal.profile is Profile.PRODUCTION
    assert minimal.architecture is Architecture.X86_64
    assert (minimal.distribution.suite, minimal.distribution.components) == ("trixie", ("main",))
    assert minimal.distribution.mirror is None
    assert (minimal.packages, minimal.services.enable, minimal.files) == ((), (), None)
    assert (minimal.kernel.package, minimal.kernel.command_line) == ("linux-image-cloud-amd64", ())
    assert {"virtio_blk", "nvme", "xen_blkfront", "ena"} <= set(minimal.kernel.initrd_modules)
    assert minimal.esp.size_mib == 128
    assert minimal.seed == uuid.UUID("7ab0b0a9-2f4e-4ce5-8d0f-0c9ec1a4ad1b")


def test_everything_that_can_be_said_is_kept() -> None:
    full = definition(
        "description: 'A node: the second'",
        "profile: development",
        "architecture: x86-64",
        "distribution: {suite: sid, components: [main, non-free-firmware], mirror: http://mirror.example.org/debian}",
        "packages: [chrony, g++, libtss2-rc0t64]",
        "kernel: {package: linux-image-amd64, command_line: [console=ttyS0, panic=30], initrd_modules: ['virtio_*']}",
        "services: {enable: [engine.service, getty@tty1.service, dev-disk\\x2dby.mount]}",
        "files: own/files",
        "esp: {size_mib: 64}",
    )
    assert full.description == "A node: the second"
    assert full.profile is Profile.DEVELOPMENT
    assert full.distribution.mirror == "http://mirror.example.org/debian"
    assert full.distribution.components == ("main", "non-free-firmware")
    assert full.packages == ("chrony", "g++", "libtss2-rc0t64")
    assert full.kernel.command_line == ("console=ttyS0", "panic=30")
    assert full.kernel.initrd_modules == ("virtio_*",)
    assert full.services.enable == ("engine.service", "getty@tty1.service", "dev-disk\\x2dby.mount")
    assert (full.files, full.esp.size_mib) == ("own/files", 64)


@pytest.mark.parametrize("version", ["1.10", "2", "0x10", "1e3", "1.0~rc1", "2026-01-31", "1.0^20260131", "no", "010"])
def test_a_version_is_the_text_that_was_written(version: str) -> None:
    text = MINIMAL.replace("1.0.0", version)
    assert parse(text.encode(), "image.yaml").version == version


@pytest.mark.parametrize(
    "version", ["1.0+1", "1_0", "1.0 rc", "../1", "-1", ".1", "1.0RC", "~1", "1/2", "\N{DIGIT ONE}\N{SUPERSCRIPT TWO}"]
)
def test_a_version_that_no_file_name_can_carry_is_refused(version: str) -> None:
    with pytest.raises(InvalidInputError, match="version is "):
        parse(MINIMAL.replace("1.0.0", f'"{version}"').encode(), "image.yaml")


@pytest.mark.parametrize("name", ["-node", "node-", "n" * 33, "node\\n", "", "n.1"])
def test_a_name_that_no_file_name_can_carry_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="name is "):
        parse(MINIMAL.replace("name: node", f'name: "{name}"').encode(), "image.yaml")


def test_source_date_is_the_seconds_since_1970() -> None:
    assert definition().source_date == dt.datetime(2026, 1, 31, tzinfo=dt.UTC)
    assert definition().source_date_epoch == 1769817600


@pytest.mark.parametrize(
    "date", ["2026-01-31", "2026-01-31 00:00:00Z", "2026-01-31t00:00:00z", "1769817600", "2026-01-31T24:00:00Z"]
)
def test_another_form_of_date_is_refused(date: str) -> None:
    with pytest.raises(InvalidInputError, match="source_date is "):
        parse(MINIMAL.replace("2026-01-31T00:00:00Z", date).encode(), "image.yaml")


@pytest.mark.parametrize(
    "mirror",
    ["https://mirror.example.org", "http://[2001:db8::1]:3142/debian", "file:///srv/debian", "http://localhost:80/d/"],
)
def test_these_are_mirrors(mirror: str) -> None:
    assert definition(f"distribution: {{mirror: '{mirror}'}}").distribution.mirror == mirror


@pytest.mark.parametrize(
    "mirror",
    ["ftp://mirror.example.org/debian", "mirror.example.org", "file://host/srv", "http:///debian", "http://[/debian",
     "https://mirror.example.org/debian?token=secret", "https://token:secret@mirror.example.org/", "http://a b/"],
)  # fmt: skip
def test_these_are_no_mirrors_and_are_not_repeated(mirror: str) -> None:
    with pytest.raises(InvalidInputError, match=r"distribution\.mirror is not an http, https or file URL") as caught:
        definition(f"distribution: {{mirror: '{mirror}'}}")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("base", ["/base", "./base", "..//base", "base/", "../.git", ""])
def test_a_base_that_is_not_plainly_relative_is_refused(base: str) -> None:
    with pytest.raises(InvalidInputError, match="base is "):
        parse(MINIMAL.replace("../base", f'"{base}"').encode(), "image.yaml")


def test_files_stay_below_the_definition() -> None:
    with pytest.raises(InvalidInputError, match=r"files is '\.\./files'"):
        definition("files: ../files")


@pytest.mark.parametrize("value", ["", "~", "null"])
def test_an_optional_key_may_be_left_empty(value: str) -> None:
    assert definition(f"files: {value}").files is None


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(InvalidInputError, match=r"'x{57}\.\.\.'"):
        definition(f"profile: {'x' * 5000}")


def test_a_list_of_components_is_not_empty() -> None:
    with pytest.raises(InvalidInputError, match=r"distribution\.components has 0 entries, expected at least 1"):
        definition("distribution: {components: []}")


def test_a_command_line_has_a_limit() -> None:
    arguments = ", ".join(f"a{number}={'x' * 200}" for number in range(6))
    with pytest.raises(InvalidInputError, match=r"kernel\.command_line is \d+ bytes long, expected at most 1024"):
        definition(f"kernel: {{command_line: [{arguments}]}}")


def test_a_file_that_is_far_too_large_is_not_parsed() -> None:
    with pytest.raises(InvalidInputError, match="the file has 262145 bytes, expected at most 262144"):
        parse(b"#" * (256 * 1024 + 1), "image.yaml")


def test_aliases_cannot_multiply() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)]
    with pytest.raises(InvalidInputError, match="1:4: anchors and aliases are not accepted"):
        parse("\n".join(lines).encode(), "image.yaml")


def test_a_value_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        definition().name = "other"  # type: ignore[misc]


def test_every_key_has_a_description_for_editors() -> None:
    def undescribed(struct: type[msgspec.Struct]) -> list[str]:
        found: list[str] = []
        for field in msgspec.inspect.type_info(struct).fields:  # type: ignore[attr-defined]
            kind = field.type
            described = False
            while isinstance(kind, msgspec.inspect.Metadata):
                described |= bool((kind.extra_json_schema or {}).get("description"))
                kind = kind.type
            found += [] if described else [f"{struct.__name__}.{field.name}"]
            found += undescribed(kind.cls) if isinstance(kind, msgspec.inspect.StructType) else []
        return found

    assert undescribed(ImageDefinition) == []
