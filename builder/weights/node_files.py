"""What a node with weights has in its root: who the model is, how its disk is opened, and where it is mounted.

The root hash stands in a unit of the measured root, so that other weights are another image. The two partitions are
looked for by the UUIDs that follow from it, so that no other disk is even opened, and a block that is not what the tree
says stops the machine, as it does for the root.

Units instead of veritytab(5): its generator would also take volumes from the kernel's command line.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import msgspec

from builder.image.verity import partition_uuids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.weights.identity import Model

MODEL_FILE: Final = PurePosixPath("usr/lib/bedplate/model.json")
VERITY_UNIT: Final = PurePosixPath("usr/lib/systemd/system/weights-verity.service")
MOUNT_UNIT: Final = PurePosixPath("usr/lib/systemd/system/run-weights.mount")
_ATTACH: Final = "/usr/lib/systemd/systemd-veritysetup"

# A dash in the name of a unit that stands for a path is written so, as systemd-escape does it.
_ESCAPED_DASH: Final = "\\x2d"
_VERITY: Final = """\
[Unit]
Description=Hash tree of the weights
DefaultDependencies=no
BindsTo={units}
After={units}
Conflicts=umount.target
Before=umount.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={attach} attach weights {devices} {root_hash} panic-on-corruption
ExecStop={attach} detach weights
"""
_MOUNT: Final = """\
[Unit]
Description=Weights
DefaultDependencies=no
Requires=weights-verity.service
After=weights-verity.service
Conflicts=umount.target
Before=umount.target

[Mount]
What=/dev/mapper/weights
Where=/run/weights
Type=erofs
Options=ro,nosuid,nodev,noexec
"""


def weights_files(model: Model) -> Mapping[PurePosixPath, bytes]:
    """The files by their path in the root."""
    root_hash = model.root_hash
    data, tree = partition_uuids(bytes.fromhex(root_hash))
    devices = [f"/dev/disk/by-partuuid/{uuid}" for uuid in (data, tree)]
    units = " ".join(
        f"dev-disk-by\\x2dpartuuid-{str(uuid).replace('-', _ESCAPED_DASH)}.device" for uuid in (data, tree)
    )
    return {
        MODEL_FILE: msgspec.json.encode(model, order="sorted") + b"\n",
        VERITY_UNIT: _VERITY.format(
            attach=_ATTACH, devices=" ".join(devices), root_hash=root_hash, units=units
        ).encode(),
        MOUNT_UNIT: _MOUNT.encode(),
    }
