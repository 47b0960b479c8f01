"""Make the sample images beside this file: ``python make.py TOOLCHAIN_TREE``, as root (device nodes, owners, xattrs).

The images are made by the tools that own the formats, never by bedplate, so that the readers are tested against
somebody else's writing. README.md says what is in them.
"""

from __future__ import annotations

import os
import stat
import struct
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard

from builder.mkosi.toolchain import Toolchain
from builder.process import run

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
EPOCH = 1735689600  # 2025-01-01
SALT = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
VERITY_UUID = "6c2c6a1a-5f3c-4d43-9a0e-0d6e5f0a7c11"
EROFS_UUID = "0f5a1b52-7f3e-4a0c-8d3c-2f6f6e0c9a77"
FAT_SIZES = {12: 1 << 20, 16: 8 << 20, 32: 34 << 20}
SECTORS_PER_CLUSTER = {12: 4, 16: 1, 32: 1}
# VFS_CAP_REVISION_2 with CAP_NET_RAW, effective: what `setcap cap_net_raw+ep` writes.
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
# linux/posix_acl_xattr.h: owner rw, user 1234 r, group r, mask r, others nothing.
_NO_ID = 0xFFFFFFFF
ACCESS_LIST = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, rights, identity)
    for tag, rights, identity in ((1, 6, _NO_ID), (2, 4, 1234), (4, 4, _NO_ID), (16, 4, _NO_ID), (32, 0, _NO_ID))
)


class Workshop:
    """A scratch directory in which the toolchain's programs run."""

    def __init__(self, toolchain: Toolchain, directory: Path) -> None:
        self.toolchain = toolchain
        self.directory = directory

    def run(self, *argv: str, stdin: bytes | None = None) -> bytes:
        """Run a program of the toolchain and return what it printed."""
        command = self.toolchain.command(argv, writable=[self.directory])
        environment = {"SOURCE_DATE_EPOCH": str(EPOCH), "TZ": "UTC", "MTOOLS_SKIP_CHECK": "1"}
        return run(command, timeout=120, stdin=stdin, env=environment).stdout

    def path(self, name: str) -> Path:
        """A path in the scratch directory."""
        return self.directory / name

    def keep(self, name: str) -> None:
        """Store a finished image, compressed, beside this script."""
        data = self.path(name).read_bytes()
        (HERE / f"{name}.zst").write_bytes(zstandard.ZstdCompressor(level=19).compress(data))


def blank(path: Path, size: int) -> None:
    """An empty image of ``size`` bytes."""
    with path.open("wb") as file:
        file.truncate(size)


def make_gpt(shop: Workshop) -> None:
    """Two tables that differ in their sector size: an ESP, a root with a non-ASCII name, and its verity partition."""
    for sector in (512, 4096):
        name = f"gpt-{sector}.img"
        blank(shop.path(name), 2 << 20)
        script = (
            "label: gpt\nlabel-id: 11111111-2222-3333-4444-555555555555\n"
            "start=64, size=64, type=c12a7328-f81f-11d2-ba4b-00a0c93ec93b, "
            'uuid=aaaaaaaa-0000-4000-8000-000000000001, name="esp"\n'
            "start=200, size=8, type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709, "
            'uuid=aaaaaaaa-0000-4000-8000-000000000002, name="wurzel-ä", attrs="GUID:60"\n'
            "start=128, size=72, type=2c7357ed-ebd2-46d9-aec1-23d437ec2bf5, "
            'uuid=aaaaaaaa-0000-4000-8000-000000000003, name="root-verity"\n'
        )
        shop.run("sfdisk", "--sector-size", str(sector), str(shop.path(name)), stdin=script.encode())
        shop.keep(name)


def make_fat(shop: Workshop) -> None:
    """One volume per FAT type, all with the same files."""
    shop.path("uki.bin").write_bytes(bytes(range(256)) * 120)
    shop.path("small.txt").write_bytes(b"timeout 0\n")
    shop.path("empty").write_bytes(b"")
    for name in ("uki.bin", "small.txt", "empty"):
        os.utime(shop.path(name), (EPOCH, EPOCH))
    for bits, size in FAT_SIZES.items():
        name = f"fat{bits}.img"
        image = str(shop.path(name))
        blank(shop.path(name), size)
        # fmt: off
        shop.run("mkfs.vfat", "--invariant", "-F", str(bits), "-S", "512", "-s", str(SECTORS_PER_CLUSTER[bits]),
                 "-n", "ESP", image)
        # fmt: on
        for directory in ("EFI", "EFI/BOOT", "EFI/Linux", "loader"):
            shop.run("mmd", "-i", image, f"::/{directory}")
        copies = {
            "uki.bin": ("EFI/BOOT/BOOTX64.EFI", "EFI/Linux/inference-node_1.0.0_x86-64.efi"),
            "small.txt": ("loader/loader.conf", "EFI/Linux/Größe 漢字 with a name of many parts.txt"),
            "empty": ("EFI/empty",),
        }
        for source, targets in copies.items():
            for target in targets:
                shop.run("mcopy", "-m", "-i", image, str(shop.path(source)), f"::/{target}")
        for number in range(40):  # a directory of several clusters
            shop.run("mcopy", "-i", image, str(shop.path("small.txt")), f"::/loader/entry-number-{number:02}.conf")
        shop.run("mdel", "-i", image, "::/loader/entry-number-07.conf")
        shop.keep(name)


def make_verity(shop: Workshop) -> None:
    """150 data blocks (two levels of hashes) with their tree, and the root hash as veritysetup prints it."""
    data, tree = shop.path("verity-data.img"), shop.path("verity-hash.img")
    data.write_bytes(b"".join(struct.pack("<Q", number) * 512 for number in range(150)))
    tree.unlink(missing_ok=True)
    _format_verity(shop, data, tree)
    for name in ("verity-data.img", "verity-hash.img"):
        shop.keep(name)


def _format_verity(shop: Workshop, data: Path, tree: Path) -> str:
    blank(tree, 0)
    # fmt: off
    printed = shop.run("veritysetup", "format", str(data), str(tree), "--salt", SALT, "--uuid", VERITY_UUID)
    # fmt: on
    root = next(line.split()[-1] for line in printed.decode().splitlines() if line.startswith("Root hash:"))
    (HERE / f"{tree.name}.root").write_text(root + "\n", encoding="ascii")
    return root


def make_tree(root: Path) -> None:
    """A root file system with one of everything that the EROFS reader and the inventory must get right."""
    for name in ("usr/bin", "usr/lib", "etc/many", "dev", "var/lib/dpkg/info", "odd/a/b/c/d"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "lib"):
        (root / name).symlink_to(f"usr/{name}")
    for size in (0, 1, 4095, 4096, 4097, 10000):
        (root / f"odd/size-{size}").write_bytes(bytes(number * 7 % 251 for number in range(size)))
    with (root / "odd/sparse").open("wb") as file:
        file.truncate(40000)
        file.seek(20000)
        file.write(b"in the middle")
    (root / "odd" / ("n" * 255)).write_bytes(b"long name")
    (root / "odd/größe").write_text("not ASCII\n", encoding="utf-8")
    Path(os.fsdecode(bytes(root / "odd") + b"/not-\xff-utf8")).write_bytes(b"bytes")
    os.link(root / "odd/size-1", root / "odd/hardlink")
    (root / "odd/long-link").symlink_to("x/" * 400)
    for number in range(600):
        (root / f"etc/many/file-{number:04}").write_text(f"{number}\n", encoding="ascii")
    os.mknod(root / "dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "dev/large", stat.S_IFBLK | 0o660, os.makedev(259, 70000))
    os.mknod(root / "dev/pipe", stat.S_IFIFO | 0o600)
    os.mknod(root / "dev/socket", stat.S_IFSOCK | 0o600)
    (root / "usr/bin/ping").write_bytes(b"\x7fELF ping" * 100)
    (root / "usr/bin/ping").chmod(0o4755)
    (root / "usr/bin/sh").symlink_to("dash")
    (root / "usr/bin/dash").write_bytes(b"\x7fELF dash" * 1000)
    (root / "usr/lib/unowned.so").write_bytes(b"nobody's")
    os.chown(root / "odd/size-4096", 100000, 70000)
    os.setxattr(root / "usr/bin/ping", "security.capability", CAPABILITY)
    os.setxattr(root / "odd/size-1", "user.comment", b"one")
    os.setxattr(root / "odd/size-10000", "user.long", b"v" * 600)
    os.setxattr(root / "odd/size-10000", "trusted.overlay.opaque", b"y")
    for name in ("size-1", "size-4095", "size-4096", "size-4097"):  # frequent enough to be stored as shared
        os.setxattr(root / "odd" / name, "user.shared", b"the same for all of them")
    _make_dpkg_database(root / "var/lib/dpkg")
    for number, path in enumerate(sorted(root.rglob("*"))):
        os.utime(path, (EPOCH - number, EPOCH - number), follow_symlinks=False)
    os.utime(root, (EPOCH, EPOCH))


def _make_dpkg_database(database: Path) -> None:
    (database / "status").write_text(
        "Package: dash\nStatus: install ok installed\nPriority: required\nInstalled-Size: 226\n"
        "Maintainer: Someone <someone@example.org>\nArchitecture: amd64\nVersion: 0.5.12-12\n"
        "Description: POSIX-compliant shell\n Several lines\n .\n of text.\n\n"
        "Package: iputils-ping\nStatus: install ok installed\nArchitecture: amd64\nSource: iputils (3:20240905-3)\n"
        "Version: 3:20240905-3+b1\nMulti-Arch: foreign\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\n",
        encoding="utf-8",
    )
    # dash was built before the merge of /bin into /usr/bin and says so in its file list.
    (database / "info/dash.list").write_text("/.\n/bin\n/bin/dash\n/bin/sh\n/usr\n", encoding="utf-8")
    (database / "info/iputils-ping:amd64.list").write_text("/.\n/usr\n/usr/bin\n/usr/bin/ping\n", encoding="utf-8")
    (database / "info/gone.list").write_text("/.\n/etc/gone.conf\n", encoding="utf-8")


def make_erofs(shop: Workshop) -> None:
    """The same tree in the layouts that mkfs.erofs can write, one of them compressed."""
    tree = shop.path("tree")
    make_tree(tree)
    variants = {
        "root.erofs": ("--mkfs-time",),
        "root-chunks.erofs": ("--mkfs-time", "--chunksize=4096"),
        "root-prefixes.erofs": ("--mkfs-time", "--xattr-prefix=user.comm", "--xattr-prefix=trusted.overlay."),
        "root-small-blocks.erofs": ("--mkfs-time", "-b512"),
        "root-lz4.erofs": ("--mkfs-time", "-zlz4"),
        "root-compact.erofs": ("-Eforce-inode-compact",),
    }
    for name, options in variants.items():
        if name == "root-compact.erofs":  # compact inodes have no times of their own and 16 bit owners
            os.chown(tree / "odd/size-4096", 1000, 1001)
            for path in (tree, *tree.rglob("*")):
                os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)
        # With SOURCE_DATE_EPOCH mkfs.erofs 1.8 never writes compact inodes.
        # fmt: off
        shop.run("env", "-u", "SOURCE_DATE_EPOCH", "mkfs.erofs", "--quiet", f"-T{EPOCH}", f"-U{EROFS_UUID}", *options,
                 str(shop.path(name)), str(tree))
        # fmt: on
        shop.keep(name)


def make_more(tree: Path) -> None:
    """What only the readers of ext4 and squashfs are asked: many extents, large attributes, an access list."""
    with (tree / "odd/extents").open("wb") as file:
        for number in range(400):  # every second block of 4096 bytes
            file.seek(number * 8192)
            file.write(bytes([number % 251]) * 4096)
    os.setxattr(tree / "odd/size-4095", "user.large", b"L" * 700)
    os.setxattr(tree / "odd/size-4096", "system.posix_acl_access", ACCESS_LIST)
    (tree / "odd/medium").write_bytes(b"more than sixty bytes, and less than an inode has room for. " * 2)
    for name in ("odd", "odd/extents", "odd/medium"):
        os.utime(tree / name, (EPOCH, EPOCH))


def make_ext4(shop: Workshop) -> None:
    """That tree in ext4 as it is by default and with less common features, in ext3 and in ext2."""
    tree = shop.path("ext4-tree")
    make_tree(tree)
    make_more(tree)
    variants = {
        "root.ext4": ("-text4", "-b4096", "-I256", "16M"),
        "root-inline.ext4": ("-text4", "-b4096", "-I1024", "-Oinline_data,metadata_csum_seed,large_dir", "16M"),
        "root-small-blocks.ext4": ("-text4", "-b1024", "-I128", "-O^64bit,^metadata_csum", "16M"),
        "root-bigalloc.ext4": ("-text4", "-b1024", "-C4096", "-Obigalloc,quota", "16M"),
        "root.ext3": ("-text3", "-b2048", "16M"),
        "root.ext2": ("-text2", "-b1024", "-O^filetype", "-r1", "16M"),
        "root-attributes.ext4": ("-text4", "-b1024", "-I256", "-Oea_inode", "16M"),
    }
    for name, (*options, size) in variants.items():
        image = str(shop.path(name))
        if name == "root-attributes.ext4":  # more than a block holds: an inode of its own
            os.setxattr(tree / "odd/size-4095", "user.large", b"L" * 3000)
        # fmt: off
        shop.run("mke2fs", "-q", "-N800", f"-U{EROFS_UUID}", f"-Ehash_seed={EROFS_UUID}", "-d", str(tree), *options,
                 image, size)
        # fmt: on
        # Makes hash trees of large directories; 1 means that it changed something.
        shop.run("sh", "-c", 'e2fsck -fyD "$1" || test $? = 1', "sh", image)
        shop.keep(name)


def make_squashfs(shop: Workshop) -> None:
    """That tree in squashfs, once per compressor, and without compression, fragments and duplicates."""
    tree = shop.path("ext4-tree")
    os.setxattr(tree / "odd/größe", "user.shared", b"v" * 70)
    os.setxattr(tree / "odd/medium", "user.shared", b"v" * 70)
    os.removexattr(tree / "odd/size-4096", "system.posix_acl_access")
    plain = ("-noI", "-noD", "-noF", "-noX", "-no-fragments", "-no-duplicates", "-b", "4K")
    variants = {
        **{f"root-{name}.squashfs": ("-comp", name, "-b", "16K") for name in ("gzip", "lzo", "lz4", "xz", "zstd")},
        "root-plain.squashfs": plain,
        "root-options.squashfs": ("-comp", "xz", "-Xbcj", "x86", "-always-use-fragments"),
    }
    for name, options in variants.items():
        image = str(shop.path(name))
        shop.run("env", "-u", "SOURCE_DATE_EPOCH", "mksquashfs", str(tree), image, "-quiet", "-no-progress", *options)
        shop.keep(name)


def make_initrd(shop: Workshop) -> None:
    """An initrd as mkosi ships it: an uncompressed archive, then others, each of another compression."""
    tree = shop.path("initrd-tree")
    (tree / "usr/lib").mkdir(parents=True)
    (tree / "dev").mkdir()
    (tree / "init").symlink_to("usr/lib/init")
    (tree / "usr/lib/init").write_bytes(b"\x7fELF init" * 50)
    (tree / "usr/lib/init").chmod(0o755)
    os.link(tree / "usr/lib/init", tree / "usr/lib/second-name")
    os.mknod(tree / "dev/console", stat.S_IFCHR | 0o600, os.makedev(5, 1))
    for path in (*tree.rglob("*"), tree):
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)
    names = sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))
    for form, name in (("newc", "initrd.cpio"), ("crc", "initrd-crc.cpio")):
        archive = _cpio(shop, tree, [".", *names], form)
        shop.path(name).write_bytes(archive)
        shop.keep(name)
    newc = shop.path("initrd.cpio").read_bytes()
    compressors = (("zstd", "-q", "-c"), ("gzip", "-n", "-c"), ("xz", "--check=crc32", "-c"))
    parts = [newc, *(shop.run(*argv, stdin=newc) for argv in compressors)]
    parts.append(parts[1] + parts[1])  # two zstd frames without padding between them
    shop.path("initrd-concatenated.img").write_bytes(b"".join(part + bytes(-len(part) % 4) for part in parts))
    shop.keep("initrd-concatenated.img")


def _cpio(shop: Workshop, tree: Path, names: Sequence[str], form: str) -> bytes:
    listing = b"".join(name.encode() + b"\0" for name in names)
    # fmt: off
    return shop.run("cpio", "--quiet", "--null", "--create", "--reproducible", "--format", form,
                    "--directory", str(tree), stdin=listing)
    # fmt: on


def make_disk(shop: Workshop) -> None:
    """A whole disk: an ESP with one UKI, an EROFS root and its verity partition, UUIDs derived from the root hash."""
    root, tree, esp = shop.path("root.erofs"), shop.path("disk-verity.img"), shop.path("fat12.img")
    digest = _format_verity(shop, root, tree)
    esp_image = str(esp)
    shop.run("mdeltree", "-i", esp_image, "::/loader", "::/EFI/Linux", "::/EFI/empty")
    uuids = [f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}" for h in (digest[:32], digest[32:])]
    sectors = [path.stat().st_size // 512 for path in (esp, root, tree)]
    starts = [2048, 2048 + sectors[0], 2048 + sectors[0] + sectors[1]]
    types = ("uefi", "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5")
    script = "label: gpt\nlabel-id: 11111111-2222-3333-4444-555555555555\n"
    owners = zip(starts, sectors, types, ("aaaaaaaa-0000-4000-8000-000000000001", *uuids), strict=True)
    for start, size, type_guid, unique in owners:
        script += f"start={start}, size={size}, type={type_guid}, uuid={unique}\n"
    disk = shop.path("disk.raw")
    blank(disk, (starts[2] + sectors[2] + 2048) * 512)
    shop.run("sfdisk", str(disk), stdin=script.encode())
    with disk.open("r+b") as file:
        for start, path in zip(starts, (esp, root, tree), strict=True):
            file.seek(start * 512)
            file.write(path.read_bytes())
    shop.keep("disk.raw")


def main() -> None:
    """Make everything."""
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as scratch:
        shop = Workshop(Toolchain(Path(sys.argv[1]).resolve()), Path(scratch))
        for make in (make_gpt, make_fat, make_verity, make_erofs, make_ext4, make_squashfs, make_initrd, make_disk):
            make(shop)


if __name__ == "__main__":
    main()
