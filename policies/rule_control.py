"""Controls made of rules: compiled when a pack is loaded, evaluated by the engine like any other."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec

from policies.cel import Answer, Expression, ExpressionError, compile_expression
from policies.control import Control, Need
from policies.fact_types import entries_of
from policies.facts import Facts
from policies.finding import Evidence, Finding, Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from policies.control import Parameters
    from policies.rule import Rule

_MAX_ITEMS: Final = 1_000_000
# CEL bounds one evaluation (10 000 steps of an iteration); this bounds all evaluations of a rule.
_SECONDS: Final = 60
_MAX_VALUE: Final = 300
_NEEDS: Final[tuple[Need, ...]] = get_args(Need)


@dataclass(frozen=True, slots=True)
class _Check:
    """The expressions of a rule; called with facts it gives findings, as any check of a control."""

    each: tuple[str, ...]
    fails: Expression[bool]
    subject: Expression[str]
    message: Expression[str]
    value: Expression[str] | None
    text: str

    def __call__(self, facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
        """The findings. Raises ExpressionError for the first entry for which an expression gives no answer."""
        deadline = time.monotonic() + _SECONDS
        for number, variables in enumerate(self._entries(facts)):
            if number >= _MAX_ITEMS or time.monotonic() > deadline:
                raise ExpressionError(f"took more than {_SECONDS} seconds or {_MAX_ITEMS} entries")
            if self.fails.evaluate(variables):
                yield self._finding(variables)

    def _entries(self, facts: Facts) -> Iterator[dict[str, Any]]:
        if not self.each:
            yield {"facts": facts.as_json}
        for path in self.each:
            found: Any = facts.as_json
            for part in path.split("."):
                found = found[part]
            yield from ({"facts": facts.as_json, "area": _area(path), "item": item} for item in found)

    def _finding(self, variables: dict[str, Any]) -> Finding:
        subject = self.subject.evaluate(variables)
        source, _, path = subject.partition(":")
        if source not in get_args(Source) or not path:
            raise ExpressionError(f"gave the subject {subject!r}, not one of the form AREA:PATH")
        message = self.message.evaluate(variables)
        if not message.strip():
            raise ExpressionError(f"gave no message for {subject}")
        evidence = Evidence(source=msgspec.convert(source, Source), path=path, value=self._value(variables))
        return Finding(subject=subject, message=message.strip().removesuffix("."), evidence=(evidence,))

    def _value(self, variables: dict[str, Any]) -> str:
        if self.value is not None:
            return self.value.evaluate(variables)
        if "item" not in variables:
            return self.text
        return msgspec.json.encode(variables["item"]).decode()[:_MAX_VALUE]


def control_of(rule_id: str, rule: Rule) -> Control:
    """The control that a rule stands for.

    Raises ValueError with the key of the rule and what is wrong there: a path that leads to no list of the facts, or
    an expression that CEL does not accept. Raises MissingExtraError without CEL.
    """
    variables: tuple[tuple[str, type], ...] = (("facts", Facts),)
    if rule.each:
        kinds = {entries_of(path) for path in rule.each}
        if len(kinds) > 1:
            raise ValueError("the lists of each hold different kinds of entries")
        variables = (*variables, ("area", str), ("item", kinds.pop()))
    check = _Check(
        each=rule.each,
        fails=_compiled("fails", rule.fails, variables, bool),
        subject=_compiled("subject", rule.subject, variables, str),
        message=_compiled("message", rule.message, variables, str),
        value=None if rule.value is None else _compiled("value", rule.value, variables, str),
        text=rule.fails.strip(),
    )
    parts = {path.partition(".")[0] for path in rule.each}
    return Control(
        id=rule_id,
        door=rule.door,
        severity=rule.severity,
        title=rule.title,
        looks_at=f"{' and '.join(rule.each) or 'The image as a whole'}, where {rule.fails.strip()}",
        rationale=rule.rationale,
        example="Whatever the expression is true for.",
        fix=rule.fix,
        limits="Sees what the facts hold and the expression asks for, and nothing else.",
        references=rule.references,
        parameters=(),
        needs=tuple(need for need in _NEEDS if need in parts or need in rule.needs),
        stage="built",
        check=check,
        rule=rule,
    )


def _area(path: str) -> str:
    """The area that subjects of entries of a list begin with."""
    return path.partition(".")[0].removesuffix("_files")


def _compiled(key: str, text: str, variables: Sequence[tuple[str, type]], answer: type[Answer]) -> Expression[Answer]:
    try:
        return compile_expression(text, variables, answer)
    except ExpressionError as error:
        raise ValueError(f"{key}: {error}") from None
