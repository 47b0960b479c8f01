"""What programs start and open by names that are compiled into them: nothing in the image tells it.

Each entry was read in the source that it names, for the version that the base has (systemd 257, glibc 2.41).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.closure.edges import File, Library, Module, Program, Unit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.closure.edges import Edge

_MANAGER: Final = "/usr/lib/systemd/systemd"
_GENERATORS: Final = "/usr/lib/systemd/system-generators"

# Programs, by the program that starts them.
_PROGRAMS: Final[dict[str, tuple[str, ...]]] = {
    # src/core/manager.c pin_executor, src/core/main.c invoke of SYSTEMD_SHUTDOWN_BINARY_PATH
    _MANAGER: ("/usr/lib/systemd/systemd-executor", "/usr/lib/systemd/systemd-shutdown"),
    # src/remount-fs/remount-fs.c
    "/usr/lib/systemd/systemd-remount-fs": ("/usr/bin/mount",),
    # src/veritysetup/veritysetup-generator.c, src/cryptsetup/cryptsetup-generator.c and integritysetup-generator.c
    f"{_GENERATORS}/systemd-veritysetup-generator": ("/usr/lib/systemd/systemd-veritysetup",),
    f"{_GENERATORS}/systemd-cryptsetup-generator": ("/usr/lib/systemd/systemd-cryptsetup",),
    f"{_GENERATORS}/systemd-integritysetup-generator": ("/usr/lib/systemd/systemd-integritysetup",),
    # dbus-broker src/launch/launcher.c
    "/usr/bin/dbus-broker-launch": ("/usr/bin/dbus-broker",),
}  # fmt: skip
# The same for programs that their user can do without.
_OPTIONAL_PROGRAMS: Final[dict[str, tuple[str, ...]]] = {
    # src/fsck/fsck.c: fsck(8), and only if there is a checker for the file system
    "/usr/lib/systemd/systemd-fsck": ("/usr/sbin/fsck",),
}
# Units that generators write links to (src/*-generator/*.c). They need not be there: what a generator writes depends
# on the command line, and the manager passes over a unit that is wanted and missing.
_UNITS: Final[dict[str, tuple[str, ...]]] = {
    f"{_GENERATORS}/systemd-fstab-generator": (
        "local-fs.target", "remote-fs.target", "swap.target", "initrd-root-device.target", "initrd-root-fs.target",
        "initrd-usr-fs.target", "systemd-fsck-root.service", "systemd-fsck@.service", "systemd-remount-fs.service",
        "systemd-growfs-root.service", "systemd-growfs@.service", "systemd-volatile-root.service",
    ),
    f"{_GENERATORS}/systemd-veritysetup-generator": ("veritysetup.target",),
    f"{_GENERATORS}/systemd-cryptsetup-generator": ("cryptsetup.target",),
    f"{_GENERATORS}/systemd-integritysetup-generator": ("integritysetup.target",),
    f"{_GENERATORS}/systemd-tpm2-generator": ("tpm2.target",),
    f"{_GENERATORS}/systemd-getty-generator": (
        "getty.target", "serial-getty@.service", "console-getty.service", "container-getty@.service",
    ),
    f"{_GENERATORS}/systemd-ssh-generator": ("ssh-access.target",),
    f"{_GENERATORS}/systemd-debug-generator": ("debug-shell.service",),
    f"{_GENERATORS}/systemd-hibernate-resume-generator": ("systemd-hibernate-resume.service",),
    f"{_GENERATORS}/systemd-rc-local-generator": ("rc-local.service",),
    f"{_GENERATORS}/systemd-system-update-generator": ("system-update.target",),
}  # fmt: skip
# Files and directories, by who opens them; none is required, a program falls back to what is compiled in.
_FILES: Final[dict[str, tuple[str, ...]]] = {
    _MANAGER: (
        "/etc/systemd/system.conf", "/etc/systemd/system.conf.d/*.conf", "/usr/lib/systemd/system.conf",
        "/usr/lib/systemd/system.conf.d/*.conf", "/usr/lib/systemd/system-preset/*.preset",
        f"{_GENERATORS}/*", "/etc/systemd/system-generators/*", "/usr/lib/systemd/system-environment-generators/*",
        "/usr/lib/systemd/system-shutdown/*", "/etc/locale.conf", "/etc/environment.d/*.conf",
        "/usr/lib/environment.d/*.conf",
    ),
    "/usr/lib/systemd/systemd-journald": (
        "/etc/systemd/journald.conf", "/etc/systemd/journald.conf.d/*.conf", "/usr/lib/systemd/journald.conf",
        "/usr/lib/systemd/journald.conf.d/*.conf",
    ),
    "/usr/lib/systemd/systemd-networkd": (
        "/etc/systemd/networkd.conf", "/etc/systemd/networkd.conf.d/*.conf", "/usr/lib/systemd/networkd.conf",
        "/usr/lib/systemd/networkd.conf.d/*.conf", "/etc/systemd/network/**", "/usr/lib/systemd/network/*.network",
        "/usr/lib/systemd/network/*.netdev", "/usr/lib/systemd/network/*.network.d/*.conf",
    ),
    "/usr/lib/systemd/systemd-resolved": (
        "/etc/systemd/resolved.conf", "/etc/systemd/resolved.conf.d/*.conf", "/usr/lib/systemd/resolved.conf.d/*.conf",
        "/usr/lib/systemd/resolv.conf", "/etc/resolv.conf", "/etc/dnssec-trust-anchors.d/*",
    ),
    "/usr/lib/systemd/systemd-timesyncd": (
        "/etc/systemd/timesyncd.conf", "/etc/systemd/timesyncd.conf.d/*.conf",
        "/usr/lib/systemd/timesyncd.conf.d/*.conf", "/usr/lib/systemd/ntp-units.d/*",
    ),
    "/usr/lib/systemd/systemd-logind": (
        "/etc/systemd/logind.conf", "/etc/systemd/logind.conf.d/*.conf", "/usr/lib/systemd/logind.conf.d/*.conf",
    ),
    "/usr/bin/udevadm": (
        "/etc/udev/udev.conf", "/etc/udev/udev.conf.d/*.conf", "/usr/lib/udev/udev.conf", "/usr/lib/udev/hwdb.bin",
        "/etc/udev/hwdb.bin", "/usr/lib/systemd/network/*.link", "/usr/lib/systemd/network/*.link.d/*.conf",
        "/etc/udev/iocost.conf",
    ),
    "/usr/lib/x86_64-linux-gnu/libssl.so.3": ("/usr/lib/ssl/openssl.cnf", "/etc/ssl/openssl.cnf"),
    "/usr/bin/dbus-daemon": (
        "/usr/share/dbus-1/system.conf", "/usr/share/dbus-1/system.d/*", "/etc/dbus-1/**",
    ),
    "/usr/bin/dbus-broker-launch": (
        "/usr/share/dbus-1/system.conf", "/usr/share/dbus-1/system.d/*", "/etc/dbus-1/**",
    ),
}  # fmt: skip
# Libraries that are loaded without a note in the ELF file, by the soname of the library that loads them.
_LIBRARIES: Final[dict[str, Library]] = {
    # glibc misc/unwind-link.c, for pthread_exit and backtrace
    "libc.so.6": Library(("libgcc_s.so.1",), "the C library loads it to unwind a stack", optional=True),
    # systemd src/shared/tpm2-util.c, tpm2_context_new; without it nothing is measured, without a word
    "libtss2-esys.so.0": Library(("libtss2-tcti-device.so.0",), "systemd loads it to talk to the TPM"),
}
# Kernel modules that a program has loaded, by name or through what it asks of the kernel.
_MODULES: Final[dict[str, tuple[str, ...]]] = {
    # src/core/kmod-setup.c, but for autofs4, which automount units need, and ip_tables, as systemd speaks nftables
    _MANAGER: ("ipv6", "unix", "dmi-sysfs", "efivarfs", "tpm", "configfs", "vsock", "virtio_console", "virtio_rng"),
    "/usr/lib/systemd/systemd-networkd": ("af_packet", "ipv6"),
}  # fmt: skip


def implied_edges(path: str) -> Iterator[Edge]:
    """What the file at ``path``, links followed, needs without saying so. File edges may have wildcards."""
    for program in _PROGRAMS.get(path, ()):
        yield Program(program, f"{path} starts it")
    for program in _OPTIONAL_PROGRAMS.get(path, ()):
        yield Program(program, f"{path} starts it", optional=True)
    for unit in _UNITS.get(path, ()):
        yield Unit(unit, f"{path} may pull it in", optional=True)
    for pattern in _FILES.get(path, ()):
        yield File(pattern, f"{path} reads it", optional=True)
    name = path.rpartition("/")[2]
    # The file has more of the version than the soname: libtss2-esys.so.0.0.1.
    yield from (library for soname, library in _LIBRARIES.items() if name == soname or name.startswith(f"{soname}."))
    for module in _MODULES.get(path, ()):
        yield Module(module, f"{path} loads it", optional=True)
