"""What a difference needs: the fragments of rules that would have to be there, and whether they are.

A fragment is a piece of a file of rules as plain values, such as ``{"pcrs": [7]}``. Each function here yields those
that the rules lack for one difference of its topic; nothing means that it is allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from builder.compare.difference import Change
from builder.compare.packages import FROM_SECURITY
from builder.compare.variables import variable_of
from builder.image import debversion
from builder.release.version import compare_versions
from builder.review.globs import literal, matches
from builder.review.rules import Archive, Outcomes, PackageChange, PackageRule, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from builder.compare.difference import Difference
    from builder.review.rules import Rules, ToolRule

Fragment = dict[str, Any]
# From the best to the worst; an outcome that is not here is worse than all.
_OUTCOMES: Final = ("passed", "not-applicable", "deferred", "waived", "failed", "crashed")
_PACKAGE_WORDS: Final = {"upgrade": PackageChange.UPGRADE, "downgrade": PackageChange.DOWNGRADE}


class Check(Protocol):
    """What the rules lack for a difference of one topic."""

    def __call__(self, rules: Rules, item: Difference) -> Iterator[Fragment]:
        """The fragments."""
        ...


def named(patterns: Callable[[Rules], Iterable[str]], *keys: str) -> Callable[[Rules, str], Iterator[Fragment]]:
    """A check of a name against a list of patterns below ``keys``."""

    def check(rules: Rules, name: str) -> Iterator[Fragment]:
        if not matches(patterns(rules), name):
            yield below(keys, [literal(name)])

    return check


def below(keys: Iterable[str], value: Any) -> Fragment:
    """A value that stands under these keys."""
    for key in reversed(tuple(keys)):
        value = {key: value}
    found: Fragment = value
    return found


_identity = named(lambda rules: rules.identity, "identity")
_options = named(lambda rules: rules.kernel.options, "kernel", "options")
_modules = named(lambda rules: rules.kernel.modules, "kernel", "modules")
_sections = named(lambda rules: rules.uki.sections, "uki", "sections")
_certificates = named(lambda rules: rules.uki.certificates, "uki", "certificates")
_arguments = named(lambda rules: rules.arguments, "arguments")
_settings = named(lambda rules: rules.settings, "settings")
_partitions = named(lambda rules: rules.partitions, "partitions")
_inputs = named(lambda rules: rules.inputs, "inputs")
_variables = named(lambda rules: rules.variables, "variables")
_keys = named(lambda rules: rules.keys, "keys")
_esp = named(lambda rules: rules.esp, "esp")
_tree = named(lambda rules: rules.tree, "tree")
_demands = named(lambda rules: rules.policy.demands, "policy", "demands")
_waivers = named(lambda rules: rules.policy.waivers, "policy", "waivers")


def measurements(rules: Rules, item: Difference) -> Iterator[Fragment]:
    """A PCR that moved, or what its values hold for."""
    last = item.id.rpartition("/")[2]
    if item.kind == "PCR":
        pcr = int(last.removeprefix("pcr-"))
        if pcr not in rules.pcrs:
            yield {"pcrs": [pcr]}
    else:
        yield from _settings(rules, last)


def identity(rules: Rules, item: Difference) -> Iterator[Fragment]:
    """The version by its direction, everything else by name."""
    if item.subject == "version":
        yield from _step(rules.version, item, compare_versions, "version")
    else:
        yield from _identity(rules, item.subject)


def inputs(rules: Rules, item: Difference) -> Iterator[Fragment]:
    """A build input, by its dotted name."""
    return _inputs(rules, item.subject)


def tree(rules: Rules, item: Difference) -> Iterator[Fragment]:
    """A file of the mkosi tree, by path."""
    return _tree(rules, item.subject)


def package_change(item: Difference) -> PackageChange:
    """What happened to a package."""
    if item.change in {Change.ADDED, Change.REMOVED}:
        return PackageChange(item.change.value)
    return next((word for note, word in _PACKAGE_WORDS.items() if note in item.notes), PackageChange.REBUILD)


def packages(rules: Rules, item: Difference) -> Iterator[Fragment]:
    """A package of root or initrd; one that goes comes from nowhere."""
    change = package_change(item)
    is_secure = change is PackageChange.REMOVED or FROM_SECURITY in item.notes
    fits = (rule for rule in rules.packages if _is_about(rule, item, change) and item.area in rule.areas)
    if not any(rule.archive is None or (rule.archive is Archive.SECURITY and is_secure) for rule in fits):
        yield {"packages": [{**_package(item, change), "areas": [item.area]}]}


def toolchain(rules: Rules, item: Difference) -> Iterator[Fragment]:
    """A package that builds."""
    change = package_change(item)
    if not any(_is_about(rule, item, change) for rule in rules.toolchain):
        yield {"toolchain": [_package(item, change)]}


def _is_about(rule: ToolRule | PackageRule, item: Difference, change: PackageChange) -> bool:
    return change in rule.changes and matches(rule.names, _package_name(item))


def _package(item: Difference, change: PackageChange) -> Fragment:
    return {"names": [literal(_package_name(item))], "changes": [change.value]}


def _package_name(item: Difference) -> str:
    return item.subject.partition(":")[0]


def arguments(rules: Rules, item: Difference) -> Iterator[Fragment]:
    """A kernel argument by name, or the order of all."""
    if item.change in {Change.ORDER, Change.METADATA}:
        if not rules.argument_order:
            yield {"argument_order": True}
    else:
        yield from _arguments(rules, item.subject)


def uki(rules: Rules, item: Difference) -> Iterator[Fragment]:
    """A section, the stub, or the kernel's release."""
    if item.kind == "section":
        yield from _sections(rules, item.subject)
    elif item.kind == "stub":
        yield from _step(rules.uki.stub, item, debversion.compare, "uki", "stub")
    else:
        yield from _step(rules.kernel.release, item, debversion.compare, "kernel", "release")


def options(rules: Rules, item: Difference) -> Iterator[Fragment]:
    """A kernel option."""
    return _options(rules, item.subject)


def modules(rules: Rules, item: Difference) -> Iterator[Fragment]:
    """A kernel module."""
    return _modules(rules, item.subject)


def packing(rules: Rules, item: Difference) -> Iterator[Fragment]:  # noqa: ARG001 -- a Check
    """Order and compression of the initrd."""
    if not rules.uki.packing:
        yield {"uki": {"packing": True}}


def signature(rules: Rules, item: Difference) -> Iterator[Fragment]:
    """A certificate of the UKI's signature, or only its bytes."""
    if item.change is Change.SIGNATURE:
        if not rules.uki.signature:
            yield {"uki": {"signature": True}}
    else:
        yield from _certificates(rules, item.new or item.old or "")


def variables(rules: Rules, item: Difference) -> Iterator[Fragment]:
    """An entry of a Secure Boot variable."""
    return _variables(rules, variable_of(item))


def partitions(rules: Rules, item: Difference) -> Iterator[Fragment]:
    """A partition that came or went, or each of its fields."""
    whole = item.change in {Change.ADDED, Change.REMOVED}
    for name in (item.change.value,) if whole else (field.name for field in item.fields):
        yield from _partitions(rules, name)


def esp(rules: Rules, item: Difference) -> Iterator[Fragment]:
    """A file beside the UKI."""
    return _esp(rules, item.subject)


def policy(rules: Rules, item: Difference) -> Iterator[Fragment]:
    """An outcome or the verdict, which may not be worse, a waiver, which may not be new, or what is asked."""
    if item.kind == "demand":
        yield from _demands(rules, item.subject)
        return
    if item.kind == "waiver" and item.new is not None:
        yield from _waivers(rules, item.subject)
        return
    is_worse = item.kind != "waiver" and _is_worse(item.old, item.new)
    wanted = Outcomes.ANY if is_worse else Outcomes.NOT_WORSE
    if rules.policy.controls not in {wanted, Outcomes.ANY}:
        yield {"policy": {"controls": wanted.value}}


def keys(rules: Rules, item: Difference) -> Iterator[Fragment]:
    """A key that signs the statements."""
    return _keys(rules, item.subject)


def _is_worse(old: str | None, new: str | None) -> bool:
    """Whether an outcome got worse; a control that is gone did, and so did one that is new and finds something."""
    if old is None or new is None:
        return new not in {"passed", "not-applicable"}
    return _rank(new) > _rank(old)


def _rank(outcome: str) -> int:
    return _OUTCOMES.index(outcome) if outcome in _OUTCOMES else len(_OUTCOMES)


def _step(allowed: Step | None, item: Difference, compare: Callable[[str, str], int], *keys: str) -> Iterator[Fragment]:
    """A version is newer than one that is known, or it may be any."""
    is_newer = item.old and item.new and compare(item.old, item.new) < 0
    wanted = Step.NEWER if is_newer else Step.ANY
    if allowed not in {wanted, Step.ANY}:
        yield below(keys, wanted.value)
