"""Common Expression Language: the one module that knows the library, which is an extra.

An expression is checked twice. When it is compiled, against the types of the facts, so that a misspelt field is an
error even where no image ever reaches it. And when it is evaluated, over the JSON form of the facts, where null is
null and not an empty value. Language: https://github.com/google/cel-spec, langdef.md.
"""

from __future__ import annotations

import functools
import re
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import msgspec

from policies.errors import MissingExtraError
from policies.fact_types import bare, structures

if TYPE_CHECKING:
    import types
    from collections.abc import Mapping, Sequence

Answer = TypeVar("Answer", bool, str)

# CEL's reason may repeat the value that it is about.
_MAX_REASON: Final = 300
_PACKAGE: Final = "facts"
# How the library tells a mistake: line, column, problem; a picture of the line follows.
_PROBLEM: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
# Wrappers are CEL's nullable scalars (langdef.md, "Wrapper types"); Value is JSON of any type.
_SCALARS: Final = {str: "STRING", int: "INT64", bool: "BOOL"}
_NULLABLE: Final = {str: "StringValue", int: "Int64Value", bool: "BoolValue"}


class ExpressionError(Exception):
    """An expression that is none, or that gave no answer; the message is CEL's."""


@dataclass(frozen=True, slots=True)
class Expression(Generic[Answer]):
    """A compiled expression, and the type of its answer."""

    program: Any
    answer: type[Answer]

    def evaluate(self, variables: Mapping[str, object]) -> Answer:
        """The answer for variables as JSON values.

        Raises ExpressionError where there is none: a null, a missing key, an index or an iteration too many.
        """
        # eval(data=...) and not an Activation, and no value of another type than we ask for: version 0.1.3 loses a
        # reference to None in either case, and Python before 3.12 aborts when it has lost them all.
        result = self.program.eval(data=variables)
        kind = result.type()
        if kind != _type_of(self.answer):
            reason = f": {result.value()[:_MAX_REASON]}" if kind.name() == "ERROR" else ""
            raise ExpressionError(
                f"gave {kind.name().lower()} instead of {_type_of(self.answer).name().lower()}{reason}"
            )
        return typing.cast("Answer", result.value())


def compile_expression(text: str, variables: Sequence[tuple[str, type]], answer: type[Answer]) -> Expression[Answer]:
    """An expression over variables, each with its name and its type.

    Raises ExpressionError with CEL's message and position for a syntax error, an unknown name, field or function, and
    an answer of another type. Raises MissingExtraError without the library.
    """
    try:
        kind = _checker(tuple(variables)).compile(text).return_type()
        program = _evaluator(tuple(name for name, _ in variables)).compile(text)
    except RuntimeError as error:
        places = [f"{line}:{column}: {problem}" for line, column, problem in _PROBLEM.findall(str(error))]
        raise ExpressionError("; ".join(places) or str(error)) from None
    if kind not in (_type_of(answer), _library().Type.DYN):
        raise ExpressionError(f"gives {kind.name().lower()}, not {_type_of(answer).name().lower()}")
    return Expression(program, answer)


def _library() -> types.ModuleType:
    try:
        from cel_expr_python import cel  # noqa: PLC0415 -- an extra
        from google.protobuf import descriptor_pool  # noqa: F401, PLC0415 -- the types of the facts need it
    except ImportError as error:
        raise MissingExtraError(
            f"rules of one's own need the Python package {error.name}",
            hint="pip install '.[cel]' in a checkout of bedplate",
        ) from None
    return typing.cast("types.ModuleType", cel)


def _extensions() -> list[object]:
    from cel_expr_python.ext import ext_math, ext_strings  # noqa: PLC0415

    return [ext_math.ExtMath(), ext_strings.ExtStrings()]


def _type_of(answer: type) -> Any:
    kinds = _library().Type
    return {bool: kinds.BOOL, str: kinds.STRING}[answer]


@functools.lru_cache(maxsize=64)
def _evaluator(names: tuple[str, ...]) -> Any:
    cel = _library()
    return cel.NewEnv(variables=dict.fromkeys(names, cel.Type.DYN), extensions=_extensions())


@functools.lru_cache(maxsize=64)
def _checker(variables: tuple[tuple[str, type], ...]) -> Any:
    cel = _library()
    scalars = {str: cel.Type.STRING, int: cel.Type.INT, bool: cel.Type.BOOL}
    declared = {
        name: scalars[kind] if kind in scalars else cel.Type(f"{_PACKAGE}.{kind.__name__}") for name, kind in variables
    }
    roots = tuple(kind for _, kind in variables if kind not in scalars)
    return cel.NewEnv(_pool(roots), variables=declared, extensions=_extensions())


def _pool(roots: Sequence[type]) -> Any:
    """Message types that have the names and types of the facts' fields."""
    from google.protobuf import descriptor_pb2, descriptor_pool, struct_pb2, wrappers_pb2  # noqa: PLC0415

    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="facts.proto", package=_PACKAGE, syntax="proto3")
    for known in (struct_pb2, wrappers_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
        file.dependency.append(known.DESCRIPTOR.name)
    for kind in structures(roots):
        message = file.message_type.add(name=kind.__name__)
        for number, field in enumerate(msgspec.structs.fields(kind), start=1):
            _declare(message, number, field.encode_name, field.type)
    pool.AddSerializedFile(file.SerializeToString())
    return pool


def _declare(message: Any, number: int, name: str, annotation: Any) -> None:
    """Declare a field of a protobuf message (descriptor.proto, FieldDescriptorProto)."""
    kind, nullable = bare(annotation)
    origin = typing.get_origin(kind)
    field = message.field.add(name=name, number=number, label=1)
    if origin is dict and not nullable:
        # A map is a repeated entry (protobuf's "Backwards compatibility" of maps).
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        for position, (part, of) in enumerate(zip(("key", "value"), typing.get_args(kind), strict=True), start=1):
            _set_type(entry.field.add(name=part, number=position, label=1), of, nullable=False)
        field.label, field.type, field.type_name = 3, 11, f".{_PACKAGE}.{message.name}.{entry.name}"
    elif origin is tuple and not nullable:
        field.label = 3
        _set_type(field, bare(typing.get_args(kind)[0])[0], nullable=False)
    else:
        _set_type(field, kind, nullable=nullable)


def _set_type(field: Any, kind: Any, *, nullable: bool) -> None:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        field.type, field.type_name = 11, f".{_PACKAGE}.{kind.__name__}"
    elif kind in _SCALARS and not nullable:
        field.type = field.Type.Value(f"TYPE_{_SCALARS[kind]}")
    else:
        # A list or a mapping that may be null: protobuf has no such type, so it is checked when it is evaluated.
        field.type, field.type_name = 11, f".google.protobuf.{_NULLABLE.get(kind, 'Value')}"
