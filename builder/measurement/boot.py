"""The boot that is predicted: a UKI's file, what was read from it, and the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from builder.image.uki import Uki
    from builder.measurement.configuration import BootConfiguration


@dataclass(frozen=True, slots=True)
class Boot:
    """``file`` is the whole UKI as firmware loads it, ``uki`` the same, read."""

    file: memoryview
    uki: Uki
    configuration: BootConfiguration
