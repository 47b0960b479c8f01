"""The gate on the made pairs: it refuses each of them, names the rules that it would take, and with these allows it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import yaml

from builder.compare.baseline import Partition, Unknown
from builder.compare.baselines import compare
from builder.compare.difference import Change, Difference, Topic, Verdict
from builder.review import needs
from builder.review.file_needs import Files
from builder.review.judge import CHECKS, judge
from builder.review.load import parse_rules
from builder.review.rules import Rules
from tests.unit.compare.test_made_pairs import BASE, OPENSSL, PAIRS, VERDICT, configured, other_kernel, unit

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from builder.compare.baseline import Baseline
    from builder.compare.difference import Report
    from builder.review.needs import Check
    from builder.review.report import Judgement
    from tests.made_releases import Recipe

Fragment = dict[str, Any]
SOCKET = "/usr/lib/systemd/system/door.socket"
# What is not among the pairs of the diff: known-bad changes of what only a gate looks at.
MORE: dict[str, tuple[Recipe, Recipe]] = {
    "profile": (BASE, BASE),
    "keys": (BASE, BASE),
    "settings": (BASE, BASE),
    "signature": (BASE, BASE),
    "partition-added": (
        BASE, BASE.but(partitions=(*BASE.partitions, Partition(2, "root", "u", "root", 2 << 20, 1 << 20, "0x0"))),
    ),
    "socket": (
        BASE,
        BASE.with_file(SOCKET, content=b"[Socket]\nListenStream=22\n").but(
            image_files={
                SOCKET[1:]: "[Socket]\nListenStream=22\n",
                "etc/systemd/system/sockets.target.wants/door.socket": "[Socket]\nListenStream=22\n",
            }
        ),
    ),
    "new-set-gid-file": (BASE, BASE.with_file("/usr/bin/new", content=b"x", mode=0o2755)),
    "waiver-added": (
        BASE.but(policy=dataclasses.replace(VERDICT, waivers={})), BASE.but(policy=VERDICT),
    ),
    "control-failed": (
        BASE.but(policy=VERDICT),
        BASE.but(policy=dataclasses.replace(VERDICT, outcomes={"ZOA-101": "failed", "ZOA-102": "waived"})),
    ),
    "control-gone": (
        BASE.but(policy=VERDICT), BASE.but(policy=dataclasses.replace(VERDICT, outcomes={"ZOA-102": "waived"})),
    ),
}  # fmt: skip
EACH = {pair.name: (pair.old, pair.new) for pair in PAIRS} | MORE
each_pair = pytest.mark.parametrize("name", EACH)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """The diff of every pair."""
    folder = tmp_path_factory.mktemp("releases")
    made: list[tuple[Recipe, Baseline]] = []

    def baseline(recipe: Recipe) -> Baseline:
        for other, found in made:
            if other == recipe:
                return found
        made.append((recipe, recipe.baseline(folder / str(len(made)))))
        return made[-1][1]

    found = {name: compare(baseline(old), baseline(new)) for name, (old, new) in EACH.items()}
    base = baseline(BASE)
    found["profile"] = compare(
        base, dataclasses.replace(base, identity=msgspec.structs.replace(base.identity, profile="development"))
    )
    found["keys"] = compare(base, dataclasses.replace(base, signers=("another",)))
    found["signature"] = compare(base, dataclasses.replace(base, artifacts={"uki": "00" * 32}))
    found["settings"] = compare(base, dataclasses.replace(base, measured=with_systemd(base, 999)))
    return found


def with_systemd(side: Baseline, release: int) -> Any:
    assert isinstance(side.measured, dict)
    return {
        mode: msgspec.structs.replace(values, boot=msgspec.structs.replace(values.boot, initrd_systemd=release))
        for mode, values in side.measured.items()
    }


def judged(report: Report, *fragments: Fragment) -> Judgement:
    """By rules that are made of these fragments; the made releases are read without a trusted key."""
    document = merged([{"name": "test", "unverified": True}, *fragments])
    return judge(report, parse_rules(yaml.safe_dump(document).encode(), "rules.yaml"))


def merged(fragments: Iterable[Fragment]) -> Fragment:
    document: Fragment = {}
    for fragment in fragments:
        for key, value in fragment.items():
            if isinstance(value, dict):
                document[key] = merged([document.get(key, {}), value])
            elif isinstance(value, list):
                document[key] = [*document.get(key, []), *(item for item in value if item not in document.get(key, []))]
            else:
                document[key] = "any" if "any" in {value, document.get(key)} else value
    return document


def needed(judgement: Judgement) -> list[Fragment]:
    """The fragments that refusals ask for, each once, as they are read from their text."""
    texts = dict.fromkeys(text for refusal in judgement.refused for text in refusal.needs)
    return [yaml.safe_load(text) for text in texts]


@each_pair
def test_every_difference_is_refused_unless_a_rule_names_it(name: str, reports: dict[str, Report]) -> None:
    report = reports[name]
    judgement = judged(report)
    assert not judgement.allowed
    assert {item.id for item in report.differences} <= {refusal.id for refusal in judgement.refused}
    assert all(refusal.needs for refusal in judgement.refused)


@each_pair
def test_the_rules_that_are_named_allow_it(name: str, reports: dict[str, Report]) -> None:
    judgement = judged(reports[name], *needed(judged(reports[name])))
    assert (judgement.allowed, judgement.refused) == (True, ())


@each_pair
def test_every_one_of_the_rules_is_needed(name: str, reports: dict[str, Report]) -> None:
    fragments = needed(judged(reports[name]))
    whole = merged(fragments)
    for fragment in fragments:
        rest = [item for item in fragments if item != fragment]
        if merged(rest) == whole:
            continue  # another fragment says the same, and more
        assert fragment in needed(judged(reports[name], *rest))


def keys_of(struct: type, prefix: str = "") -> set[str]:
    """The keys of rules, those of nested structures dotted."""
    found = set()
    for field in msgspec.structs.fields(struct):
        is_nested = isinstance(field.default, msgspec.Struct)
        found |= keys_of(type(field.default), f"{field.name}.") if is_nested else {f"{prefix}{field.name}"}
    return found


def test_every_key_of_the_rules_has_a_pair_that_it_refuses(reports: dict[str, Report]) -> None:
    asked: set[str] = set()
    found = [judge(report, parse_rules(b"name: x\npcrs: [0]", "x")) for report in reports.values()]
    for fragment in (fragment for judgement in found for fragment in needed(judgement)):
        for key, value in fragment.items():
            asked |= {f"{key}.{inner}" for inner in value} if isinstance(value, dict) else {key}
    # These are the title, and what a rule of packages allows beside.
    assert keys_of(Rules) - asked == {"name", "package_files"}


def test_the_gate_knows_every_topic_that_a_diff_has(reports: dict[str, Report]) -> None:
    topics = {topic.name for report in reports.values() for topic in report.topics}
    assert topics == set(CHECKS) | {"files"}


def test_what_the_gate_does_not_know_no_rule_can_allow(reports: dict[str, Report]) -> None:
    report = reports["package-update"]
    topics = tuple(
        msgspec.structs.replace(topic, name="news") if topic.name == "packages" else topic for topic in report.topics
    )
    changed = msgspec.structs.replace(report, topics=topics)
    (refusal,) = [item for item in judged(changed, *needed(judged(report))).refused if item.id.startswith("packages/")]
    assert refusal.needs == ()


def test_a_side_that_nobody_signed_is_refused(reports: dict[str, Report]) -> None:
    report = reports["package-update"]
    rules = merged([{"name": "test"}, *needed(judged(report))])
    judgement = judge(report, parse_rules(yaml.safe_dump(rules).encode(), "rules.yaml"))
    assert [(item.id, item.needs) for item in judgement.refused] == [
        ("old", ("unverified: true",)),
        ("new", ("unverified: true",)),
    ]


# The made releases have a verdict only where a pair is about it.
NO_VERDICT: Fragment = {"incomplete": ["policy"]}
ALL_BUT_PACKAGES: tuple[Fragment, ...] = (
    NO_VERDICT,
    {"pcrs": [4, 9, 11], "arguments": ["roothash"], "uki": {"sections": [".*"]}, "version": "newer"},
)


def packages(**rule: Any) -> Fragment:
    return {"packages": [{"names": ["openssl"], "changes": ["upgrade"], **rule}], "package_files": True}


def test_files_of_a_package_that_may_change_may_change(reports: dict[str, Report]) -> None:
    assert judged(reports["package-update"], *ALL_BUT_PACKAGES, packages()).allowed
    refused = judged(reports["package-rebuilt-with-the-same-version"], *ALL_BUT_PACKAGES, packages()).refused
    assert [item.id for item in refused] == ["files/root/usr/bin/openssl"]


@pytest.mark.parametrize("name", ["set-uid", "capability"])
def test_a_package_that_may_change_may_not_gain_power(name: str, tmp_path: Path) -> None:
    pair = next(pair for pair in PAIRS if pair.name == name)
    new = pair.new.with_package("openssl", "3.5.4-1")
    report = compare(BASE.baseline(tmp_path / "old"), new.baseline(tmp_path / "new"))
    refused = judged(report, *ALL_BUT_PACKAGES, packages()).refused
    gains = {"set-uid": "set-uid", "capability": "file capabilities"}[name]
    assert [item.needs for item in refused] == [
        (
            "files: [{areas: [root], changes: [metadata], paths: [/usr/bin/openssl]}]",
            f"privileges: [{{areas: [root], gains: [{gains}], paths: [/usr/bin/openssl]}}]",
        )
    ]


def test_a_downgrade_is_no_upgrade(reports: dict[str, Report]) -> None:
    refused = judged(reports["package-downgrade"], *ALL_BUT_PACKAGES, packages()).refused
    assert {item.id for item in refused} == {"packages/root/openssl", "files/root/usr/bin/openssl"}
    assert refused[0].needs == ("packages: [{areas: [root], changes: [downgrade], names: [openssl]}]",)


def test_another_content_of_the_same_version_is_a_rebuild() -> None:
    item = Difference(id="packages/root/x", kind="package", subject="x", change=Change.CONTENT, area="root")
    rules = parse_rules(b"name: test\npcrs: [0]", "rules.yaml").rules
    assert list(needs.packages(rules, item)) == [
        {"packages": [{"names": ["x"], "changes": ["rebuild"], "areas": ["root"]}]}
    ]


def test_only_what_the_lock_took_from_the_security_archive_is_from_there(tmp_path: Path) -> None:
    rules = (*ALL_BUT_PACKAGES, packages(archive="security"))
    old, new = BASE.baseline(tmp_path / "old"), OPENSSL.baseline(tmp_path / "new")
    refused = judged(compare(old, new), *rules).refused
    assert refused[0].id == "packages/root/openssl"
    assert isinstance(new.packages, tuple)
    secure = tuple(dataclasses.replace(item, is_security=item.name == "openssl") for item in new.packages)
    assert judged(compare(old, dataclasses.replace(new, packages=secure)), *rules).allowed


def test_copies_in_the_initrd_are_of_the_package_only_if_they_are_copies(tmp_path: Path) -> None:
    rules: tuple[Fragment, ...] = (
        *ALL_BUT_PACKAGES,
        {"packages": [{"names": ["linux-image-*"], "changes": ["upgrade"]}], "package_files": True},
        {"kernel": {"modules": ["*"]}},
    )
    pair = next(pair for pair in PAIRS if pair.name == "module")
    old = pair.old.baseline(tmp_path / "old")
    assert judged(compare(old, pair.new.baseline(tmp_path / "new")), *rules).allowed
    path = next(path for path in pair.new.initrd if path.endswith("a.ko"))
    other = pair.new.with_file(path, "initrd", content=b"not what the package has")
    refused = judged(compare(old, other.baseline(tmp_path / "other")), *rules).refused
    assert [item.id for item in refused] == [f"files/initrd{path}"]


def added(
    path: str, *, summary: str = "file 0644 0:0 1 bytes ab", area: str = "root", package: str | None = None
) -> Difference:
    return Difference(
        id=f"files/{area}{path}", kind="file", subject=path, change=Change.ADDED, new=summary, area=area,
        package=package,
    )  # fmt: skip


PLAIN = "directory 0755 0:0"
MODULE = "/usr/lib/modules/6.12/a.ko"


@pytest.mark.parametrize(
    ("directory", "allowed"),
    [
        (added("/usr/lib/modules/6.12", summary=PLAIN), True),
        (added("/usr/lib/modules/6.12", summary="directory 1777 0:0"), False),
        (added("/usr/lib/modules/6.12", summary="directory 0755 1000:0"), False),
        (added("/usr/lib/modules/6.12", summary=PLAIN, area="initrd"), False),
        (added("/usr/lib/modules/6.13", summary=PLAIN), False),
        (added("/usr/lib/modules/6.12/b.ko"), False),
    ],
)
def test_directories_come_with_the_files_of_a_package_that_may_change(directory: Difference, *, allowed: bool) -> None:
    rules = parse_rules(b"name: test\npackage_files: true", "rules.yaml").rules
    files = Files(frozenset({("root", "linux")}), (added(MODULE, package="linux"), directory))
    assert not any(files(rules, added(MODULE, package="linux")))
    assert any(files(rules, directory)) is not allowed


def test_a_version_may_only_go_up(reports: dict[str, Report], tmp_path: Path) -> None:
    rest: Fragment = {**NO_VERDICT, "pcrs": [4, 9, 11], "uki": {"sections": [".osrel"]}}
    assert judged(reports["version"], {**rest, "version": "newer"}).allowed
    report = compare(BASE.but(version="1.0.1").baseline(tmp_path / "old"), BASE.baseline(tmp_path / "new"))
    assert [item.needs for item in judged(report, {**rest, "version": "newer"}).refused] == [("version: any",)]
    assert judged(report, {**rest, "version": "any"}).allowed


def test_a_kernel_may_only_go_up(reports: dict[str, Report], tmp_path: Path) -> None:
    there = needed(judged(reports["kernel"]))
    assert {"kernel": {"release": "newer"}} in there
    back = compare(other_kernel().baseline(tmp_path / "old"), BASE.baseline(tmp_path / "new"))
    assert {"kernel": {"release": "any"}} in needed(judged(back, {"kernel": {"release": "newer"}}))


def test_pcr_7_may_not_move_unless_it_is_named(reports: dict[str, Report]) -> None:
    refused = judged(reports["certificate"], {**NO_VERDICT, "variables": ["db"], "pcrs": [4, 9, 11]}).refused
    assert [item.needs for item in refused] == [("pcrs: [7]",)]


@pytest.mark.parametrize("name", ["waiver", "waiver-added", "policy-verdict", "control-failed", "control-gone"])
def test_a_worse_verdict_is_refused(name: str, reports: dict[str, Report]) -> None:
    assert not judged(reports[name], {"policy": {"controls": "not-worse"}}).allowed


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("passed", "not-applicable"), ("not-applicable", "deferred"), ("deferred", "waived"), ("waived", "failed"),
        ("failed", "crashed"), ("crashed", "news"), ("passed", None), ("failed", None),
    ],
)  # fmt: skip
def test_outcomes_have_an_order(better: str, worse: str | None) -> None:
    rules = parse_rules(b"name: test\npolicy: {controls: not-worse}", "rules.yaml").rules

    def needed_for(old: str | None, new: str | None) -> list[Fragment]:
        item = Difference(
            id="policy/control/X", kind="control", subject="X", change=Change.CONTENT, old=old, new=new
        )  # fmt: skip
        return list(needs.policy(rules, item))

    assert needed_for(better, worse) == [{"policy": {"controls": "any"}}]
    if worse is not None:
        assert needed_for(worse, better) == []


@pytest.mark.parametrize(("old", "new"), [(None, "6.12"), ("", "6.12"), ("6.12", None), ("6.12", ""), ("6.12", "6.11")])
@pytest.mark.parametrize(
    ("kind", "check", "fragment"),
    [
        ("identity", needs.identity, {"version": "any"}),
        ("stub", needs.uki, {"uki": {"stub": "any"}}),
        ("kernel", needs.uki, {"kernel": {"release": "any"}}),
    ],
)
def test_nothing_is_newer_than_what_is_not_known(
    kind: str, check: Check, fragment: Fragment, old: str | None, new: str | None
) -> None:
    text = b"name: test\nversion: newer\nuki: {stub: newer}\nkernel: {release: newer}"
    item = Difference(id="x", kind=kind, subject="version", change=Change.CONTENT, old=old, new=new)
    assert list(check(parse_rules(text, "rules.yaml").rules, item)) == [fragment]


def test_a_better_verdict_is_allowed_where_it_may_not_be_worse(tmp_path: Path) -> None:
    old = BASE.but(policy=VERDICT)
    new = BASE.but(
        policy=dataclasses.replace(
            VERDICT, outcomes=dict.fromkeys(("ZOA-101", "ZOA-102", "ZOA-103"), "passed"), waivers={}
        )
    )
    report = compare(old.baseline(tmp_path / "old"), new.baseline(tmp_path / "new"))
    assert len(report.differences) == 3
    assert judged(report, {"policy": {"controls": "not-worse"}}).allowed


def test_a_new_control_that_fails_is_worse(tmp_path: Path) -> None:
    new = BASE.but(policy=dataclasses.replace(VERDICT, outcomes={**VERDICT.outcomes, "ZOA-103": "failed"}))
    report = compare(BASE.but(policy=VERDICT).baseline(tmp_path / "old"), new.baseline(tmp_path / "new"))
    assert not judged(report, {"policy": {"controls": "not-worse"}}).allowed


def test_a_socket_that_is_started_listens(reports: dict[str, Report]) -> None:
    found = [item for item in judged(reports["socket"]).refused if item.id == "units/root/door.socket"]
    assert "listening" in found[0].needs[0]
    rule = {"names": ["door.socket"], "changes": ["added", "started"]}
    left = [item for item in judged(reports["socket"], {"units": [rule]}).refused if item.id.startswith("units/")]
    assert [item.needs for item in left] == [("units: [{areas: [root], changes: [listening], names: [door.socket]}]",)]


def test_a_new_content_does_not_allow_a_new_mode(tmp_path: Path) -> None:
    new = BASE.with_file("/etc/hostname", content=b"other", mode=0o666)
    report = compare(BASE.baseline(tmp_path / "old"), new.baseline(tmp_path / "new"))
    rule: Fragment = {"files": [{"paths": ["/etc/*"], "changes": ["content", "timestamp"]}]}
    refused = judged(report, *ALL_BUT_PACKAGES, rule).refused
    assert [item.needs for item in refused] == [
        ("files: [{areas: [root], changes: [metadata], paths: [/etc/hostname]}]",)
    ]


@pytest.mark.parametrize(("settings", "word"), [("ProtectSystem=full\n", "sandboxing"), ("ExecStop=/x\n", "programs")])
def test_settings_do_not_stand_for_what_has_a_word_of_its_own(settings: str, word: str, tmp_path: Path) -> None:
    report = compare(unit("").baseline(tmp_path / "old"), unit(f"{settings}Nice=1\n").baseline(tmp_path / "new"))
    rule: Fragment = {"units": [{"names": ["*"], "changes": ["settings"]}]}
    refused = [item for item in judged(report, rule).refused if item.id.startswith("units/")]
    assert [item.needs for item in refused] == [
        (f"units: [{{areas: [root], changes: [{word}], names: [inference.service]}}]",)
    ]


def test_what_was_not_compared_is_refused_unless_a_rule_says_so(tmp_path: Path) -> None:
    old, new = (
        configured("CONFIG_A=y\n").baseline(tmp_path / "old"),
        configured("CONFIG_A=n\n").baseline(tmp_path / "new"),
    )
    report = compare(old, dataclasses.replace(new, kernels=Unknown("its image was not read")))
    rest = needed(judged(report))
    assert {"incomplete": ["kernel-configuration"]} in rest
    assert judged(report, *rest).allowed
    without = [fragment for fragment in rest if "incomplete" not in fragment]
    (refusal,) = judged(report, NO_VERDICT, *without).refused
    assert "its image was not read" in refusal.subject


def test_what_neither_side_has_was_not_compared(reports: dict[str, Report]) -> None:
    report = reports["definition-only"]
    outside = tuple(
        Topic(name=item.name, title=item.title, verdict=Verdict.OUTSIDE, differences=(), incomplete=())
        if item.name == "secure-boot"
        else item
        for item in report.topics
    )
    refused = judged(
        msgspec.structs.replace(report, topics=outside), {"inputs": ["**"], "incomplete": ["policy"]}
    ).refused
    assert [(item.id, item.needs) for item in refused] == [("secure-boot", ("incomplete: [secure-boot]",))]


def test_no_pcrs_are_not_the_same_pcrs(reports: dict[str, Report]) -> None:
    report = msgspec.structs.replace(reports["definition-only"], pcrs=())
    refused = judged(report, {"inputs": ["**"], **NO_VERDICT}).refused
    assert [item.id for item in refused] == ["measurements"]


def test_what_is_inside_and_was_not_compared_is_refused(reports: dict[str, Report]) -> None:
    report = reports["package-update"]
    topics = tuple(
        msgspec.structs.replace(
            topic, differences=tuple(msgspec.structs.replace(item, incomplete="binary") for item in topic.differences)
        )
        if topic.name == "files"
        else topic
        for topic in report.topics
    )
    refused = judged(msgspec.structs.replace(report, topics=topics), *ALL_BUT_PACKAGES, packages()).refused
    assert [item.needs for item in refused] == [("incomplete: [files]",)]


def test_nothing_that_differs_is_allowed_by_any_rules(reports: dict[str, Report], tmp_path: Path) -> None:
    side = BASE.but(policy=VERDICT).baseline(tmp_path / "side")
    judgement = judged(compare(side, side))
    assert (judgement.allowed, judgement.judged) == (True, 0)
