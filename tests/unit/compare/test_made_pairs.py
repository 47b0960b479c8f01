"""Pairs of releases with one known change each: the diff names the cause and the PCRs that move, and nothing else."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

import pytest

from builder.cli.diff_text import outline
from builder.cli.tree import plain_tree
from builder.compare.baseline import Partition, PolicyVerdict
from builder.compare.baselines import compare
from builder.compare.difference import Change, Verdict
from builder.presenters.markdown import MAX_BYTES, markdown
from tests.baselines import mirrored, sorted_notes
from tests.diff_page import Page
from tests.made_releases import INITRD, KERNEL, PACKAGES, ROOT, File, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from builder.compare.baseline import Baseline
    from builder.compare.difference import Report

BASE = Recipe()
# What follows in every pair from a change in the root.
ROOT_HASH = {"measurements", "command-line", "uki"}
EVERYTHING_BUT_KEYS = (4, 9, 11)
UNIT = "/usr/lib/systemd/system/inference.service"
WANTED = "/etc/systemd/system/basic.target.wants/inference.service"
KERNEL_PACKAGE = f"linux-image-{KERNEL}"
MODULE = f"/usr/lib/modules/{KERNEL}/kernel/a.ko"
NEW_KERNEL = "6.12.9+deb13-cloud-amd64"
CONFIGURATION = f"usr/lib/modules/{KERNEL}/config"
VERDICT = PolicyVerdict(
    passed=True,
    outcomes={"ZOA-101": "passed", "ZOA-102": "waived"},
    waivers={"ZOA-102": "a test"},
    demands={"ZOA-101": '{"allowed": ["443"]}', "ZOA-102": "{}"},
)


@dataclasses.dataclass(frozen=True)
class Pair:
    """``topics`` are those that differ, ``notes`` and ``changes`` all of the differences but the measurements'."""

    name: str
    new: Recipe
    topics: set[str]
    moved: tuple[int, ...]
    sentences: tuple[str, ...]
    old: Recipe = BASE
    notes: frozenset[str] = frozenset()
    change: Change | None = None


def unit(settings: str, *, wanted: bool = False) -> Recipe:
    """A release with this service, in its inventory and in its facts."""
    text = f"[Service]\nExecStart=/usr/bin/serve\n{settings}"
    recipe = BASE.with_file(UNIT, content=text.encode())
    files = {UNIT[1:]: text}
    if wanted:
        recipe = recipe.with_file(WANTED, content=text.encode())
        files[WANTED[1:]] = text
    return recipe.but(image_files=files)


def configured(options: str) -> Recipe:
    """A release with this kernel configuration."""
    return BASE.with_file(f"/{CONFIGURATION}", content=options.encode(), package=KERNEL_PACKAGE).but(
        image_files={CONFIGURATION: options}
    )


def without(mapping: dict[Any, Any], *keys: object) -> dict[Any, Any]:
    return {key: value for key, value in mapping.items() if key not in keys}


def other_kernel() -> Recipe:
    """The base with another kernel, its package and its modules."""

    def moved(files: Iterable[tuple[str, File]]) -> dict[str, File]:
        return {
            path.replace(KERNEL, NEW_KERNEL): dataclasses.replace(
                file, content=file.content.replace(b"module", b"newer"), package=(file.package or "").replace(
                    KERNEL, NEW_KERNEL
                ) or None,
            )
            for path, file in files
        }  # fmt: skip

    packages = {
        (area, name.replace(KERNEL, NEW_KERNEL)): version.replace("6.12.1-1", "6.12.9-1")
        for (area, name), version in PACKAGES.items()
    }
    return BASE.but(kernel=NEW_KERNEL, root=moved(ROOT.items()), initrd=moved(INITRD.items()), packages=packages)


OPENSSL = BASE.with_package("openssl", "3.5.4-1").with_file("/usr/bin/openssl", content=b"openssl 4")
PAIRS = (
    Pair(
        "package-update", OPENSSL, ROOT_HASH | {"packages", "files"}, EVERYTHING_BUT_KEYS,
        ((r"openssl 3\.5\.1-1 -> 3\.5\.4-1 changed 1 file in root, so the root hash, so the command line,"
         r" so PCR 4, 9 and 11 moved; PCR 7, 12, 13 and 14 did not"),),
        notes=frozenset({"upgrade", "security-relevant"}),
    ),
    Pair(
        "package-downgrade", BASE, ROOT_HASH | {"packages", "files"}, EVERYTHING_BUT_KEYS,
        (r"openssl 3\.5\.4-1 -> 3\.5\.1-1 changed 1 file in root, .*",), old=OPENSSL,
        notes=frozenset({"downgrade", "security-relevant"}),
    ),
    Pair(
        "package-added",
        BASE.with_package("jq", "1.7").with_file("/usr/bin/jq", content=b"jq", package="jq", mode=0o755),
        ROOT_HASH | {"packages", "files"}, EVERYTHING_BUT_KEYS, (r"jq 1\.7 \(added\) changed 1 file in root, .*",),
        change=Change.ADDED,
    ),
    Pair(
        "package-removed",
        BASE.but(
            packages=without(dict(PACKAGES), ("root", "openssl")),
            root=without(dict(ROOT), "/usr/bin/openssl", "/usr/lib/libssl.so.3"),
        ),
        ROOT_HASH | {"packages", "files"}, EVERYTHING_BUT_KEYS,
        (r"openssl 3\.5\.1-1 \(removed\) changed 2 files in root, .*",),
        notes=frozenset({"security-relevant"}), change=Change.REMOVED,
    ),
    Pair(
        "package-rebuilt-with-the-same-version", BASE.with_file("/usr/bin/openssl", content=b"other"),
        ROOT_HASH | {"files"}, EVERYTHING_BUT_KEYS,
        (r"1 file in root of openssl, whose version is the same changed, so the root hash, .*",),
    ),
    Pair(
        "mode-bit", BASE.with_file("/etc/hostname", mode=0o600), ROOT_HASH | {"files"}, EVERYTHING_BUT_KEYS,
        (r"1 file in root that no package owns \(/etc/hostname\) changed, so the root hash, so the command line, .*",),
        change=Change.METADATA,
    ),
    Pair(
        "set-uid", BASE.with_file("/usr/bin/openssl", mode=0o4755), ROOT_HASH | {"files"}, EVERYTHING_BUT_KEYS,
        (r"1 file in root of openssl, .*",), notes=frozenset({"gains set-uid"}), change=Change.METADATA,
    ),
    Pair(
        "capability",
        BASE.with_file("/usr/bin/openssl", xattrs=(("security.capability", "0100000200200000" + "00" * 12),)),
        ROOT_HASH | {"files"}, EVERYTHING_BUT_KEYS, (r"1 file in root of openssl, .*",),
        notes=frozenset({"gains file capabilities"}), change=Change.METADATA,
    ),
    Pair(
        "owner", BASE.with_file("/etc/hostname", uid=1000), ROOT_HASH | {"files"}, EVERYTHING_BUT_KEYS,
        (r"1 file in root that no package owns .*",), change=Change.METADATA,
    ),
    Pair(
        "timestamp", BASE.with_file("/etc/hostname", mtime=1), ROOT_HASH | {"files"}, EVERYTHING_BUT_KEYS,
        (r"1 file in root that no package owns .*",), change=Change.TIMESTAMP,
    ),
    Pair(
        "argument-added", BASE.but(arguments=("quiet", "panic=30", "lockdown=integrity")), ROOT_HASH,
        EVERYTHING_BUT_KEYS,
        (r"the argument lockdown=integrity was added, so the command line, so PCR 4, 9 and 11 moved; .*",),
    ),
    Pair(
        "argument-removed", BASE.but(arguments=("panic=30",)), ROOT_HASH, EVERYTHING_BUT_KEYS,
        (r"the argument quiet was removed, so the command line, .*",),
    ),
    Pair(
        "argument-value", BASE.but(arguments=("quiet", "panic=5")), ROOT_HASH, EVERYTHING_BUT_KEYS,
        (r"the argument panic=30 became panic=5, so the command line, .*",),
    ),
    Pair(
        "argument-order", BASE.but(arguments=("panic=30", "quiet")), ROOT_HASH, EVERYTHING_BUT_KEYS,
        (r"the order of the arguments changed, so the command line, .*",),
    ),
    Pair(
        "unit-enabled", unit("", wanted=True), ROOT_HASH | {"files", "units"}, EVERYTHING_BUT_KEYS,
        (r"1 file in root that no package owns .*",), old=unit(""), notes=frozenset({"is started"}),
    ),
    Pair(
        "sandboxing", unit("ProtectSystem=full\n"), ROOT_HASH | {"files", "units"}, EVERYTHING_BUT_KEYS,
        (r"1 file in root that no package owns .*",), old=unit("ProtectSystem=strict\n"),
        notes=frozenset({"sandboxing"}),
    ),
    Pair(
        "kernel-configuration", configured("CONFIG_BPF=y\n"), ROOT_HASH | {"files", "kernel-configuration"},
        EVERYTHING_BUT_KEYS, (r"1 file in root of linux-image-.*",), old=configured("CONFIG_BPF=n\n"),
    ),
    Pair(
        "certificate", BASE.but(enrolled=("one", "two")), {"measurements", "secure-boot"}, (7,),
        (r"db: 'CN=node db' \(\w{8}\) was added, so variable db, so PCR 7 \(Secure Boot enabled\) moved; .*",),
    ),
    Pair(
        "signer", BASE.but(keys="two", enrolled=("one", "two")), {"measurements", "uki-signature"}, (7,),
        ((r"the UKI is (no longer )?signed with 'CN=node db' \(\w{8}\), the UKI is (no longer )?signed with"
         r" 'CN=node db' \(\w{8}\), so PCR 7 \(Secure Boot enabled\) moved; .*"),),
        old=BASE.but(enrolled=("one", "two")),
    ),
    Pair(
        "rotated-key", BASE.but(keys="two", enrolled=("two",)), {"measurements", "secure-boot", "uki-signature"}, (7,),
        (r"db: 'CN=node db' \(\w{8}\) was \w+, db: 'CN=node db' \(\w{8}\) was \w+, so variable db, .*",
         r"the UKI is (no longer )?signed with 'CN=node db' .*"),
    ),
    Pair(
        "reordered-initrd", BASE.but(order=(MODULE, "/init")), {"measurements", "uki", "initrd-packing"},
        EVERYTHING_BUT_KEYS, (r"order of the files in the initrd, so the initrd, so PCR 4, 9 and 11 moved; .*",),
    ),
    Pair(
        "initrd-package", BASE.with_package("systemd", "257.14-1", "initrd").with_file("/init", "initrd", content=b"2"),
        {"measurements", "uki", "packages", "files"}, EVERYTHING_BUT_KEYS,
        (r"systemd 257\.13-1~deb13u1 -> 257\.14-1 changed 1 file in the initrd, so the initrd, so PCR .*",),
        notes=frozenset({"upgrade", "security-relevant"}),
    ),
    Pair(
        "initrd-timestamp", BASE.with_file("/init", "initrd", mtime=2), {"measurements", "uki", "files"},
        EVERYTHING_BUT_KEYS, (r"1 file in the initrd of systemd, whose version is the same .*",),
    ),
    Pair(
        "addon", BASE.but(addons={"extra.addon.efi": b"debug"}), {"measurements", "esp"}, (4, 9, 12),
        (r"/loader/addons/extra\.addon\.efi beside the UKI changed, so PCR 4, 9 and 12 moved; PCR 7, 11, .*",),
        notes=frozenset({"addon"}),
    ),
    Pair(
        "module",
        BASE.with_package(KERNEL_PACKAGE, "6.12.1-2").with_file(MODULE, content=b"module b")
        .with_file(MODULE, "initrd", content=b"module b"),
        ROOT_HASH | {"packages", "files", "modules"}, EVERYTHING_BUT_KEYS,
        (r"linux-image-\S+ 6\.12\.1-1 -> 6\.12\.1-2 changed 1 file in the initrd and 1 file in root, .*",),
        notes=frozenset({"upgrade", "security-relevant"}),
    ),
    Pair(
        "kernel", other_kernel(), ROOT_HASH | {"packages", "files", "modules"}, EVERYTHING_BUT_KEYS,
        ((r"linux-image-\S+ 6\.12\.1-1 \(removed\), linux-image-\S+ 6\.12\.9-1 \(added\) changed 2 files in the"
         r" initrd and 2 files in root, so the root hash, .*the kernel, .*"),),
        notes=frozenset({"security-relevant"}),
    ),
    Pair(
        "stub",
        BASE.but(stub="257.14-1").with_package("systemd-boot-efi", "257.14-1")
        .with_package("systemd-boot-efi", "257.14-1", "toolchain"),
        {"measurements", "uki", "packages", "toolchain"}, (4,),
        ((r"systemd-boot-efi 257\.13-1~deb13u1 -> 257\.14-1, systemd-boot-efi \S+ -> 257\.14-1, so systemd-stub"
         r" 257\.13-1~deb13u1 -> 257\.14-1, so PCR 4 moved; PCR 7, 9, 11, 12, 13 and 14 did not"),),
        notes=frozenset({"upgrade", "security-relevant"}),
    ),
    Pair(
        "unexplained-section", BASE.but(sections=((".splash", b"BM"),)), {"measurements", "uki"}, (4, 11),
        (r"section \.splash changed, and nothing was found that explains it, so PCR 4 and 11 moved; .*",),
    ),
    Pair(
        "version", BASE.but(version="1.0.1"), {"measurements", "identity", "uki"}, EVERYTHING_BUT_KEYS,
        (r"version 1\.0\.0 -> 1\.0\.1, so UKI section \.osrel, so PCR 4, 9 and 11 moved; .*",),
    ),
    Pair(
        "waiver", BASE.but(policy=dataclasses.replace(VERDICT, waivers={"ZOA-102": "another reason"})), {"policy"}, (),
        (), old=BASE.but(policy=VERDICT),
    ),
    Pair(
        "policy-verdict", BASE.but(policy=dataclasses.replace(VERDICT, passed=False)), {"policy"}, (), (),
        old=BASE.but(policy=VERDICT),
    ),
    Pair(
        "policy-demand",
        BASE.but(policy=dataclasses.replace(VERDICT, demands={**VERDICT.demands, "ZOA-101": '{"allowed": ["22"]}'})),
        {"policy"}, (), (), old=BASE.but(policy=VERDICT),
    ),
    Pair(
        "build-tree", BASE.but(tree={**BASE.tree, "mkosi.extra/usr/lib/libssl.so.3": b"not that of the package"}),
        {"tree"}, (), (),
    ),
    Pair("toolchain-only", BASE.with_package("mkosi", "25.4", "toolchain"), {"toolchain"}, (), (),
         notes=frozenset({"upgrade"})),
    Pair("definition-only", BASE.but(definition="22" * 32), {"definition"}, (), ()),
    Pair(
        "partition", BASE.but(partitions=(Partition(1, "esp", "other", "esp", 1 << 20, 1 << 20, ""),)),
        {"partitions"}, (), (),
    ),
    Pair("unowning-package", BASE.with_package("meta", "2"), {"packages"}, (), (), old=BASE.with_package("meta", "1"),
         notes=frozenset({"upgrade"})),
)  # fmt: skip
each_pair = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)


@pytest.fixture(scope="module")
def baselines(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Baseline]:
    """Every recipe of the pairs as a baseline, made once."""
    folder = tmp_path_factory.mktemp("releases")
    made: dict[int, Baseline] = {}
    recipes: list[Recipe] = []
    for pair in PAIRS:
        for recipe in (pair.old, pair.new):
            if recipe not in recipes:
                recipes.append(recipe)
                made[id(recipe)] = recipe.baseline(folder / str(len(recipes)))
            else:
                made[id(recipe)] = made[id(recipes[recipes.index(recipe)])]
    return made


def report_of(pair: Pair, baselines: dict[int, Baseline]) -> Report:
    return compare(baselines[id(pair.old)], baselines[id(pair.new)])


def really_moved(old: Baseline, new: Baseline) -> set[tuple[str, int]]:
    """Mode and index of every PCR whose predicted values are not the same."""
    before, after = (
        {
            (mode, int(pcr)): entry.values
            for mode, values in side.measured.items()  # type: ignore[union-attr]
            for pcr, entry in values.pcrs.items()
        }
        for side in (old, new)
    )
    assert before.keys() == after.keys()
    return {key for key in before if before[key] != after[key]}


@each_pair
def test_the_topics_that_differ_are_those_of_the_change_and_no_others(
    pair: Pair, baselines: dict[int, Baseline]
) -> None:
    report = report_of(pair, baselines)
    assert {topic.name for topic in report.topics if topic.differences} == pair.topics
    assert report.incomplete == ()
    assert report.verdict is Verdict.DIFFERS


@each_pair
def test_the_pcrs_that_move_are_those_whose_predicted_values_differ(pair: Pair, baselines: dict[int, Baseline]) -> None:
    report = report_of(pair, baselines)
    moved = {(item.mode, item.pcr) for item in report.pcrs if item.verdict is Verdict.DIFFERS}
    assert moved == really_moved(baselines[id(pair.old)], baselines[id(pair.new)])
    assert tuple(sorted({pcr for _, pcr in moved})) == pair.moved


@each_pair
def test_the_causes_are_told_in_a_sentence_each(pair: Pair, baselines: dict[int, Baseline]) -> None:
    sentences = [chain.sentence for chain in report_of(pair, baselines).chains]
    assert len(sentences) == len(pair.sentences), sentences
    for sentence, expected in zip(sentences, pair.sentences, strict=True):
        assert re.fullmatch(expected, sentence), sentence


@each_pair
def test_every_event_that_moved_a_pcr_has_a_cause(pair: Pair, baselines: dict[int, Baseline]) -> None:
    report = report_of(pair, baselines)
    explained = {link.id for link in report.links if link.explained}
    moved = [item for item in report.pcrs if item.verdict is Verdict.DIFFERS]
    assert all(item.events and set(item.events) <= explained for item in moved)


@each_pair
def test_what_is_worth_a_look_is_noted(pair: Pair, baselines: dict[int, Baseline]) -> None:
    found = [item for item in report_of(pair, baselines).differences if item.kind not in {"PCR", "argument", "section"}]
    assert frozenset(note for item in found for note in item.notes) == pair.notes
    if pair.change is not None:
        assert {item.change for item in found} == {pair.change}


@each_pair
def test_a_side_compared_with_itself_has_no_differences(pair: Pair, baselines: dict[int, Baseline]) -> None:
    report = compare(baselines[id(pair.new)], baselines[id(pair.new)])
    assert (report.verdict, report.differences, report.chains, report.links) == (Verdict.EQUAL, (), (), ())


@each_pair
def test_the_other_direction_is_the_mirror(pair: Pair, baselines: dict[int, Baseline]) -> None:
    back = compare(baselines[id(pair.new)], baselines[id(pair.old)])
    there = {item.id: mirrored(item) for item in report_of(pair, baselines).differences}
    assert there == {item.id: sorted_notes(item) for item in back.differences}
    assert {chain.moved for chain in back.chains} == {chain.moved for chain in report_of(pair, baselines).chains}


@each_pair
def test_ids_are_unique_and_the_same_in_both_directions(pair: Pair, baselines: dict[int, Baseline]) -> None:
    there = [item.id for item in report_of(pair, baselines).differences]
    back = [item.id for item in compare(baselines[id(pair.new)], baselines[id(pair.old)]).differences]
    assert len(set(there)) == len(there)
    assert sorted(there) == sorted(back)


@each_pair
def test_every_presenter_can_tell_it(pair: Pair, baselines: dict[int, Baseline]) -> None:
    report = report_of(pair, baselines)
    Page(report).check(report)
    assert len(markdown(report).encode()) <= MAX_BYTES
    told = plain_tree(outline(report, full=True))
    assert all(item.subject in told for item in report.differences)
    assert ("did not move" in told) == bool(pair.moved)


def test_there_are_thirty_pairs() -> None:
    assert len({pair.name for pair in PAIRS}) == len(PAIRS) >= 30
