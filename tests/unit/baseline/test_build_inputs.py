"""What the provenance says that a build was made from, as a diff compares it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from builder.baseline.statements import Provenance, build_inputs
from builder.compare.difference import Change, Difference
from builder.definition.problems import InvalidDefinitionError
from builder.release.statements import convert
from builder.review import needs
from builder.review.load import parse_rules


def inputs(layers: Any) -> Any:
    stated = {"buildDefinition": {"internalParameters": {"toolchain": "t", "layers": layers}}}
    return build_inputs(convert(stated, Provenance, what="provenance"))


def layer(name: str, *, cached: bool, digest: str = "1") -> dict[str, Any]:
    files = [{"name": f"{name}.tar", "digest": {"sha256": digest}}]
    return {"name": name, "fromCache": cached, "inputs": {"digest": {"sha256": digest}}, "files": files}


def test_layers_have_names_and_no_word_of_the_cache() -> None:
    assert inputs([layer("base", cached=True), layer("packages", cached=False, digest="2")]) == {
        "internal.toolchain": "t",
        "internal.layers.base.inputs.digest.sha256": "1",
        "internal.layers.base.files.base.tar.name": "base.tar",
        "internal.layers.base.files.base.tar.digest.sha256": "1",
        "internal.layers.packages.inputs.digest.sha256": "2",
        "internal.layers.packages.files.packages.tar.name": "packages.tar",
        "internal.layers.packages.files.packages.tar.digest.sha256": "2",
    }


def test_whether_a_layer_was_made_or_taken_is_no_difference() -> None:
    assert inputs([layer("base", cached=True)]) == inputs([layer("base", cached=False)])


@pytest.mark.parametrize("layers", [None, [], "x", [1], [{}], [{"files": 1}], {"a": "b"}])
def test_layers_of_another_form_do_not_break_it(layers: Any) -> None:
    assert inputs(layers)["internal.toolchain"] == "t"


def test_what_a_package_of_the_engine_needs_can_be_written() -> None:
    item = Difference(
        id="packages/engine/libc6", kind="package", subject="libc6", change=Change.CONTENT, old="1", new="2",
        area="engine", notes=("upgrade",),
    )  # fmt: skip
    ordinary = parse_rules(b"name: x\npackages: [{names: ['*'], changes: [upgrade]}]", "x").rules
    (fragment,) = needs.packages(ordinary, item)
    written = yaml.safe_dump({"name": "x", **fragment}).encode()
    assert list(needs.packages(parse_rules(written, "x").rules, item)) == []
    with pytest.raises(InvalidDefinitionError):
        parse_rules(b"name: x\nfiles: [{paths: [/x], changes: [content], areas: [engine]}]", "x")
