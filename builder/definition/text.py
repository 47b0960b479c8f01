"""The kinds of text that an ``image.yaml`` holds, each with its limits and what it expects in words.

A pattern has to fit the whole text (see ``convert``).
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta

# A list in which an entry may stand only once.
UNIQUE: Final = {"uniqueItems": True}


def _text(pattern: str, expected: str, *, max_length: int | None = 255, **extra: Any) -> Meta:
    """``expected`` finishes the sentence "expected ..."; ``may_hold_secret=True`` keeps a refused value out of it."""
    return Meta(pattern=f"^{pattern}$", max_length=max_length, extra={"expected": expected, **extra})


_NAME: Final = "[A-Za-z0-9_][A-Za-z0-9._-]*"
# Relative to the definition: a file beside it, or elsewhere.
_PATH: Final = rf"(\.\.|{_NAME})(/(\.\.|{_NAME}))*"
_OTHER_PATH: Final = r"(\.\.?/)*[A-Za-z0-9_][A-Za-z0-9._/-]*"

IMAGE_NAME_PATTERN: Final = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
IMAGE_NAME_EXPECTED: Final = "a name of at most 32 lower-case letters, digits and inner dashes"
IMAGE_NAME_LENGTH: Final = 32
ImageName = Annotated[str, _text(IMAGE_NAME_PATTERN, IMAGE_NAME_EXPECTED, max_length=IMAGE_NAME_LENGTH)]
# UAPI.10 "Version Format Specification" without upper case (os-release(5) wants IMAGE_VERSION in lower case), without
# the underscore that separates name and version in file names (UAPI.3), and without the plus that the specification
# advises against and that boot counting uses in UKI names.
ImageVersion = Annotated[
    str,
    _text(
        "[0-9a-z][0-9a-z.~^-]*",
        "a version of lower-case letters, digits and . ~ ^ - that begins with a letter or digit",
        max_length=64,
    ),
]
DescriptionLine = Annotated[str, _text(r"[^\x00-\x1f\x7f]*", "one line of at most 200 characters", max_length=200)]
# RFC 1123, one label: systemd takes it from /etc/hostname as it stands.
HostName = Annotated[
    str,
    _text(
        "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "a host name of lower-case letters, digits and dashes", max_length=None
    ),
]
FileDigest = Annotated[str, _text("[0-9a-f]{64}", "a SHA-256 of 64 lower-case hexadecimal digits", max_length=None)]

BaseDirectory = Annotated[str, _text(_PATH, "a directory relative to the definition, such as ../base")]
EngineDirectory = Annotated[
    str, _text(_PATH, "a directory with a definition, relative to this one, such as ../llama-engine")
]
FilesDirectory = Annotated[
    str, _text(f"{_NAME}(/{_NAME})*", "a directory beside the definition or below it, such as files")
]
ProgramName = Annotated[
    str,
    _text(
        "[a-z][a-z0-9-]*",
        "the name of a directory beside the definition: lower-case letters, digits and dashes",
        max_length=64,
    ),
]
CertificateFile = Annotated[
    str, _text(rf"{_PATH}\.pem", "a PEM file relative to the definition, such as metrics-clients.pem")
]
IdentityFile = Annotated[
    str, _text(rf"{_PATH}\.json", "a file relative to the definition, such as weights/model.weights.json")
]
# A built-in pack by its name, or a file beside the definition or elsewhere, which a "/" or the ending tells apart.
PackName = Annotated[
    str,
    _text(
        rf"([a-z][a-z0-9-]*|{_OTHER_PATH}\.yaml)",
        "a built-in pack's name, or the path of a pack relative to the definition, such as site.yaml",
    ),
]
WaiverFile = Annotated[
    str,
    _text(rf"{_OTHER_PATH}\.yaml", "the path of a waiver file relative to the definition, such as waivers.yaml"),
]
# A key file that apt takes for Signed-By= (sources.list(5)): the ending says whether it is armoured.
KeyringFile = Annotated[
    str,
    _text(
        rf"{_OTHER_PATH}\.(asc|gpg|pgp)", "the path of a key file relative to the definition, such as keys/vendor.asc"
    ),
]

# Printable ASCII without space, both quotes and the backslash: each argument is one word to the kernel, to systemd and
# to the tools that assemble the command line, with nothing that any of them would unquote.
KernelArgument = Annotated[
    str,
    _text(r"[!#-&(-\[\]-~]+", "one argument of printable ASCII without space, quotes and backslash", max_length=256),
]
ModulePattern = Annotated[
    str,
    _text(
        "[A-Za-z0-9_*?-]+",
        "a kernel module's name, in which * and ? may stand for other characters",
        max_length=64,
    ),
]
PathPattern = Annotated[
    str,
    _text(
        "/[!-~]+",
        "an absolute path of printable ASCII without space, in which * , ** and ? may stand",
        max_length=512,
    ),
]
NeededName = Annotated[
    str,
    _text(
        "[A-Za-z0-9/_][!-~]*",
        "a program, library or unit as the message names it that says it is missing",
        max_length=512,
    ),
]
UnitName = Annotated[
    str,
    _text(
        r"[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]*)?\.(service|socket|timer|path|target|mount)",
        "a systemd unit's name that ends in .service, .socket, .timer, .path, .target or .mount",
    ),
]

# Debian Policy 5.6.7: at least two characters.
PackageName = Annotated[
    str,
    _text("[a-z0-9][a-z0-9+.-]+", "a Debian package name (lower-case letters, digits and + . -)", max_length=128),
]
ArchiveWord = Annotated[str, _text("[a-z][a-z0-9-]*", "a name of lower-case letters, digits and dashes", max_length=64)]
# No user information: what stands here ends up in the signed provenance.
_URL_PATH: Final = "/[A-Za-z0-9._~%+,=/-]*"
MIRROR_PATTERN: Final = (
    rf"(https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{{1,5}})?({_URL_PATH})?|file://{_URL_PATH})"
)
MirrorUrl = Annotated[
    str,
    _text(
        MIRROR_PATTERN,
        "an http, https or file URL without user name, query and fragment",
        max_length=512,
        may_hold_secret=True,
    ),
]
