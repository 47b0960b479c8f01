"""The reference page of controls, written from the controls themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.control import Door
from policies.document import read
from policies.pack import BUILTIN, PackDocument, load
from policies.registry import by_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from policies.control import Control


def page() -> str:
    """The page in Markdown: the packs, then every control by door and id."""
    packs = {path.stem: path for path in sorted(BUILTIN.glob("*.yaml"))}
    members = {name: frozenset(selected.control.id for selected in load([name])) for name in packs}
    controls = by_id()
    lines = [
        "# Controls",
        "",
        "What `bedplate check` looks at. `bedplate check --explain ID` says the same of one control. How to add one is",
        "in [Writing a control](../guides/writing-controls.md).",
        "",
        "| pack | controls | |",
        "|---|---|---|",
        *(
            f"| `{name}` | {len(members[name])} | {read(path, PackDocument).description} |"
            for name, path in packs.items()
        ),
        "",
    ]
    for door in Door:
        behind = [control for control in controls.values() if control.door is door]
        if behind:
            lines += [f"## {door.heading}", "", "| id | severity | what holds in a good image |", "|---|---|---|"]
            lines += [f"| [{item.id}](#{item.id.lower()}) | {item.severity} | {item.title} |" for item in behind]
            lines += ["", *(line for control in behind for line in _section(control, members))]
    return "\n".join(lines)


def _section(control: Control, members: Mapping[str, frozenset[str]]) -> Iterator[str]:
    packs = [name for name, ids in members.items() if control.id in ids]
    yield from (f"### {control.id}", "", f"**{control.title}** ({control.severity}).", "")
    for heading, text in (
        ("What it checks", control.looks_at),
        ("Why it matters", control.rationale),
        ("Example", control.example),
        ("Fix", control.fix),
        ("Known limits", control.limits),
    ):
        yield from (f"*{heading}:* {_escaped(text)}", "")
    for parameter in control.parameters:
        yield from (f"*Parameter* `{parameter.name}`: {_escaped(parameter.description)}", "")
    notes = [f"*Packs:* {', '.join(f'`{name}`' for name in packs) or 'none'}."]
    if control.references:
        notes.append(f"*References:* {'; '.join(control.references)}.")
    if control.needs:
        notes.append(f"*Needs:* {', '.join(control.needs)}; a directory has none of them.")
    if control.stage == "signed":
        notes.append("*Deferred* by `bedplate build`: it can hold only once the image is signed.")
    yield from (" ".join(notes), "")


def _escaped(text: str) -> str:
    """Prose in which no character is taken for markup."""
    return "".join(f"\\{character}" if character in "*_<>[]|" else character for character in text)
