"""Predict the PCRs of a machine that boots a UKI, from the UKI and what is stated of the boot."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from builder.errors import UnpredictableError
from builder.image.uki import read_uki
from builder.measurement import pcr4, pcr7, pcr9, pcr11, pcr12
from builder.measurement.boot import Boot
from builder.measurement.events import Event, Measurer, separator
from builder.measurement.pcr import Bank
from builder.measurement.prediction import PredictedPcr, Prediction, Unpredictable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from builder.measurement.configuration import BootConfiguration

ALL_BANKS = (Bank.SHA256, Bank.SHA384)
# Without shim nothing is measured into PCR 14 before user space.
_MOK_PCR = 14
_OS_SEPARATOR = b"os-separator"
_OS_SEPARATOR_SINCE = 261
# systemd src/pcrextend/pcrextend.c, verb --os-separator (units/systemd-pcrosseparator.service.in).
_OS_SEPARATOR_PCRS = frozenset({0, 1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 14})


def predict(uki: bytes | memoryview, configuration: BootConfiguration, banks: Sequence[Bank] = ALL_BANKS) -> Prediction:
    """Predict PCR 4, 7, 9, 11, 12, 13, 14 and those that the stated platform fixes.

    A PCR that cannot be predicted is in the result with the reason. Raises MalformedImageError for a broken UKI or
    companion, BootRefusedError (an InvalidInputError) for a boot that firmware would refuse, InvalidInputError for a
    configuration that makes no sense, UnpredictableError for an unknown stub or a profile that is not there.
    """
    measurer = Measurer(tuple(banks))
    boot = Boot(memoryview(uki), read_uki(uki), configuration)
    boot.uki.sections(configuration.profile)
    families: dict[int, Callable[[], tuple[Event, ...]]] = {
        pcr: partial(_separator_only, pcr, measurer) for pcr in configuration.platform.separator_only
    }
    families |= {
        pcr4.PCR: lambda: pcr4.events(boot, measurer),
        pcr7.PCR: lambda: pcr7.events(boot, measurer),
        pcr9.PCR: lambda: pcr9.events(boot, measurer),
        pcr12.PCR: lambda: pcr12.events(boot, measurer),
        pcr12.PCR_EXTENSIONS: lambda: pcr12.extension_events(boot, measurer),
        _MOK_PCR: tuple,
    }
    pcrs: dict[int, PredictedPcr | Unpredictable] = {}
    for pcr, events in families.items():
        try:
            recorded = (*events(), *_os_separator(pcr, configuration, measurer))
            pcrs[pcr] = PredictedPcr(pcr, measurer.replay(recorded), recorded)
        except UnpredictableError as error:
            pcrs[pcr] = Unpredictable(pcr, str(error))
    pcrs[pcr11.PCR] = _pcr11(boot, measurer)
    return Prediction(boot.uki.stub, configuration, measurer.banks, dict(sorted(pcrs.items())))


def _separator_only(pcr: int, measurer: Measurer) -> tuple[Event, ...]:
    return (separator(measurer, pcr),)


def _pcr11(boot: Boot, measurer: Measurer) -> PredictedPcr | Unpredictable:
    try:
        sections = pcr11.section_events(boot, measurer)
    except UnpredictableError as error:
        return Unpredictable(pcr11.PCR, str(error))
    phases = pcr11.phase_events(measurer)
    events = (*sections, *phases)
    return PredictedPcr(pcr11.PCR, measurer.replay(events), events, pcr11.phase_values(sections, phases, measurer))


def _os_separator(pcr: int, configuration: BootConfiguration, measurer: Measurer) -> tuple[Event, ...]:
    """What an initrd of systemd 261 or newer adds when it hands over to the system."""
    release = configuration.initrd_systemd
    if release is None or release < _OS_SEPARATOR_SINCE or pcr not in _OS_SEPARATOR_PCRS:
        return ()
    if configuration.os_separator is None:
        raise UnpredictableError(
            f"the initrd's systemd {release} extends {_OS_SEPARATOR.decode()} into this PCR if the initrd contains"
            " systemd-pcrosseparator.service",
            hint="state whether it does",
        )
    if not configuration.os_separator:
        return ()
    return (measurer.event(pcr, None, _OS_SEPARATOR, description=_OS_SEPARATOR.decode(), source="initrd"),)
