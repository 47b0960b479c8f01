"""The names of what is in an unsigned build and in a release, and the limits within which they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from builder.release.statements import ImageIdentity

NO_RELEASE_HINT: Final = "`bedplate sign` makes one of an unsigned build"
BUILD_RECORD: Final = "build.json"
STATEMENTS: Final = "release.intoto.jsonl"
REFERENCE_VALUES: Final = "reference-values.json"
INVENTORY: Final = "inventory.jsonl.zst"
POLICY: Final = "policy.json"
POLICY_REPORT: Final = "policy-report.json"
POLICY_SARIF: Final = "policy-report.sarif"
POLICY_PAGE: Final = "report.html"
# What a locked image was built from: the same two files build it again.
LOCK: Final = "image.lock"
TREE: Final = "mkosi-tree.tar"
SECURE_BOOT: Final = "secure-boot"
# UEFI variables in the order in which firmware measures them.
VARIABLES: Final = ("PK", "KEK", "db", "dbx")
UNSIGNED_SUFFIX: Final = ".unsigned"
# Views of single envelopes for sigstore's tools. They repeat signatures, so no signature covers them.
BUNDLE_SUFFIX: Final = ".sigstore.json"

MAX_RECORD_BYTES: Final = 16 << 20
MAX_STATEMENTS_BYTES: Final = 64 << 20
MAX_SIGNATURE_LIST_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Names:
    """File names of one release; ``stem`` is NAME_VERSION_ARCHITECTURE as the UAPI version format wants it."""

    stem: str

    @classmethod
    def of(cls, image: ImageIdentity) -> Names:
        """The names of the release of an image."""
        return cls(f"{image.name}_{image.version}_{image.architecture}")

    @property
    def disk(self) -> str:
        """The whole disk image."""
        return f"{self.stem}.raw"

    @property
    def uki(self) -> str:
        """The unified kernel image, a copy of the one in the disk's ESP."""
        return f"{self.stem}.efi"

    @property
    def root(self) -> str:
        """The root partition's content."""
        return f"{self.stem}.root.raw"

    @property
    def root_verity(self) -> str:
        """The hash tree partition's content."""
        return f"{self.stem}.root-verity.raw"


def signature_list(variable: str) -> str:
    """The file with a Secure Boot variable's content, relative to the release."""
    return f"{SECURE_BOOT}/{variable}.esl"
