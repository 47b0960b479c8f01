"""Every single name of the lists that controls have: refused-names.txt and accepted-names.txt, put into images.

A section of these files is a control and a form; the form says what an image with such a name is like, and what the
subject of the finding is. Names of one form share an image where they do not get into each other's way.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from builder.facts.identities import _SIGNATURES
from tests.control_cases import Case, bad, good
from tests.fact_trees import elf, file, link, program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.fact_trees import Content

_FOLDER: Final = Path(__file__).parents[1]
_UNITS: Final = "usr/lib/systemd/system"
_RUN: Final = "[Service]\nExecStart=/x\n"
_MODULES: Final = "usr/lib/modules/6.12.0"
_DPKG: Final = "Package: {}\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n\n"


class Form(NamedTuple):
    """Files of the root for a name, and the subject of what must be found, without "root:"."""

    files: Callable[[str], Mapping[str, Content]]
    subject: str
    shares: bool = False  # an image with other names


def _started(name: str) -> Mapping[str, Content]:
    return {f"{_UNITS}/{name}": _RUN, f"{_UNITS}/sysinit.target.wants/{name}": link(f"../{name}")}


def _with_content(name: str) -> Content:
    return file(elf() + b"\0".join(_SIGNATURES[name][0]), 0o755)


_FORMS: Final = {
    "below-path": Form(lambda name: {f"{name}x".strip("/"): file("x", 0o666)}, "{}x", shares=True),
    "bus-name": Form(
        lambda name: {
            f"usr/share/dbus-1/system-services/{name}.service": f"[D-BUS Service]\nName={name}\nExec=/x\n",
            "usr/bin/dbus-daemon": program(),
        },
        "{}",
    ),
    "content": Form(lambda name: {"usr/bin/renamed": _with_content(name)}, "/usr/bin/renamed"),
    "fstab-option": Form(lambda name: {"etc/fstab": f"what /mnt/x ext4 ro,{name}\n"}, "/etc/fstab:/mnt/x"),
    "fstab-tmpfs-option": Form(
        lambda name: {"etc/fstab": f"tmpfs /x tmpfs nosuid,nodev,noexec,{name}\n"}, "/etc/fstab:/x"
    ),
    "fstab-type": Form(lambda name: {"etc/fstab": f"what /mnt/x {name} rw,nosuid,nodev,noexec\n"}, "/etc/fstab:/mnt/x"),
    "generator": Form(
        lambda name: {f"usr/lib/systemd/system-generators/{name}": program()},
        "/usr/lib/systemd/system-generators/{}",
        shares=True,
    ),
    "group": Form(lambda name: {"etc/group": f"{name}:x:5:bob\n"}, "/etc/group:bob:{}"),
    "import-credential": Form(lambda name: {f"{_UNITS}/x.service": f"{_RUN}ImportCredential={name}\n"}, "x.service:{}"),
    "journald.conf": Form(lambda name: {"etc/systemd/journald.conf": f"[Journal]\n{name}\n"}, "journald.conf"),
    "load-from": Form(lambda name: {f"{_UNITS}/x.service": f"{_RUN}LoadCredential=a:{name}/b\n"}, "x.service:{}/b"),
    "modprobe-install": Form(lambda name: {"etc/modprobe.d/x.conf": f"install x {name}\n"}, "x"),
    "module": Form(lambda name: {f"{_MODULES}/kernel/x/{name}.ko": "x"}, "{}", shares=True),
    "module-folder": Form(lambda name: {f"{_MODULES}/{name}/x.ko": "x"}, f"/{_MODULES}/{{}}/x.ko", shares=True),
    "modules-load": Form(lambda name: {"etc/modules-load.d/x.conf": f"{name}\n"}, "/etc/modules-load.d/x.conf:1"),
    "needs-library": Form(
        lambda name: {"usr/bin/x": program(needed=(name if ".so" in name else f"{name}.so.1",))}, "/usr/bin/x"
    ),
    "nss": Form(lambda name: {"etc/nsswitch.conf": f"{name}: sss\n"}, "/etc/nsswitch.conf:{}:sss"),
    "package": Form(lambda name: {"var/lib/dpkg/status": _DPKG.format(name)}, "package:{}", shares=True),
    "pam": Form(lambda name: {"etc/pam.d/a": f"auth required {name}\n"}, "/etc/pam.d/a:1"),
    "path": Form(lambda name: {name.strip("/"): "x"}, "{}", shares=True),
    "program": Form(lambda name: {f"usr/bin/{name}": program()}, "/usr/bin/{}", shares=True),
    "service": Form(lambda name: {f"{_UNITS}/{name}.service": _RUN}, "{}.service", shares=True),
    "service-of-program": Form(
        lambda name: {f"{_UNITS}/x.service": f"[Service]\nExecStart=/usr/bin/{name}\n"}, "x.service"
    ),
    "service-setting": Form(lambda name: {f"{_UNITS}/x.service": f"{_RUN}StateDirectory=x\n{name}\n"}, "x.service"),
    "sleep.conf": Form(lambda name: {"etc/systemd/sleep.conf": f"[Sleep]\n{name}\n"}, "sleep.conf"),
    "started-service": Form(lambda name: _started(f"{name}.service"), "{}.service", shares=True),
    "started-unit": Form(_started, "{}", shares=True),
    "sysctl": Form(lambda name: {"etc/sysctl.d/x.conf": f"{name}\n"}, "{}"),
}
# A module to load has the file as its subject in one control, its own name in the other.
_SUBJECTS: Final = {
    ("ZOA-806", "modules-load"): "{}",
    ("ZOA-215", "service-setting"): "x.service",
    ("ZOA-423", "service-setting"): "x.service:{key}:{value}",
    ("ZOA-810", "service-setting"): "x.service:{key}",
}
# What such an image lacks besides: kernel.kexec_load_disabled for ZOA-714.
_BESIDES: Final[Mapping[str, Mapping[str, Content]]] = {
    "ZOA-714": {"etc/sysctl.d/x.conf": "kernel.kexec_load_disabled = 1\n"},
}


def _sections(file: str) -> Iterator[tuple[str, str, list[str]]]:
    control, form, names = "", "", list[str]()
    for line in (_FOLDER / file).read_text().splitlines():
        if line.startswith("ZOA-"):
            if names:
                yield control, form, names
            (control, form), names = line.removesuffix(":").split(), []
        elif line.startswith("  "):
            names += [line.strip()] if form == "sysctl" else line.split()
    yield control, form, names


def _image(control: str, form: str, names: list[str]) -> dict[str, Any]:
    if form == "argument":
        return {"command_line": " ".join(["quiet", *names])}
    files: dict[str, Content] = dict(_BESIDES.get(control, {}))
    for name in names:
        for path, content in _FORMS[form].files(name).items():
            files[path] = f"{files.get(path, '')!s}{content!s}" if form == "package" else content
    # For ZOA-713, which also wants the argument.
    return {"root": files, "command_line": "quiet module.sig_enforce=1"}


def _subject(control: str, form: str, name: str) -> str:
    if form == "argument":
        return f"uki:0:{name}"
    key, _, value = name.partition("=")
    return "root:" + _SUBJECTS.get((control, form), _FORMS[form].subject).format(name, key=key, value=value)


def _refused() -> Iterator[Case]:
    for control, form, names in _sections("refused-names.txt"):
        together = form == "argument" or _FORMS[form].shares
        for group in [names] if together else [[name] for name in names]:
            yield bad(control, *(_subject(control, form, name) for name in group), **_image(control, form, group))


def _accepted() -> Iterator[Case]:
    for control, form, names in _sections("accepted-names.txt"):
        for name in names:
            yield good(control, **_image(control, form, [name]))


CASES = (*_refused(), *_accepted())
