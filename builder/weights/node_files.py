"""What a node with weights has in its root: who the model is, how its disk is opened, read, and where it is mounted.

The root hash stands in a unit of the measured root, so that other weights are another image. The two partitions are
looked for by the UUIDs that follow from it, so that no other disk is even opened, and a block that is not what the tree
says stops the machine, as it does for the root. The kernel looks at a block when it is read; so all are read once
before the gateway listens, and no client is told yes by a node that has other weights.

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
READ_UNIT: Final = PurePosixPath("usr/lib/systemd/system/weights-read.service")
# The node listens for clients when its weights have been read, and not before.
LISTEN_DROP_IN: Final = PurePosixPath("usr/lib/systemd/system/gateway.socket.d/50-weights.conf")
# The program of the definition that reads them, see ``programs`` in image.yaml.
READER: Final = "weights-read"
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
# The manager opens the device, and the program has nothing else. It may take as long as there are bytes.
_READ: Final = f"""\
[Unit]
Description=Reading of all weights
DefaultDependencies=no
Requires=sysinit.target weights-verity.service dev-mapper-weights.device
After=sysinit.target weights-verity.service dev-mapper-weights.device
Conflicts=shutdown.target
Before=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/bedplate/{READER}
TimeoutStartSec=infinity
Environment=GOTRACEBACK=none
OpenFile=/dev/mapper/weights:weights:read-only
DevicePolicy=closed
DeviceAllow=/dev/mapper/weights r
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectProc=invisible
ProcSubset=pid
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
NoExecPaths=/
ExecPaths=/usr/lib/bedplate/{READER}
DynamicUser=yes
UMask=0777
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
KeyringMode=private
RemoveIPC=yes
PrivateNetwork=yes
RestrictAddressFamilies=none
IPAddressDeny=any
PrivateIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
MemoryDenyWriteExecute=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
MemoryMax=256M
MemorySwapMax=0
TasksMax=64
LimitNOFILE=64
LimitFSIZE=0
LimitCORE=0
"""
_LISTEN: Final = f"""\
[Unit]
Requires={READ_UNIT.name}
After={READ_UNIT.name}
"""
_MOUNT: Final = """\
[Unit]
Description=Weights
DefaultDependencies=no
Requires=weights-verity.service weights-read.service
After=weights-verity.service weights-read.service
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
        READ_UNIT: _READ.encode(),
        LISTEN_DROP_IN: _LISTEN.encode(),
        MOUNT_UNIT: _MOUNT.encode(),
    }
