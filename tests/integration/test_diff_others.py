"""Images that nobody here built: two disks as plain mkosi makes them, of which one has an SSH server more."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

import pytest

from builder.baseline.any_image import any_baseline
from builder.baseline.deepen import deepen
from builder.baseline.loader_image import open_loader_image
from builder.baseline.source import read_baseline
from builder.compare.baselines import compare
from builder.compare.difference import Change, Verdict
from builder.image.fat_edit import replace_file
from tests.foreign_images import foreign_images

if TYPE_CHECKING:
    from pathlib import Path

    from builder.compare.difference import Difference, Report
    from builder.mkosi.toolchain import Toolchain

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def images(toolchain: Toolchain) -> Path:
    return foreign_images(toolchain)


@pytest.fixture(scope="module")
def report(images: Path) -> Report:
    return compare(read_baseline(images / "plain.raw"), read_baseline(images / "ssh.raw"))


def by_id(report: Report, topic: str) -> dict[str, Difference]:
    return {item.id.removeprefix(f"{topic}/"): item for item in report.differences if item.id.startswith(f"{topic}/")}


def test_the_packages_that_one_has_more_are_told(report: Report) -> None:
    packages = by_id(report, "packages")
    assert {"root/openssh-server", "root/openssh-client", "root/passwd"} <= packages.keys()
    assert {item.change for item in packages.values()} == {Change.ADDED}


def test_what_a_server_opens_is_noted(report: Report) -> None:
    units = by_id(report, "units")
    assert {"is started", "listening socket"} <= set(units["root/ssh.socket"].notes)
    assert "is started" in units["root/ssh.service"].notes
    files = by_id(report, "files")
    assert files["root/usr/lib/openssh/ssh-keysign"].notes == ("gains set-uid",)
    assert files["root/usr/lib/openssh/ssh-keysign"].package == "openssh-client"


def test_a_unit_does_not_differ_for_another_way_to_it(report: Report) -> None:
    """The server pulls in what was started before, by a way that now comes first."""
    assert "root/dev-hugepages.mount" not in by_id(report, "units")


def test_loader_entries_and_partitions_are_compared(report: Report) -> None:
    assert any(name.startswith("loader/entries/") for name in by_id(report, "esp"))
    assert "size" in {field.name for item in by_id(report, "partitions").values() for field in item.fields}
    assert {item.subject for item in by_id(report, "command-line").values()} <= {"root", "systemd.machine_id"}


def test_what_a_boot_loader_measures_is_not_guessed(report: Report) -> None:
    assert report.pcrs == ()
    incomplete = {topic.name: topic.incomplete for topic in report.topics if topic.incomplete}
    assert "it boots by a boot loader" in incomplete["measurements"][0]
    assert {"uki", "uki-signature", "initrd-packing"} <= incomplete.keys()
    assert report.verdict is Verdict.DIFFERS


def test_an_image_does_not_equal_itself_as_its_boot_is_not_known(images: Path) -> None:
    side = read_baseline(images / "plain.raw")
    same = compare(side, side)
    assert (same.verdict, same.differences) == (Verdict.INCOMPLETE, ())


@pytest.fixture
def broken(images: Path) -> memoryview:
    """The plain image with an initrd that cannot be read."""
    with (images / "plain.raw").open("rb") as file:
        image = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    opened = open_loader_image(image.toreadonly())
    (entry,) = opened.start.boot.entries
    esp = opened.layout.of_type("esp")[0]
    replace_file(image[esp.offset : esp.offset + esp.size], entry.initrds[-1], b"no archive")
    return image.toreadonly()


def test_what_cannot_be_read_is_not_taken_for_nothing(images: Path, broken: memoryview) -> None:
    report = compare(read_baseline(images / "plain.raw"), any_baseline(broken, "broken.raw"))
    incomplete = {topic.name: topic.incomplete[0] for topic in report.topics if topic.incomplete}
    assert {"files", "units", "command-line", "esp", "kernel-configuration"} <= incomplete.keys()
    assert "begins neither a cpio archive nor a known compression" in incomplete["files"]


def test_files_of_others_are_looked_into(report: Report, images: Path) -> None:
    deep = deepen(report, images / "plain.raw", images / "ssh.raw")
    accounts = by_id(deep, "files")["root/etc/passwd"]
    assert "+sshd:" in accounts.children[0].subject


def test_an_image_with_grub_is_compared_too(images: Path) -> None:
    found = by_id(compare(read_baseline(images / "ssh.raw"), read_baseline(images / "cloud.raw")), "packages")
    assert {"root/cloud-init", "root/sudo", "root/grub-efi-amd64-signed"} <= found.keys()
