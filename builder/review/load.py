"""Reading a file of rules: strict YAML, with every problem by line."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.definition.convert import Converter
from builder.definition.document import read_document
from builder.definition.problems import InvalidDefinitionError, Problem
from builder.files import read_bytes
from builder.review.rules import MAX_RULES_BYTES, Rules

if TYPE_CHECKING:
    from pathlib import Path

_WHAT = "rules for a diff"


@dataclass(frozen=True, slots=True)
class LoadedRules:
    """Rules, and the SHA-256 of the file that they were read from."""

    rules: Rules
    digest: str


def load_rules(path: Path) -> LoadedRules:
    """Read a file of rules. Raises InvalidInputError if it cannot be read or is not accepted."""
    return parse_rules(read_bytes(path, what=_WHAT, limit=MAX_RULES_BYTES), str(path))


def parse_rules(text: bytes, source: str) -> LoadedRules:
    """The rules in a file's content; ``source`` is its name for messages.

    Raises InvalidDefinitionError (an InvalidInputError) with every problem, and for rules that allow nothing: that
    nothing differs, a diff says without rules.
    """
    root = read_document(text, source, _WHAT)
    converter = Converter("the document")
    rules = converter.struct(root, Rules)
    if rules is None:
        raise InvalidDefinitionError(source, converter.problems)
    if rules == Rules(name=rules.name):
        problem = Problem(root.position, "the rules allow nothing", "without --allow nothing may differ either")
        raise InvalidDefinitionError(source, [problem])
    return LoadedRules(rules, hashlib.sha256(text).hexdigest())
