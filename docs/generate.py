"""Write the pages of the reference that follow from the code: ``python docs/generate.py`` (or ``make reference``).

They are committed, so that they can be read without a build; a test fails when one of them is out of date.
"""  # noqa: INP001 -- a script; the test loads it by its path

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import json

from builder.cli.group import VERBS, bedplate
from builder.compare.difference import Report as DiffReport
from builder.definition.kernel import DOORS, OWNED
from builder.definition.schema import DIALECT, json_schema
from builder.history.log import Log
from builder.release.record import BuildRecord
from builder.release.statements import MODEL, REFERENCE_MEASUREMENTS, ReferenceMeasurements
from builder.release.summary import VerificationSummary
from builder.review.report import Judgement
from builder.review.rules import Rules
from builder.weights.identity import TYPE as WEIGHTS
from builder.weights.identity import Model, WeightsIdentity
from policies import reference as controls
from policies.policy import Policy
from policies.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from builder.definition.kernel import RefusedArgument

REFERENCE = Path(__file__).parent / "reference"


def pages() -> dict[str, str]:
    """Every generated file of the reference, by name."""
    return {
        "command-line.md": command_line(),
        "image-yaml.md": image_yaml(),
        "build-record.md": build_record(),
        "controls.md": controls.page(),
        "reference-measurements.schema.json": predicate_schema(),
        "diff.schema.json": diff_schema(),
        "gate.schema.json": _schema(Judgement, {"title": "bedplate diff --allow"}),
        "gate-rules.md": gate_rules(),
        "log.schema.json": _schema(Log, {"title": "bedplate log"}),
        "check-report.schema.json": report_schema(),
        "policy.schema.json": _schema(Policy, {"title": "bedplate policy"}),
        "weights.schema.json": _schema(
            WeightsIdentity, {"$id": f"{WEIGHTS}/schema.json", "title": "bedplate identity of weights"}
        ),
        "model.schema.json": _schema(Model, {"$id": f"{MODEL}/schema.json", "title": "bedplate model"}),
        "policy-verdict.schema.json": _schema(VerificationSummary, {"title": "bedplate policy verdict"}),
    }


def command_line() -> str:
    """Usage, purpose and options of the program and of each verb."""
    lines = [
        "# Command line",
        "",
        "`bedplate VERB --help` says the same. Data goes to standard output; progress, hints and errors go to standard",
        "error. Exit codes have [a page of their own](exit-codes.md).",
        "",
        "| verb | |",
        "|---|---|",
        *(f"| [`{verb}`](#{verb}) | {summary} |" for verb, summary in VERBS.items()),
        "",
    ]
    root = click.Context(bedplate, info_name="bedplate")
    for verb in VERBS:
        lines += _command(_found(bedplate, root, verb), root, verb)
    return "\n".join(lines)


def _found(group: click.Group, context: click.Context, name: str) -> click.Command:
    command = group.get_command(context, name)
    if command is None:
        raise LookupError(f"{name} is not there")
    return command


def _command(command: click.Command, parent: click.Context, name: str) -> list[str]:
    """A verb, and after it what it has below itself."""
    context = click.Context(command, parent=parent, info_name=name)
    path = context.command_path
    arguments = [_argument(item) for item in command.params if isinstance(item, click.Argument)]
    options = [_option(item) for item in command.params if isinstance(item, click.Option)]
    below = command.list_commands(context) if isinstance(command, click.Group) else []
    lines = [
        f"{'#' * path.count(' ')}# {path.removeprefix('bedplate ')}",
        "",
        f"```text\n{' '.join((path, *(['[OPTIONS]'] if options else []), *(['...'] if below else arguments)))}\n```",
        "",
        inspect.cleandoc(command.help or ""),
        "",
    ]
    if options:
        lines += ["| option | meaning |", "|---|---|", *options, ""]
    if examples := getattr(command, "examples", ()):
        lines += ["```text", *examples, "```", ""]
    if isinstance(command, click.Group):
        for inner in below:
            lines += _command(_found(command, context, inner), context, inner)
    return lines


def _argument(argument: click.Argument) -> str:
    return (argument.metavar or argument.name or "").upper()


def _option(option: click.Option) -> str:
    names = ", ".join((*option.opts, *option.secondary_opts))
    meaning = " ".join((option.help or "").split())
    text, bracket, default = meaning.partition(" [default: ")
    if isinstance(option.type, click.Choice):
        text += f" One of {', '.join(f'`{choice}`' for choice in option.type.choices)}."
    if bracket:
        text += f" Default: {default.removesuffix(']')}."
    elif option.secondary_opts:
        text += f" Default: `{(option.opts if option.default else option.secondary_opts)[0]}`."
    elif option.show_default:
        text += f" Default: `{option.default}`."
    if option.envvar:
        text += f" Environment: `{option.envvar}`."
    if option.multiple:
        text += " May be given several times." if "several times" not in text else ""
    if option.required:
        text += " Required."
    if not option.is_flag:
        names += f" {option.metavar or _metavar(option.type)}"
    return f"| `{names}` | {text} |"


def _metavar(kind: Any) -> str:
    name = str(kind.name)
    return {"choice": "WORD", "float range": "NUMBER", "integer range": "NUMBER"}.get(name, name.upper())


def image_yaml() -> str:
    """The keys of a definition, from its JSON Schema."""
    schema = json_schema()
    definitions = schema["$defs"]
    lines = [
        "# image.yaml",
        "",
        "A definition: what an image is made of and how it is to be recognised. Unknown keys, duplicate keys, YAML",
        "anchors and tags are errors that name file, line, key and what was expected. The same rules are in",
        "`images/image.schema.json` (JSON Schema 2020-12), which editors use; `bedplate render --schema` prints it.",
        "",
        "A small one, with every key that is required:",
        "",
        "```yaml",
        "# yaml-language-server: $schema=../image.schema.json",
        "name: small-node",
        "version: 1.0.0",
        "base: ../base",
        "source_date: 2026-11-01T00:00:00Z",
        "seed: 7d0f5a3e-4a61-4a2b-9d6f-0f6f3f1f8a55",
        "```",
        "",
        "## Keys",
        "",
        "| key | value | default | meaning |",
        "|---|---|---|---|",
        *_keys(definitions["ImageDefinition"], definitions, ""),
        "",
        "## Kernel arguments that are refused",
        "",
        "This list catches a mistake where it is made. `-` and `_` in a name are the same; a final `*` stands for any",
        "ending.",
        "",
        "Always:",
        "",
        *_refused(OWNED),
        "",
        "In the profile `production`:",
        "",
        *_refused(DOORS),
        "",
    ]
    return "\n".join(lines)


def _keys(struct: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, key in struct["properties"].items():
        references = [item["$ref"] for item in (key, *key.get("anyOf", ())) if "$ref" in item]
        inner = definitions[references[0].rpartition("/")[2]] if references else {}
        if "properties" in inner:
            yield from _keys(inner, definitions, f"{prefix}{name}.")
            continue
        default = "required" if name in struct["required"] else _value(key["default"])
        description = key["description"].replace("*", "\\*").replace("_", "\\_")
        yield f"| `{prefix}{name}` | {_kind(key | inner)} | {default} | {description} |"
        entry = key.get("items", {}).get("$ref", "").rpartition("/")[2]
        if "properties" in definitions.get(entry, {}):
            yield from _keys(definitions[entry], definitions, f"{prefix}{name}[].")


def gate_rules() -> str:
    """The keys of a file of rules, from its types."""
    schema = json.decode(json.encode(json.schema(Rules)))
    definitions = schema["$defs"]
    lines = [
        "# Rules for a diff",
        "",
        "What `bedplate diff --allow FILE` takes: a YAML file that names what may change between two releases.",
        "Whatever no key names is refused. [Gate a release](../guides/gating.md) shows how rules are written and used.",
        "",
        "Patterns are for whole names: `*` stands for any characters but a slash, `**` for any characters, `?` for",
        "one, and a backslash takes their meaning. Unknown keys, empty lists, duplicate keys, YAML anchors and tags",
        "are errors that name file, line and column, and so are rules that allow nothing.",
        "",
        "| key | value | default | meaning |",
        "|---|---|---|---|",
        *_rule_keys(definitions["Rules"], definitions, ""),
        "",
    ]
    return "\n".join(lines)


def _rule_keys(struct: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, key in struct["properties"].items():
        described = _resolved(key, definitions)
        if "properties" in described:
            yield from _rule_keys(described, definitions, f"{prefix}{name}.")
            continue
        default = "required" if name in struct.get("required", ()) else _rule_default(key["default"])
        items = _resolved(described.get("items", {}), definitions)
        kind = _rule_kind(described, items)
        yield f"| `{prefix}{name}` | {kind} | {default} | {key['description']} |"
        if "properties" in items:
            yield from _rule_keys(items, definitions, f"{prefix}{name}[].")


def _resolved(key: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """A key without its references and without null, which only stands for "not given"."""
    if "anyOf" in key:
        (key,) = (option for option in key["anyOf"] if option.get("type") != "null")
    return definitions[key["$ref"].rpartition("/")[2]] if "$ref" in key else key


def _rule_kind(key: Mapping[str, Any], items: Mapping[str, Any]) -> str:
    if key.get("type") == "array":
        if "enum" in items:
            return f"list of {_kind(items)}"
        inner = {"object": "mappings", "integer": "numbers from 0 to 23"}.get(items["type"], "patterns")
        return f"list of {inner}"
    return "`true` or `false`" if key.get("type") == "boolean" else _kind(key)


def _rule_default(default: Any) -> str:
    return "none" if default in (None, [], False) else _value(default)


def _kind(key: Mapping[str, Any]) -> str:
    if "enum" in key:
        return " or ".join(f"`{value}`" for value in key["enum"])
    if "anyOf" in key:
        return _kind(key["anyOf"][0])
    if key["type"] == "array":
        least = ", at least one" if key.get("minItems") else ""
        return f"list{least}"
    if key["type"] == "boolean":
        return "`true` or `false`"
    if key["type"] == "integer":
        return f"{key['minimum']} to {key['maximum']}"
    return {"date-time": "time in UTC", "uuid": "UUID"}.get(key.get("format", ""), "text")


def _value(default: Any) -> str:
    if default in (None, "", []):
        return "none"
    if isinstance(default, list):
        return ", ".join(f"`{item}`" for item in default)
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`"


def _refused(rules: Iterable[RefusedArgument]) -> Iterator[str]:
    yield "| argument | because it |"
    yield "|---|---|"
    yield from (f"| `{rule.name}` | {rule.reason} |" for rule in rules)


# What the fields of the record mean; a field without a meaning, or a meaning without a field, is an error.
RECORD_FIELDS = {
    "name": "name of the image",
    "version": "version of the image",
    "architecture": "architecture, by systemd's name",
    "profile": "`production` or `development`",
    "stem": "what the release's file names begin with: NAME_VERSION_ARCHITECTURE",
    "inputs": "digest of all that decides the result but the package archive: bedplate, toolchain, mkosi tree",
    "definition": "digest of the definition: image.yaml, its base and its files",
    "tree": "digest of the rendered mkosi tree",
    "source_date_epoch": "SOURCE_DATE_EPOCH of the build, in seconds",
    "seed": "UUID from which partition and file system UUIDs come",
    "bedplate": "version of bedplate",
    "lock": "digest of the lock that the packages were taken from; null without one",
    "toolchain": "name of the toolchain tree, a digest of its recipe",
    "toolchain_packages": "packages of the toolchain tree: name, version, architecture",
    "root_packages": "packages of the root: name, version, architecture, SHA-256 of the .deb file",
    "initrd_packages": "packages of the initrd, the same",
    "engine_packages": "packages of the engine's root, the same; none without an engine",
    "pruned": "for `root` and `initrd`: bytes, files, programs, set-id files and socket addresses before and after "
    "pruning, and the packages that lost most; empty without pruning",
    "layers": "layers of the build: name, digests of what decides it and of its files, why it was made; may be empty",
    "started": "start of the build, UTC",
    "finished": "end of the build, UTC",
    "disk": "digest of the unsigned disk image",
    "policy": "digest of policy.json: packs, controls and waivers that the image was built to satisfy",
}


def build_record() -> str:
    """The fields of build.json."""
    fields = BuildRecord.__struct_fields__
    if set(fields) != set(RECORD_FIELDS):
        raise LookupError(f"build.json has other fields than docs/generate.py: {set(fields) ^ set(RECORD_FIELDS)}")
    lines = [
        "# build.json",
        "",
        "The record of an unsigned build, `dist/NAME/VERSION.unsigned/build.json`. `bedplate sign` refuses a disk",
        "image that does not have the recorded digest, and carries the record into the provenance of the release. It",
        "is not signed itself: move it to the signing machine by a way that you trust. Digests are SHA-256 in",
        "lower-case hexadecimal.",
        "",
        "| field | meaning |",
        "|---|---|",
        *(f"| `{field}` | {RECORD_FIELDS[field]} |" for field in fields),
        "",
    ]
    return "\n".join(lines)


def predicate_schema() -> str:
    """The JSON Schema of the reference-measurements predicate."""
    heading = {"$id": f"{REFERENCE_MEASUREMENTS}/schema.json", "title": "bedplate reference measurements"}
    return _schema(ReferenceMeasurements, heading)


def report_schema() -> str:
    """The JSON Schema of the report of `bedplate check`."""
    return _schema(Report, {"title": "bedplate check report"})


def _schema(kind: type, heading: Mapping[str, str]) -> str:
    schema = json.decode(json.encode(json.schema(kind)))
    for definition in schema["$defs"].values():
        definition["description"] = " ".join(definition["description"].split()).replace("``", "")
    return json.format(json.encode({"$schema": DIALECT, **heading, **schema}), indent=2).decode() + "\n"


def diff_schema() -> str:
    """The JSON Schema of what `bedplate diff --format json` prints."""
    return _schema(DiffReport, {"title": "bedplate diff"})


if __name__ == "__main__":
    for page, text in pages().items():
        (REFERENCE / page).write_text(text, encoding="utf-8")
