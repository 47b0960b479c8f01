"""Rendering a definition into the mkosi tree that is built: plain files that a person reads and stock mkosi accepts.

The base directory is the tree's template. A file ``NAME.j2`` is rendered with jinja2 and loses its suffix, a file that
begins with ``_`` is a part that others include, anything else is copied as it is. The image's own files are added
below ``mkosi.extra``; one that would replace a file of the base is refused, since it could quietly open the base. The
program that prunes an image (``builder.closure``) goes along as ``mkosi.prune`` if the base has rules for it, so that
stock mkosi runs it too.
"""

from __future__ import annotations

import os
import stat
import traceback
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from builder.closure.bundle import MODULES
from builder.definition.archives import package_archives
from builder.definition.kernel import module_regex
from builder.definition.model_paths import UNIT_SUFFIX, check_model_paths
from builder.errors import InvalidInputError
from builder.files import read_bytes
from builder.weights.identity import Model
from builder.weights.node_files import weights_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from builder.definition.archives import PackageArchive
    from builder.definition.load import LoadedDefinition
    from builder.definition.mirror import Mirror
    from builder.definition.model import ImageDefinition

TEMPLATE_SUFFIX: Final = ".j2"
PART_PREFIX: Final = "_"
PRUNE: Final = PurePosixPath("mkosi.prune")
# Who may read metrics, for the program that answers them.
METRICS_CLIENTS: Final = PurePosixPath("usr/lib/bedplate/metrics-clients.pem")
# Go modules, and the image of the base that compiles them.
PROGRAMS_TREE: Final = PurePosixPath("mkosi.programs")
PROGRAMS_IMAGE: Final = PurePosixPath("mkosi.images/programs")
# The mkosi tree of the engine, which is built before.
ENGINE_TREE: Final = PurePosixPath("mkosi.engine")
PRUNE_RULES: Final = PurePosixPath("mkosi.prune.rules")
EXTRA_TREE: Final = PurePosixPath("mkosi.extra")
# Files of the base that go into root and initrd, to close both.
CLOSED_TREE: Final = PurePosixPath("mkosi.closed")
SOURCES: Final = PurePosixPath("mkosi.sandbox/etc/apt/sources.list.d/mkosi.sources")
PREFERENCES: Final = PurePosixPath("mkosi.sandbox/etc/apt/preferences.d/archives.pref")
KEYRINGS: Final = PurePosixPath("mkosi.sandbox/etc/apt/keyrings")
_MAX_FILE_BYTES: Final = 64 << 20
# Where the packages of this distribution are installed, side by side.
_SOURCES: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class RenderedFile:
    """A regular file of the tree; only the executable bit of its mode is kept, so that a umask changes nothing."""

    content: bytes
    executable: bool


@dataclass(frozen=True, slots=True)
class RenderedLink:
    """A symbolic link of the tree, which may point anywhere in the image."""

    target: str


@dataclass(frozen=True, slots=True)
class RenderedTree:
    """The files and links of a mkosi tree by their relative path, in sorted order."""

    entries: Mapping[PurePosixPath, RenderedFile | RenderedLink]

    def write(self, directory: Path) -> None:
        """Write the tree into ``directory``, which exists and is empty."""
        for path, entry in self.entries.items():
            place = directory / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(entry, RenderedLink):
                place.symlink_to(entry.target)
            else:
                place.write_bytes(entry.content)
                place.chmod(0o755 if entry.executable else 0o644)
        for root, _, _ in os.walk(directory):
            Path(root).chmod(0o755)


def file_stem(definition: ImageDefinition) -> str:
    """What the release's file names begin with: name, version and architecture (UAPI version format)."""
    return f"{definition.name}_{definition.version}_{definition.architecture.value}"


def render(loaded: LoadedDefinition, mirror: Mirror | None) -> RenderedTree:
    """The mkosi tree of a definition. Without a mirror mkosi's own default sources apply.

    Raises InvalidInputError that names the template or the file at fault.
    """
    archives = () if mirror is None else package_archives(loaded, mirror)
    entries = _of_base(loaded, archives)
    for archive in archives:
        if archive.keyring is not None:
            entries[KEYRINGS / f"{archive.name}{archive.keyring.suffix}"] = _copy(archive.keyring)
    entries |= _model(loaded, mirror) | _node(loaded)
    for name in loaded.definition.programs:
        sources = _walk(loaded.directory / name)
        entries |= {PROGRAMS_TREE / name / path: _copy(file) for path, file in sources if _is_source(path)}
    if loaded.files_directory is not None:
        for relative, path in _walk(loaded.files_directory):
            target = EXTRA_TREE / relative
            if target in entries or CLOSED_TREE / relative in entries:
                raise InvalidInputError(
                    f"{path} would replace {relative} of the base {loaded.base_directory}",
                    hint="rename the file, or change the base",
                )
            entry = entries[target] = _copy(path)
            if loaded.weights is not None and target.suffix == UNIT_SUFFIX and isinstance(entry, RenderedFile):
                check_model_paths(path, entry.content, loaded.weights)
    if loaded.definition.prune.enabled and PRUNE_RULES in entries:
        entries |= {PRUNE / module: _copy(_SOURCES / module) for module in MODULES}
    if PurePosixPath("mkosi.conf") not in entries:
        raise InvalidInputError(f"the base {loaded.base_directory} has neither mkosi.conf nor mkosi.conf.j2")
    return RenderedTree(dict(sorted(entries.items())))


def _model(loaded: LoadedDefinition, mirror: Mirror | None) -> dict[PurePosixPath, RenderedFile | RenderedLink]:
    """The tree of the engine, and the files by which the weights are known and mounted."""
    entries: dict[PurePosixPath, RenderedFile | RenderedLink] = {}
    if loaded.engine is not None:
        engine = render(loaded.engine, mirror)
        entries |= {ENGINE_TREE / path: entry for path, entry in engine.entries.items()}
    if loaded.weights is not None:
        for place, content in weights_files(Model.of(loaded.weights)).items():
            entries[EXTRA_TREE / place] = RenderedFile(content, executable=False)
    return entries


def _of_base(
    loaded: LoadedDefinition, archives: Sequence[PackageArchive]
) -> dict[PurePosixPath, RenderedFile | RenderedLink]:
    """What the base makes of a definition, without what would say or do nothing.

    Raises InvalidInputError if the definition has programs and the base compiles none.
    """
    unused = set() if archives else {SOURCES}
    if not any(archive.only for archive in archives):
        unused.add(PREFERENCES)
    if not loaded.definition.programs:
        unused.add(PROGRAMS_IMAGE)
    entries: dict[PurePosixPath, RenderedFile | RenderedLink] = {}
    for relative, path in _walk(loaded.base_directory):
        if relative.name.startswith(PART_PREFIX):
            continue
        is_template = relative.suffix == TEMPLATE_SUFFIX
        target = relative.with_suffix("") if is_template else relative
        if unused.intersection((target, *target.parents)):
            continue
        if is_template:
            entries[target] = RenderedFile(_expand(loaded, relative, archives), executable=_is_executable(path))
        else:
            entries[target] = _copy(path)
    if loaded.definition.programs and PROGRAMS_IMAGE / "mkosi.conf" not in entries:
        raise InvalidInputError(
            f"the base {loaded.base_directory} has no {PROGRAMS_IMAGE}, which compiles {loaded.definition.programs[0]}",
            hint="take programs out of the definition, or use a base that compiles them",
        )
    return entries


def _walk(directory: Path) -> Iterator[tuple[PurePosixPath, Path]]:
    for root, directories, files in os.walk(directory):
        links = [name for name in directories if Path(root, name).is_symlink()]
        for name in (*files, *links):
            path = Path(root, name)
            yield PurePosixPath(path.relative_to(directory)), path


def _node(loaded: LoadedDefinition) -> dict[PurePosixPath, RenderedFile | RenderedLink]:
    """The files of what differs between nodes."""
    entries: dict[PurePosixPath, RenderedFile | RenderedLink] = {}
    node = loaded.definition.node
    if node.hostname is not None:
        entries[EXTRA_TREE / "etc/hostname"] = RenderedFile(f"{node.hostname}\n".encode(), executable=False)
    if node.metrics_clients is not None:
        path = loaded.directory / node.metrics_clients
        content = read_bytes(path, what="certificates of metrics clients", limit=_MAX_FILE_BYTES)
        _require_certificates(content, path)
        entries[EXTRA_TREE / METRICS_CLIENTS] = RenderedFile(content, executable=False)
    return entries


def _require_certificates(content: bytes, path: Path) -> None:
    """Raise InvalidInputError unless a file has certificates of authorities (RFC 5280, 4.2.1.9) and no private key."""
    from cryptography import x509  # noqa: PLC0415 -- for a fast start of what needs none

    try:
        certificates = x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise InvalidInputError(f"{path} holds no certificates in PEM: {error}") from error
    if b"PRIVATE KEY" in content:
        raise InvalidInputError(f"{path} holds a private key, which would be in every node", hint="take it out")
    for number, certificate in enumerate(certificates, start=1):
        try:
            is_authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except (ValueError, x509.ExtensionNotFound):
            is_authority = False
        if not is_authority:
            name = certificate.subject.rfc4514_string() or "without a name"
            raise InvalidInputError(
                f"{path}: certificate {number} ({name}) is not an authority's: its basic constraints do not say CA",
                hint="name the certificate of the authority that issues those of the clients",
            )


def _is_source(path: PurePosixPath) -> bool:
    """Whether Go builds a program from a file; tests are no input of an image."""
    return not path.name.endswith("_test.go") and "testdata" not in path.parts


def _copy(path: Path) -> RenderedFile | RenderedLink:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return RenderedLink(str(path.readlink()))
    if not stat.S_ISREG(mode):
        raise InvalidInputError(f"{path} is neither a regular file nor a symbolic link")
    return RenderedFile(read_bytes(path, what="image file", limit=_MAX_FILE_BYTES), executable=_is_executable(path))


def _is_executable(path: Path) -> bool:
    return bool(path.stat().st_mode & stat.S_IXUSR)


def _expand(loaded: LoadedDefinition, template: PurePosixPath, archives: Sequence[PackageArchive]) -> bytes:
    import jinja2  # noqa: PLC0415 -- 0.2 s that only rendering needs

    # What is rendered is configuration for root's eyes, not HTML: escaping would corrupt it.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(loaded.base_directory),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["module_regex"] = module_regex
    try:
        text = environment.get_template(str(template)).render(
            definition=loaded.definition,
            file_stem=file_stem(loaded.definition),
            source_date_epoch=loaded.definition.source_date_epoch,
            archives=archives,
            has_weights=loaded.weights is not None,
        )
    except jinja2.TemplateSyntaxError as error:
        place = f"{error.filename or loaded.base_directory / template}:{error.lineno}"
        raise InvalidInputError(f"{place}: {error.message}") from error
    except jinja2.TemplateError as error:
        place = _place(error, loaded.base_directory) or str(loaded.base_directory / template)
        raise InvalidInputError(f"{place}: {error.message}") from error
    return text.encode()


def _place(error: BaseException, base: Path) -> str | None:
    """The innermost line of a template that an error came from; jinja2 puts templates into the traceback."""
    frames = (frame for frame in reversed(traceback.extract_tb(error.__traceback__)) if frame.lineno)
    return next(
        (f"{frame.filename}:{frame.lineno}" for frame in frames if Path(frame.filename).is_relative_to(base)), None
    )
