"""Facts about files, what kind of programs they are, and what they hold that they should not."""

from __future__ import annotations

from typing import Annotated, Literal

from policies.facts.base import Fact, FileType, about


class File(Fact, frozen=True, kw_only=True):
    """One path of an area."""

    path: Annotated[str, about("Absolute path.")]
    type: Annotated[FileType, about("Type of the inode.")]
    mode: Annotated[int, about("Permission bits with set-uid (0o4000), set-gid (0o2000) and sticky (0o1000).")]
    uid: Annotated[int, about("Owner.")]
    gid: Annotated[int, about("Group.")]
    size: Annotated[int, about("Bytes; 0 but for files.")]
    mtime: Annotated[int, about("Seconds since 1970.")]
    sha256: Annotated[
        str | None, about("Lower-case hexadecimal; null but for files, and where nothing asks for digests.")
    ]
    capabilities: Annotated[
        tuple[str, ...],
        about('File capabilities (security.capability) that are permitted or inheritable, lower case: "cap_net_raw".'),
    ]
    xattrs: Annotated[dict[str, str], about("Other extended attributes, values hexadecimal.")]
    target: Annotated[str | None, about("Target of a symbolic link, as it is spelled.")]
    device: Annotated[tuple[int, int] | None, about("Major and minor number of a device node.")]
    package: Annotated[str | None, about("Package that owns it; null for directories and files without one.")]
    version: Annotated[str | None, about("Version of that package.")]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def is_executable(self) -> bool:
        """A regular file that somebody may execute."""
        return self.type == "file" and bool(self.mode & 0o111)


class Elf(Fact, frozen=True, kw_only=True):
    """An ELF file (System V gABI, chapters 4 and 5); relocatable objects and kernel modules are not listed."""

    path: Annotated[str, about("Where it lies.")]
    machine: Annotated[str, about('"x86-64", "aarch64", "i386", else "machine-N".')]
    type: Annotated[Literal["executable", "shared", "core", "other"], about('e_type; a PIE is "shared".')]
    interpreter: Annotated[str | None, about("PT_INTERP; null for libraries and static programs.")]
    soname: Annotated[str | None, about("DT_SONAME.")]
    starts: Annotated[bool, about("It has an entry point (e_entry): kernel or dynamic linker can run it.")]
    needed: Annotated[tuple[str, ...], about("DT_NEEDED, in order.")]
    also_loaded: Annotated[
        tuple[str, ...], about("DT_AUDIT, DT_DEPAUDIT, DT_FILTER and DT_AUXILIARY: what is loaded besides, in order.")
    ]
    rpath: Annotated[str | None, about("DT_RPATH.")]
    runpath: Annotated[str | None, about("DT_RUNPATH.")]
    build_id: Annotated[str | None, about("NT_GNU_BUILD_ID, hexadecimal.")]
    dlopen: Annotated[tuple[str, ...], about("Libraries named by .note.dlopen notes (UAPI.13), in order.")]
    identities: Annotated[
        tuple[str, ...],
        about(
            'What the content of a program shows it to be, whatever it is called: "openssh-server", "busybox" and the'
            " like, as builder/facts/identities.py lists them; not looked for in libraries, which have a soname and no"
            " entry point."
        ),
    ]
    packaged_as: Annotated[str | None, about("Package that its .note.package section names.")]
    problem: Annotated[str | None, about("What is wrong with the file, if it could not be read whole.")]


class Script(Fact, frozen=True, kw_only=True):
    """An executable file that begins with ``#!``."""

    path: Annotated[str, about("Where it lies.")]
    interpreter: Annotated[str, about("Path after #!, as it is spelled.")]
    argument: Annotated[str | None, about('What follows it: the program\'s name behind "/usr/bin/env".')]


class Secret(Fact, frozen=True, kw_only=True):
    """A place that looks like a secret. Only the kind is a fact, never the text."""

    path: Annotated[str, about("File that holds it.")]
    kind: Annotated[
        str,
        about('"pem-private-key", "openssh-private-key", "pgp-private-key", "aws-access-key", "bearer-token" and the'
              " like, as builder/facts/secrets.py lists them."),
    ]  # fmt: skip
    line: Annotated[int | None, about("Line, counted from 1; null in binary files.")]


class Package(Fact, frozen=True, kw_only=True):
    """A package of the area's package database."""

    name: Annotated[str, about("Binary package.")]
    version: Annotated[str, about("Full version.")]
    architecture: Annotated[str, about("As the package manager calls it.")]
    source: Annotated[str, about("Source package.")]


class KernelModule(Fact, frozen=True, kw_only=True):
    """A kernel module of an area."""

    name: Annotated[str, about('Without suffixes, dashes as "_".')]
    path: Annotated[str | None, about("Where it lies; null for one that is built in.")]
    release: Annotated[str, about("Kernel release that it belongs to.")]


class Kernel(Fact, frozen=True, kw_only=True):
    """What an area has of a kernel."""

    releases: Annotated[tuple[str, ...], about("Directories in /usr/lib/modules.")]
    modules: Annotated[tuple[KernelModule, ...], about("By release and name; built-in ones from modules.builtin.")]
    configuration: Annotated[
        dict[str, str] | None,
        about("CONFIG_ names with values as in .config, without those not set; null where the image has no such file."),
    ]
    configuration_path: Annotated[str | None, about("Where it was read.")]
