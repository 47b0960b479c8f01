"""The partition table, and what lies beside the UKI in the EFI system partition."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from builder.compare.difference import Difference, node_id
from builder.compare.parts import changed_fields, not_compared, pair, presence, topic
from builder.compare.settled import same_disk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.compare.baseline import Baseline, BesideUki, Partition
    from builder.compare.difference import Topic

PARTITIONS: Final = "partitions"
ESP: Final = "esp"


def compare_partitions(old: Baseline, new: Baseline) -> Topic:
    """The used entries of the partition table, by number."""
    both = pair(old.partitions, new.partitions)
    if not isinstance(both, tuple):
        return (
            topic(PARTITIONS, "Partitions", ()) if same_disk(old, new) else not_compared(PARTITIONS, "Partitions", both)
        )
    return topic(PARTITIONS, "Partitions", _partitions(*both))


def compare_esp(old: Baseline, new: Baseline) -> Topic:
    """Files of the EFI system partition but the UKI: addons, credentials, other programs."""
    title = "Files beside the UKI"
    both = pair(old.esp_files, new.esp_files)
    if not isinstance(both, tuple):
        return topic(ESP, title, ()) if same_disk(old, new) else not_compared(ESP, title, both)
    return topic(ESP, title, _files(*both))


def esp_id(path: str) -> str:
    """The id of the difference of a file in the EFI system partition."""
    return node_id(ESP, path)


def _partitions(old: tuple[Partition, ...], new: tuple[Partition, ...]) -> Iterator[Difference]:
    left, right = ({partition.number: partition for partition in side} for side in (old, new))
    for number in sorted(left.keys() | right.keys()):
        one, other = left.get(number), right.get(number)
        fields = changed_fields(_values(one), _values(other))
        if fields:
            partition = other or one
            yield Difference(
                id=node_id(PARTITIONS, str(number)),
                kind="partition",
                subject=f"{number} ({partition.type})" if partition is not None else str(number),
                change=presence(one, other),
                fields=fields,
            )


def _files(old: tuple[BesideUki, ...], new: tuple[BesideUki, ...]) -> Iterator[Difference]:
    left, right = ({file.path: file for file in side} for side in (old, new))
    for path in sorted(left.keys() | right.keys()):
        one, other = left.get(path), right.get(path)
        file = other or one
        if one != other and file is not None:
            yield Difference(
                id=esp_id(path),
                kind="ESP file",
                subject=path,
                change=presence(one, other),
                old=None if one is None else one.sha256,
                new=None if other is None else other.sha256,
                notes=(file.role,),
                fields=changed_fields(_command_line(one), _command_line(other)),
            )


def _values(partition: Partition | None) -> dict[str, str]:
    if partition is None:
        return {}
    return {name: str(value) for name, value in asdict(partition).items()}


def _command_line(file: BesideUki | None) -> dict[str, str]:
    return {} if file is None or file.command_line is None else {"command line": file.command_line}
