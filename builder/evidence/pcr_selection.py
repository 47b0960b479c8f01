"""Which PCRs a quote covers, and the digest over them (TPM 2.0 Library, Part 2, 10.6.2 "TPMS_PCR_SELECTION")."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from builder.errors import NotVerifiedError
from builder.evidence.tpm_wire import HASH_SIZES
from builder.measurement.pcr import PCR_COUNT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from builder.errors import MalformedImageError
    from builder.evidence.tpm_wire import WireReader

# Bank name ("sha256") -> PCR index -> value.
PcrBanks = Mapping[str, Mapping[int, bytes]]
# A selection names each bank at most once, and no TPM has more banks than TPM2_NUM_PCR_BANKS of the TSS.
MAX_BANKS: Final = 16
_MAX_SELECT_BYTES: Final = 4

# Per bank, in the order of the structure, the selected PCRs in ascending order. A bank may have none: a TPM clears the
# bits of a bank that is not allocated.
Selection = tuple[tuple[str, tuple[int, ...]], ...]


def read_selection(reader: WireReader) -> Selection:
    """Take a TPML_PCR_SELECTION off ``reader``.

    Raises MalformedImageError if it breaks the format, names a bank twice or a PCR above 23, and InvalidInputError
    for a bank whose hash algorithm is not supported.
    """
    entries = []
    for _ in range(reader.count(MAX_BANKS)):
        bank = reader.hash_name()
        size = reader.number(1)
        if not 1 <= size <= _MAX_SELECT_BYTES:
            raise reader.error(f"a PCR selection of {size} bytes is not between 1 and {_MAX_SELECT_BYTES}")
        entries.append((bank, reader.take(size)))
    return selection_of(entries, reader.error)


def selection_of(entries: Sequence[tuple[str, bytes]], error: Callable[[str], MalformedImageError]) -> Selection:
    """The selection that pairs of bank and bit map mean: bit ``i % 8`` of byte ``i // 8`` selects PCR ``i``.

    ``error`` makes the error to raise if a bank comes twice or a bit stands for a PCR above 23.
    """
    banks = [bank for bank, _ in entries]
    for bank in banks:
        if banks.count(bank) > 1:
            raise error(f"the bank {bank} is selected twice")
    selection = []
    for bank, select in entries:
        bits = int.from_bytes(select, "little")
        if bits >> PCR_COUNT:
            raise error(f"a PCR above {PCR_COUNT - 1} is selected")
        selection.append((bank, tuple(index for index in range(PCR_COUNT) if bits >> index & 1)))
    return tuple(selection)


def select_values(selection: Selection, given: PcrBanks) -> PcrBanks:
    """The given PCR values as a read-only copy, if they are exactly those that are selected.

    Raises NotVerifiedError that names every PCR that is selected but not given, given but not selected, or that has
    not the length of its bank; and if nothing is selected.
    """
    wanted = {(bank, index) for bank, indexes in selection for index in indexes}
    offered = {(bank, index) for bank, values in given.items() for index in values}
    problems = [f"PCR {index} ({bank}) is quoted, but its value is missing" for bank, index in wanted - offered]
    problems += [f"PCR {index} ({bank}) is not quoted, but a value was given" for bank, index in offered - wanted]
    for bank, index in wanted & offered:
        if len(given[bank][index]) != HASH_SIZES[bank]:
            problems.append(f"PCR {index} ({bank}) has {len(given[bank][index])} bytes instead of {HASH_SIZES[bank]}")
    if not wanted:
        problems.append("no PCR is quoted")
    if problems:
        raise NotVerifiedError("the PCR values are not those of the quote", tuple(sorted(problems)))
    return MappingProxyType(
        {
            bank: MappingProxyType({index: bytes(given[bank][index]) for index in indexes})
            for bank, indexes in selection
            if indexes
        }
    )


def composite_digest(selection: Selection, values: PcrBanks, algorithm: str) -> bytes:
    """The TPM's pcrDigest: ``algorithm`` over the selected values, banks in the selection's order, PCRs ascending.

    ``algorithm`` is the hash of the signing scheme, which need not be a bank's (Part 3, 18.4 "TPM2_Quote").
    """
    state = hashlib.new(algorithm)
    for bank, indexes in selection:
        for index in indexes:
            state.update(values[bank][index])
    return state.digest()
