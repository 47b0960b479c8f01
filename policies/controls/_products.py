"""Find a piece of software in an image by all that it leaves there: programs, content, packages, units, files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from policies.finding import Evidence, Finding, about_name, about_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.facts import Area, Facts, File, Program, Unit

_NOTHING: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Product:
    """What gives a piece of software away. Any one of these is enough."""

    what: str  # continues "is ": "an SSH server"
    programs: frozenset[str] = _NOTHING  # names of executable files, and of links to them
    identities: frozenset[str] = _NOTHING  # Elf.identities
    packages: frozenset[str] = _NOTHING  # of the package database, or of an ELF file's package note
    units: frozenset[str] = _NOTHING  # names without the type; templates with their "@"
    folders: tuple[str, ...] = ()  # beginnings of paths of files, with the last slash


def words(text: str) -> frozenset[str]:
    """A set of names from a text with spaces between them."""
    return frozenset(text.split())


def find_product(facts: Facts, product: Product) -> Iterator[Finding]:
    """A finding for each file, package and unit of a product in root and initrd. Masked units are not counted."""
    for area in facts.areas:
        for path, reason in sorted(_reasons(area, product).items()):
            file = area.by_path[path]
            yield about_path(area, path, f"is {product.what}: {reason}{_owner(file)}", f"mode {file.mode:04o}")
        for package in area.packages:
            if package.name in product.packages:
                path = "package database"
                yield about_name(
                    area, f"package:{package.name}", f"is {product.what}", (path, f"{package.name} {package.version}")
                )
        for unit in area.systemd.units:
            names = {name.rpartition(".")[0] for name in (unit.name, *unit.aliases)}
            if names & product.units and exists(unit):
                yield about_unit(area, unit, f"starts {product.what}")


def find_generators(facts: Facts, parts: tuple[str, ...], message: str) -> Iterator[Finding]:
    """A finding for each generator that is not masked and has one of the parts in its name."""
    for area in facts.areas:
        for generator in area.systemd.generators:
            if not generator.masked and any(part in generator.name for part in parts):
                yield about_path(area, generator.path, message, f"{generator.manager} generator")


def program_name(program: Program) -> str:
    """The file name of what a unit executes."""
    return program.path.rpartition("/")[2]


def exists(unit: Unit) -> bool:
    """Whether systemd could start it, or instances of it: it is not masked and has a file."""
    return unit.masked_by is None and unit.path is not None


def about_unit(area: Area, unit: Unit, message: str, *more: Evidence) -> Finding:
    """A finding about a unit: evidence is its file, what it executes, and how the start reaches it."""
    chain = "not brought in by the start" if unit.pulled_in_by is None else " -> ".join(unit.pulled_in_by)
    evidence = [Evidence(source=area.name, path=unit.path or unit.name, value=chain)]
    for program in unit.programs:
        words = " ".join((program.prefixes + program.path, *program.arguments))
        evidence.append(Evidence(source=area.name, path=str(program.origin), value=f"{program.setting}={words}"))
    return Finding(subject=f"{area.name}:{unit.name}", message=message, evidence=(*more, *evidence))


def is_program(area: Area, file: File) -> bool:
    """Whether a path can be executed: an executable file, or a link to one."""
    if file.type != "symlink":
        return file.is_executable
    target = area.find(file.path)
    return target is not None and target.is_executable


def _reasons(area: Area, product: Product) -> dict[str, str]:
    """Why a file belongs to a product, by path; where there are several reasons, the first of these."""
    reasons: dict[str, str] = {}
    for name in product.programs & area.programs.keys():
        reasons |= {file.path: "a program of that name" for file, _ in area.programs[name]}
    for elf in area.elf:
        found = sorted(product.identities.intersection(elf.identities))
        if found:
            reasons.setdefault(elf.path, f"a program with the content of {found[0]}")
        elif elf.packaged_as in product.packages:
            reasons.setdefault(elf.path, f"its note names the package {elf.packaged_as}")
    for file in area.reached if product.folders else ():
        if file.type != "directory" and file.path.startswith(product.folders):
            reasons.setdefault(file.path, "a file of it")
    return reasons


def _owner(file: File) -> str:
    return f", from package {file.package}" if file.package else ""
