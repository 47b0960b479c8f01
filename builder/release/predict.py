"""Predicting the boots of a UKI: what its initrd will measure is read from the initrd, the rest is stated.

Apart from ``reference``, because `bedplate measure` needs this and none of the readers of disks and file systems.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from builder.errors import MalformedImageError
from builder.image.binary import BinaryView
from builder.image.initrd import read_initrd
from builder.image.uki import read_uki
from builder.measurement.configuration import BootConfiguration
from builder.measurement.pcr import Bank
from builder.measurement.predict import predict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from builder.image.initrd import Initrd
    from builder.image.uki import Uki
    from builder.measurement.configuration import SecureBoot
    from builder.measurement.prediction import Prediction

# Debian and Fedora name systemd's own shared library by its release: libsystemd-shared-257.so, -257.9-1.fc42.so.
_SYSTEMD_LIBRARY: Final = re.compile(r"/libsystemd-shared-(\d+)[^/]*\.so$")
_OS_SEPARATOR_LINK: Final = re.compile(r"/systemd/system/[^/]+\.(wants|requires)/systemd-pcrosseparator\.service$")


def predict_uki(uki: memoryview, secure_boot: SecureBoot, banks: Sequence[Bank] = tuple(Bank)) -> Prediction:
    """Predict one boot of a UKI. Raises MalformedImageError, InvalidInputError or UnpredictableError."""
    return predict_boot(uki, read_uki_initrd(read_uki(uki)), secure_boot, banks)


def predict_boot(
    uki: memoryview, initrd: Initrd, secure_boot: SecureBoot, banks: Sequence[Bank] = tuple(Bank)
) -> Prediction:
    """The same for a UKI whose initrd has been read already."""
    paths = [f"/{entry.path}" for entry in initrd.files]
    configuration = BootConfiguration(secure_boot, systemd_release(paths), os_separator=boots_separator(paths))
    return predict(uki, configuration, banks)


def read_uki_initrd(uki: Uki) -> Initrd:
    """The initrd of a UKI. Raises MalformedImageError if it has none or if it cannot be read."""
    content = uki.initrd()
    if content is None:
        raise MalformedImageError("UKI", None, "it has no .initrd section")
    return read_initrd(BinaryView.of(content, "initrd of the UKI"))


def boots_separator(paths: Iterable[str]) -> bool:
    """Whether the initrd with these files runs systemd-pcrosseparator.service."""
    return any(_OS_SEPARATOR_LINK.search(path) for path in paths)


def systemd_release(paths: Iterable[str]) -> int | None:
    """The release of systemd among these files, None if there is none. Raises MalformedImageError if there are two."""
    found = {int(match[1]) for path in paths if (match := _SYSTEMD_LIBRARY.search(path))}
    if len(found) > 1:
        raise MalformedImageError("initrd", None, f"it holds systemd {' and '.join(map(str, sorted(found)))}")
    return found.pop() if found else None
