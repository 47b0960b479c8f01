"""The images of a rendered tree that the disk is made from, each on the one below (``images/base``).

``base`` is what root and initrd have in common, ``initrd`` is made of it without installing more, ``packages`` adds the
root's own packages. ``programs``, compiled for the image, stand on nothing. mkosi's main image, ``disk``, puts them
together with files and installs nothing.

An image gets a tree of its own, in which nothing is but what it may read. So whatever decides its bytes is in the rows
of its ``inputs``, and an image that was made of the same rows is as good as a new one.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from builder.definition.lock import ENGINE_PART, Part
from builder.definition.render import ENGINE_TREE, PROGRAMS_TREE, RenderedFile, RenderedTree
from builder.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from builder.definition.lock import LockedPackage
    from builder.definition.render import RenderedLink
    from builder.mkosi.manifest import InstalledPackage

DISK: Final = "disk"
COMMON: Final = "common.conf"
_IMAGES: Final = "mkosi.images"
_NAMED: Final = re.compile(r"(?:\.\./\.\.|\$SRCDIR)/([\w.-]+)")
_NOTHING: Final = "[Output]\nFormat=none\n"
# Raise it when an image is made in another way from the same rows.
_RECIPE: Final = "1"
_SHOWN_ROWS: Final = 4


@dataclass(frozen=True, slots=True)
class Layer:
    """An image below the disk: the layers that it is made of, the parts of the lock that it installs, what it leaves.

    ``outputs`` are the names of files in mkosi's output directory; beside them is ``report`` if it is pruned, and
    ``manifest`` if it installs packages.
    """

    name: str
    on: tuple[str, ...]
    parts: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def manifest(self) -> str:
        """Where mkosi lists what packages it added."""
        return f"{self.name}.manifest"

    @property
    def report(self) -> str:
        """What pruning did to it, see ``builder.mkosi.prune_report``."""
        return f"prune-{self.name}.json"


# The layers of every image, in the order in which they are made.
LAYERS: Final = (
    Layer("base", (), (Part.INITRD,), ("base.tar",)),
    Layer("initrd", ("base",), (), ("initrd.cpio.zst",)),
    Layer("packages", ("base",), (Part.INITRD, Part.ROOT), ("packages.tar",)),
)
# The compiler is the toolchain's.
PROGRAMS: Final = Layer("programs", (), (), ("programs.tar",))
# The root of an engine, which has a rendered tree of its own.
ENGINE: Final = Layer("engine", (), (ENGINE_PART,), ("engine.tar",))
# Taken into the disks of those images that have such a thing, and made after the others.
OPTIONAL_LAYERS: Final = (PROGRAMS, ENGINE)
# From which images the packages of root and initrd come.
IMAGES_OF: Final = {"root": ("base", "packages", DISK), "initrd": ("base", "initrd")}

# What decides the bytes of an image: a short name of each thing, and its digest or value.
Inputs = dict[str, str]


def key_of(inputs: Inputs) -> str:
    """SHA-256 (hex) over the rows."""
    return hashlib.sha256(json.dumps(sorted(inputs.items())).encode()).hexdigest()


def differences(old: Inputs, new: Inputs) -> dict[str, str]:
    """The rows that differ, sorted by name: "changed", "is new" or "is gone"."""
    words = {(True, False): "is gone", (False, True): "is new", (True, True): "changed"}
    return {
        name: words[name in old, name in new]
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    }


def explain(rows: Mapping[str, str]) -> str:
    """Some differences as a sentence, the first ones of many."""
    shown = [f"{name} {what}" for name, what in rows.items()][:_SHOWN_ROWS]
    more = f" and {len(rows) - _SHOWN_ROWS} more" if len(rows) > _SHOWN_ROWS else ""
    return "; ".join(shown) + more


def layer_inputs(
    layer: Layer, tree: RenderedTree, packages: Iterable[LockedPackage], below: Mapping[str, str], tools: str
) -> Inputs:
    """The rows of a layer. ``tree`` is its own, ``packages`` are those of its parts, ``below`` has keys by layer.

    ``tools`` names the toolchain, and with which rights it runs.
    """
    installed = packages if layer.parts else ()
    return {
        "recipe": _RECIPE,
        "tools": tools,
        **{f"layer {name}": below[name] for name in layer.on},
        **{f"package {package.name} ({package.architecture})": package.sha256 for package in installed},
        **tree_rows(tree),
    }


def tree_rows(tree: RenderedTree) -> Inputs:
    """A row for each file and link of a tree."""
    return {f"file {path}": _entry_digest(entry) for path, entry in tree.entries.items()}


def layer_tree(tree: RenderedTree, layer: Layer) -> RenderedTree:
    """The part of a rendered tree that makes a layer: its own directory, and what that names outside.

    Settings name files of the tree by ``../../``, scripts by ``$SRCDIR/``. What is not named is not there. Stock mkosi
    builds the layer from it. Raises InvalidInputError if the tree has no such image.
    """
    if layer == ENGINE:
        return engine_tree(tree)
    own = _directory(layer)
    entries = {path: entry for path, entry in tree.entries.items() if path.is_relative_to(own)}
    if own / "mkosi.conf" not in entries or PurePosixPath(COMMON) not in tree.entries:
        raise InvalidInputError(f"the rendered tree has no {own}/mkosi.conf or no {COMMON}")
    text = b"\n".join(entry.content for entry in entries.values() if isinstance(entry, RenderedFile)).decode()
    named = {COMMON, *_NAMED.findall(text)} - {_IMAGES}
    entries |= {path: entry for path, entry in tree.entries.items() if path.parts[0] in named}
    main = f"[Include]\nInclude={COMMON}\n\n{_NOTHING}\n[Config]\nDependencies={layer.name}\n"
    entries[PurePosixPath("mkosi.conf")] = RenderedFile(main.encode(), executable=False)
    return RenderedTree(dict(sorted((entries | _finished(layer.on)).items())))


def layers_of(tree: RenderedTree) -> tuple[Layer, ...]:
    """The layers of a rendered tree, in the order in which they are made."""
    directories = {parent for path in tree.entries for parent in path.parents}
    return (*LAYERS, *(layer for layer in OPTIONAL_LAYERS if _directory(layer) in directories))


def engine_tree(tree: RenderedTree) -> RenderedTree:
    """The tree that makes the root of the engine."""
    return RenderedTree(
        {
            path.relative_to(ENGINE_TREE): entry
            for path, entry in tree.entries.items()
            if path.is_relative_to(ENGINE_TREE)
        }
    )


def disk_tree(tree: RenderedTree) -> RenderedTree:
    """The part of a rendered tree that makes the disk of finished layers."""
    apart = {_IMAGES, PROGRAMS_TREE.name, ENGINE_TREE.name}
    entries = {path: entry for path, entry in tree.entries.items() if path.parts[0] not in apart}
    images = _finished(layer.name for layer in layers_of(tree) if layer != ENGINE)
    return RenderedTree(dict(sorted((entries | images).items())))


def asked_by_area(images: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The packages that are asked for in "root" and "initrd", from those by image.

    Raises InvalidInputError if the tree has other images, or asks for packages where programs are compiled.
    """
    expected = {name for names in IMAGES_OF.values() for name in names}
    if set(images) - {PROGRAMS.name} != expected:
        found = ", ".join(sorted(images))
        raise InvalidInputError(
            f"the rendered tree has the images {found}, expected {', '.join(sorted(expected))}",
            hint="a tree of another version of bedplate is built by that version",
        )
    if packages := images.get(PROGRAMS.name):
        raise InvalidInputError(
            f"the image {PROGRAMS.name} asks for {', '.join(packages)}, and what compiles programs is the toolchain's"
        )
    return {
        area: tuple(sorted({package for name in names for package in images[name]}))
        for area, names in IMAGES_OF.items()
    }


def packages_by_area(added: Mapping[str, Sequence[InstalledPackage]]) -> dict[str, tuple[InstalledPackage, ...]]:
    """The packages of "root", "initrd" and an engine, sorted, from those that each layer added."""
    images = IMAGES_OF | ({ENGINE.name: (ENGINE.name,)} if ENGINE.name in added else {})
    return {
        area: tuple(sorted(package for name in names for package in added.get(name, ())))
        for area, names in images.items()
    }


def _directory(layer: Layer) -> PurePosixPath:
    """Where in a rendered tree the image of a layer is."""
    return ENGINE_TREE if layer == ENGINE else PurePosixPath(_IMAGES, layer.name)


def _finished(names: Iterable[str]) -> dict[PurePosixPath, RenderedFile]:
    """What stands for images that are there already, since others name them as what they depend on."""
    return {
        PurePosixPath(_IMAGES, name, "mkosi.conf"): RenderedFile(_NOTHING.encode(), executable=False) for name in names
    }


def _entry_digest(entry: RenderedFile | RenderedLink) -> str:
    if isinstance(entry, RenderedFile):
        return f"{'x' if entry.executable else 'f'}{hashlib.sha256(entry.content).hexdigest()}"
    return f"l{hashlib.sha256(entry.target.encode()).hexdigest()}"
