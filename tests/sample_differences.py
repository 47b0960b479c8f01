"""Differences to present: one with hostile names in every place, and one of any number of packages and files.

They are made from real comparisons of baselines of which a few parts are known.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from builder.compare.baseline import BesideUki, InstalledPackage, Source
from builder.compare.baselines import compare
from builder.compare.difference import Change, Difference
from builder.compare.entries import Entry
from builder.release.statements import ImageIdentity, ReferenceValues, UkiIdentity
from builder.review.report import Judgement, Refusal, RulesUsed
from tests.baselines import bare
from tests.sample_reports import HOSTILE, LONG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.compare.baseline import Baseline
    from builder.compare.difference import Report

MODES = ("disabled", "enabled")
ZERO = {"sha256": "0" * 64, "sha384": "0" * 96}


def digests(*words: str) -> dict[str, str]:
    """Digests of both banks that stand for words."""
    text = " ".join(words).encode()
    return {name: hashlib.new(name, text).hexdigest() for name in ("sha256", "sha384")}


def measured(command_line: str, variables: str = "keys", initrd: str = "initrd") -> dict[str, ReferenceValues]:
    """Reference values in which the command line moves PCR 4, 9 and 11, the initrd too, and the variables PCR 7."""
    sections = {".linux": "kernel", ".cmdline": command_line, ".initrd": initrd}
    events = {
        4: [("Authenticode digest", "UKI", "".join(sections.values()))],
        7: [("variable db", "Secure Boot variables", variables)],
        9: [("kernel load options", "kernel command line", command_line), ("Linux initrd", "initrd", initrd)],
        11: [(f"section {name}", f"UKI section {name}", content) for name, content in sections.items()],
    }
    pcrs: dict[str, Any] = {
        str(pcr): {
            "predictable": True,
            "values": digests(*(content for _, _, content in found)),
            "events": [
                {"type": "EV_IPL", "description": words, "source": source, "digests": digests(content)}
                for words, source, content in found
            ],
        }
        for pcr, found in events.items()
    }
    pcrs |= {str(pcr): {"predictable": True, "values": ZERO, "events": []} for pcr in (12, 13, 14)}
    return {
        mode: msgspec.convert(
            {
                "schema": "made",
                "stub": "257.13-1",
                "boot": {"secure_boot": mode, "platform": "made", "profile": 0, "initrd_systemd": 257},
                "banks": ["sha256", "sha384"],
                "pcrs": pcrs,
            },
            ReferenceValues,
        )
        for mode in MODES
    }


def file(path: str, content: str, package: str | None = None, mode: str = "0644", area: str = "root") -> Entry:
    """A file of an inventory."""
    digest = hashlib.sha256(content.encode()).hexdigest()
    values: dict[str, Any] = {"path": path, "mode": mode, "size": len(content), "sha256": digest, "package": package}
    others: dict[str, Any] = dict.fromkeys(("target", "device", "version"))
    return Entry(area=area, type="file", uid=0, gid=0, mtime=1, xattrs={}, **values, **others)  # type: ignore[arg-type]


def side(
    version: str,
    files: Sequence[Entry],
    packages: Sequence[InstalledPackage],
    *arguments: str,
    name: str = "node",
    **parts: Any,
) -> Baseline:
    """A baseline whose root hash and command line follow from its files and arguments."""
    root_hash = hashlib.sha256(repr(files).encode()).hexdigest()
    command_line = " ".join((f"roothash={root_hash}", *arguments))
    known = {
        "identity": ImageIdentity(name=name, version=version, architecture="x86-64", profile="production"),
        "uki": UkiIdentity(stub="257.13-1", kernel="6.12", command_line=command_line, root_hash=root_hash),
        "measured": measured(command_line),
        "files": tuple(sorted(files, key=lambda entry: (entry.area, entry.path))),
        "packages": tuple(packages),
        "signers": ("6d0e8befb1727f4e",),
    }
    source = Source("release", f"dist/{name}/{version}", ("6d0e8befb1727f4e",))
    return replace(bare(**known | parts), source=source)


def large(packages: int, files: int) -> Report:
    """As many updated packages that changed as many files, between two releases of a node."""
    sides = [
        side(
            version,
            [
                file(
                    f"/usr/lib/package-{number % packages:03}/file-{number:05}.so",
                    version,
                    f"package-{number % packages:03}",
                )
                for number in range(files)
            ],
            [InstalledPackage("root", f"package-{number:03}", f"{version}-1", "amd64") for number in range(packages)],
        )
        for version in ("1.0.0", "1.1.0")
    ]
    return compare(*sides)


def mixed() -> Report:
    """One of every kind of change, with notes, something inside of a file, something unexplained and not compared."""
    kept = {"/usr/bin/sudo": "sudo", "/usr/bin/late": "late", "/etc/settings": "b"}
    old = [*(file(path, content, "tools") for path, content in kept.items()), file("/usr/bin/gone", "gone", "tools")]
    new = [
        file("/usr/bin/sudo", "sudo", "tools", mode="4755"),
        msgspec.structs.replace(old[1], mtime=2),
        file("/etc/settings", "c", "tools"),
        file("/usr/bin/come", "come", "other"),
    ]
    sides = [
        side("1.0.0", old, [_package("openssl", "3.5.1"), _package("gone", "1")], "quiet", inputs={"definition": "a"}),
        side("1.1.0", new, [_package("openssl", "3.5.4"), _package("come", "1")], "panic=5", esp_files=()),
    ]
    sides[1] = replace(sides[1], measured=measured("panic=5", initrd="another"))
    report = compare(*sides)
    inside = Difference(
        id="files/root/etc/settings/=lines", kind="text", subject="lines", change=Change.CONTENT, old="a\nb", new="a\nc"
    )
    topics = [
        msgspec.structs.replace(
            topic,
            differences=tuple(
                msgspec.structs.replace(item, children=(inside,)) if item.subject == "/etc/settings" else item
                for item in topic.differences
            ),
        )
        for topic in report.topics
    ]
    return msgspec.structs.replace(report, topics=tuple(topics))


def _package(name: str, version: str) -> InstalledPackage:
    return InstalledPackage("root", name, version, "amd64")


def refusal(of: Report) -> Judgement:
    """Rules that refuse all of a difference."""
    refused = tuple(Refusal(id=item.id, subject=item.subject, needs=(f"{item.kind}s:",)) for item in of.differences)
    used = RulesUsed(name="rules", sha256="ab" * 32)
    return Judgement(allowed=False, rules=used, judged=len(refused), refused=refused, diff=of)


def hostile(name: str = HOSTILE) -> Report:
    """A difference in which every text that an image decides on is ``name``."""
    path = f"/{name}"
    sides = [
        side(
            version,
            [file(path, version, name), file(f"{path}2", version)],
            [InstalledPackage("root", name, f"{name}{version}", "amd64")],
            f"{name}={version}{name}",
            name=name,
            esp_files=(BesideUki(path, "program", digests(version)["sha256"]),),
            inputs={name: f"{name}{version}"},
        )
        for version in ("1", "2")
    ]
    return compare(*(replace(item, remarks=(name,), source=Source("release", name)) for item in sides))


def long_names() -> Report:
    """The same with a long path and no space to break it at."""
    return hostile(LONG)
