"""The boot that is predicted: a UKI's file, what was read from it, and the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from builder.image.pe import authenticode_digest
from builder.measurement.addons import addon_files

if TYPE_CHECKING:
    from builder.image.uki import Uki
    from builder.measurement.configuration import BootConfiguration


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """A PE file that firmware verifies and measures. Its Authenticode digests are made once: PCR 4 and 7 need them."""

    source: str
    data: memoryview
    _digests: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)

    def digest(self, algorithm: str) -> bytes:
        """The Authenticode digest by hashlib's ``algorithm``. Raises MalformedImageError for what firmware refuses."""
        if algorithm not in self._digests:
            self._digests[algorithm] = authenticode_digest(self.data, algorithm)
        return self._digests[algorithm]


@dataclass(frozen=True)
class Boot:
    """``file`` is the whole UKI as firmware loads it, ``uki`` the same, read."""

    file: memoryview
    uki: Uki
    configuration: BootConfiguration

    @cached_property
    def images(self) -> tuple[LoadedImage, ...]:
        """The images that firmware loads from files, in order: a boot loader, the UKI, and the addons it loads."""
        loader = self.configuration.boot_loader
        before = (LoadedImage("boot loader", memoryview(loader.image)),) if loader else ()
        addons = addon_files(self.uki, self.configuration)
        after = (LoadedImage(f"addon {file.name}", memoryview(file.content)) for file in addons)
        return (*before, LoadedImage("UKI", self.file), *after)
