from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from policies.facts import ImageIdentity, UkiSection
from tests.control_cases import bad, good
from tests.fact_trees import OS_RELEASE, esp_file, uki

if TYPE_CHECKING:
    from policies.facts import Uki

_SECTIONS = (".linux", ".osrel", ".cmdline", ".initrd", ".uname", ".sbat")
_DEVELOPMENT = OS_RELEASE.replace("production", "development")
_CONFIG = "usr/lib/modules/6.12.0/config"
_MODULES = {"usr/lib/modules/6.12.0/modules.builtin": "x\n"}


def _with(sections: tuple[str, ...] = _SECTIONS, command_line: str | None = "quiet", **changes: Any) -> Uki:
    profile = uki(command_line).profiles[0]
    made = tuple(UkiSection(name=name, size=1, sha256="00" * 32) for name in sections)
    return replace(uki(), profiles=(replace(profile, sections=made, **changes),))


def _second(number_one: str = "quiet", *, name: str | None = "debug", **changes: Any) -> Uki:
    second = replace(uki(number_one).profiles[0], number=1, id=name, **changes)
    return replace(uki(), profiles=(uki().profiles[0], second))


def _marked(mark: str | None) -> ImageIdentity:
    return ImageIdentity(name="node", version="1.0.0", profile=mark)


CASES = (
    *(
        bad("ZOA-901", f"esp:{path}", esp_files=(esp_file(path, role),))
        for path, role in (
            ("/EFI/systemd/systemd-bootx64.efi", "program"),
            ("/EFI/BOOT/BOOTX64.EFI.extra.d/x.addon.efi", "addon"),
            ("/loader/credentials/x.cred", "credential"),
            ("/loader/entries/x.conf", "loader"),
            ("/startup.nsh", "other"),
        )
    ),
    good("ZOA-901", esp_files=()),
    bad("ZOA-902", "uki:signature", uki=replace(uki(), signed=False)),
    good("ZOA-902", uki=uki()),
    bad("ZOA-903", "uki:stub", uki=replace(uki(), stub_release=251)),
    bad("ZOA-903", "uki:stub", uki=replace(uki(), stub_release=263)),
    good("ZOA-903", uki=replace(uki(), stub_release=252)),
    good("ZOA-903", uki=replace(uki(), stub_release=262)),
    *(
        bad("ZOA-904", f"uki:0:{name}", uki=_with(tuple(other for other in _SECTIONS if other != name)))
        for name in _SECTIONS
    ),
    bad("ZOA-904", "uki:0:.cmdline", uki=_with(command_line="  ")),
    good("ZOA-904", uki=_with((".profile", *_SECTIONS))),
    bad("ZOA-905", "uki:1:debug", uki=_second()),
    bad("ZOA-905", "uki:1:no ID", uki=_second(name=None)),
    good("ZOA-905", uki=_second(name="reset"), parameters={"allowed": ("reset",)}),
    good("ZOA-905", uki=uki()),
    bad("ZOA-906", "uki:0:IMAGE_VERSION", uki=uki(os_release=OS_RELEASE.replace("1.0.0", "1.0.1"))),
    bad("ZOA-906", "uki:1:ID", uki=_second(os_release={**uki().profiles[0].os_release, "ID": "other"})),
    bad("ZOA-906", "uki:0:HOME_URL", root={"usr/lib/os-release": OS_RELEASE + "HOME_URL=x\n"}),
    bad("ZOA-906", "uki:0:BUG_URL", uki=uki(os_release=OS_RELEASE + "BUG_URL=x\n")),
    bad("ZOA-906", "initrd:VARIANT_ID", initrd={"usr/lib/os-release": _DEVELOPMENT}),
    *(
        bad(
            "ZOA-906",
            f"root:{key}",
            root={"usr/lib/os-release": text},
            initrd={"usr/lib/os-release": text},
            os_release=text,
        )
        for key in ("IMAGE_ID", "IMAGE_VERSION", "VARIANT_ID")
        for text in ["".join(f"{line}\n" for line in OS_RELEASE.splitlines() if not line.startswith(key))]
    ),
    good("ZOA-906", initrd={"usr/lib/os-release": OS_RELEASE + "HOME_URL=only-here\n"}),
    bad("ZOA-907", "root:no modules:0", initrd=_MODULES),
    bad("ZOA-907", "initrd:6.1.0:0", root=_MODULES, initrd={**_MODULES, "usr/lib/modules/6.1.0/modules.builtin": ""}),
    bad(
        "ZOA-907", "root:6.12.0:1", "initrd:6.12.0:1", root=_MODULES, initrd=_MODULES, uki=_second(kernel_release=None)
    ),
    good("ZOA-907", root=_MODULES, initrd=_MODULES),
    bad("ZOA-908", "uki:VARIANT_ID", identity=_marked(None)),
    bad("ZOA-908", "uki:VARIANT_ID", identity=_marked("Production")),
    bad("ZOA-908", "uki:0:bedplate.profile", command_line="bedplate.profile=development"),
    bad("ZOA-908", "uki:0:bedplate.profile", command_line="bedplate.profile=production"),
    bad("ZOA-908", "uki:0:bedplate.profile", identity=_marked("development")),
    bad("ZOA-908", "uki:1:bedplate.profile", uki=_second("bedplate.profile=development")),
    good("ZOA-908", identity=_marked("development"), command_line="bedplate.profile=development"),
    good("ZOA-908", command_line="quiet"),
    bad("ZOA-909", "uki:VARIANT_ID", identity=_marked("development")),
    bad("ZOA-909", "uki:VARIANT_ID", identity=_marked(None)),
    good("ZOA-909", identity=_marked("production")),
    *(
        bad("ZOA-922", f"{area}:{name}", **{area: {**_MODULES, _CONFIG: f'{name}="x y"\n'}})
        for area in ("root", "initrd")
        for name in ("CONFIG_CMDLINE", "CONFIG_INITRAMFS_SOURCE", "CONFIG_BOOT_CONFIG_EMBED_FILE")
    ),
    good(
        "ZOA-922",
        root={
            **_MODULES,
            _CONFIG: '# CONFIG_CMDLINE_BOOL is not set\nCONFIG_CMDLINE=""\nCONFIG_INITRAMFS_SOURCE=""\nCONFIG_X="a"\n',
        },
    ),
    good("ZOA-922", root=_MODULES, initrd={"etc/config": 'CONFIG_CMDLINE="x"\n'}),
    *(
        bad("ZOA-923", f"uki:0:{name}", uki=_with((*_SECTIONS, name)))
        for name in (".dtb", ".dtbauto", ".hwids", ".efifw")
    ),
    good("ZOA-923", uki=_with((*_SECTIONS, ".ucode"))),
    good("ZOA-923", uki=_with((*_SECTIONS, ".dtb")), parameters={"allowed": (".dtb",)}),
)
