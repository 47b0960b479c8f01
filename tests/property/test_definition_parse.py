"""Whatever stands in an ``image.yaml``, it is accepted or refused in the way that is documented."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from builder.cli.errors import render
from builder.definition.load import parse
from builder.definition.problems import InvalidDefinitionError
from builder.errors import InvalidInputError

KEYS = ["name", "version", "base", "kernel", "command_line", "packages", "esp", "size_mib", "seed", "source_date", "<<"]
VALUES = ["node", "1.0", "../base", "0", "-1", "~", "", "2026-01-31T00:00:00Z", "\x1b[2J", "\ud800", "a: b", "&a", "*a"]
MINIMAL = {
    "name": "node",
    "version": "1.0",
    "base": "../base",
    "source_date": "2026-01-31T00:00:00Z",
    "seed": "7ab0b0a9-2f4e-4ce5-8d0f-0c9ec1a4ad1b",
}

scalars = st.one_of(st.sampled_from(VALUES), st.text(max_size=20), st.integers(), st.booleans(), st.none(), st.floats())
documents = st.recursive(
    scalars,
    lambda children: st.one_of(
        st.lists(children, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=5)), children, max_size=5),
    ),
    max_leaves=20,
)
yaml_like = st.lists(
    st.sampled_from([*KEYS, *VALUES, ": ", "\n", "  ", "\t", "- ", "[", "]", "{", "}", ",", "&a ", "*a", "!!int ",
                     "---", "...", "%YAML 1.1\n", "%TAG ! x\n", '"', "'", "|", ">", "? ", "#",
                     '"\\UFFFFFFFF"', '"\\ud800"']),
    max_size=40,
).map("".join)  # fmt: skip


def accept_or_refuse(text: bytes) -> None:
    """Parse; only InvalidInputError may come out, and telling of it must work."""
    with contextlib.suppress(InvalidInputError):
        try:
            parse(text, "image.yaml")
        except InvalidInputError as error:
            told = render(error)
            assert told.startswith("error: image.yaml")
            assert all(character.isprintable() or character == "\n" for character in told)
            raise


@given(st.binary(max_size=300))
def test_random_bytes_are_refused_with_a_place(text: bytes) -> None:
    accept_or_refuse(text)


@given(st.text(max_size=300))
def test_random_text_is_refused_with_a_place(text: str) -> None:
    accept_or_refuse(text.encode("utf-8", "surrogatepass"))


@given(yaml_like)
@example('"\\UFFFFFFFF"')
@example("%YAML 99999999999999999999.1\n---\n")
@example("!<tag:yaml.org,2002:str> x")
def test_text_that_looks_like_yaml_is_accepted_or_refused(text: str) -> None:
    accept_or_refuse(text.encode("utf-8", "surrogatepass"))


@given(documents)
def test_any_document_is_accepted_or_refused(document: Any) -> None:
    accept_or_refuse(yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass"))


@given(st.dictionaries(st.sampled_from(KEYS), documents, max_size=6))
def test_any_change_of_a_good_definition_is_accepted_or_refused(change: dict[str, Any]) -> None:
    accept_or_refuse(yaml.safe_dump(MINIMAL | change).encode("utf-8", "surrogatepass"))


@given(st.lists(st.from_regex(r"[a-z]{6,10}", fullmatch=True), min_size=1, max_size=5, unique=True))
def test_every_unknown_key_is_told_at_once(names: list[str]) -> None:
    unknown = [f"x{name}" for name in names]
    text = yaml.safe_dump(MINIMAL, sort_keys=False) + "".join(f"{name}: 1\n" for name in unknown)
    with pytest.raises(InvalidDefinitionError, match="is not a known key") as caught:
        parse(text.encode(), "image.yaml")
    problems = caught.value.problems
    assert [problem.sentence for problem in problems] == [f"{name} is not a known key" for name in unknown]
    assert [problem.position.line for problem in problems] == [6 + index for index in range(len(unknown))]


@given(st.from_regex(r"[0-9a-z][0-9a-z.~^-]{0,63}", fullmatch=True))
def test_every_version_that_is_allowed_comes_back_as_it_was_written(version: str) -> None:
    text = yaml.safe_dump(MINIMAL | {"version": "VERSION"}).replace("VERSION", version)
    # A plain null word means "nothing given", like everywhere in YAML.
    if version in {"null", "~"}:
        accept_or_refuse(text.encode())
    else:
        assert parse(text.encode(), "image.yaml").version == version
