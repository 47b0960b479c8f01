"""Facts: all that a control may look at, as frozen values. Nothing here reads an image."""

from policies.facts.accounts import Accounts, AuthorizedKeys, BrokenLine, Group, NameService, Password, Shadow, User
from policies.facts.base import AreaName, Fact, FileType, Origin, Setting
from policies.facts.boot import (
    Argument,
    CommandLine,
    Disk,
    EspFile,
    ImageIdentity,
    Partition,
    Uki,
    UkiProfile,
    UkiSection,
)
from policies.facts.configuration import (
    Configuration,
    DBusService,
    ModprobeDirective,
    ModuleLoad,
    Mount,
    PamRule,
    PolkitFile,
    SysctlSetting,
    SysusersEntry,
    TmpfilesEntry,
    UdevProgram,
)
from policies.facts.document import Area, Facts
from policies.facts.files import Elf, File, Kernel, KernelModule, Package, Script, Secret
from policies.facts.loaders import Boot, BootEntry, BootProgram, LoaderMenu, Unread
from policies.facts.systemd import (
    Credential,
    DaemonConfiguration,
    Edge,
    Generator,
    Listen,
    PresetRule,
    Program,
    Systemd,
    Unit,
)

__all__ = [
    "Accounts", "Area", "AreaName", "Argument", "AuthorizedKeys", "Boot", "BootEntry", "BootProgram", "BrokenLine",
    "CommandLine", "Configuration", "Credential", "DBusService", "DaemonConfiguration", "Disk", "Edge", "Elf",
    "EspFile", "Fact", "Facts", "File", "FileType", "Generator", "Group", "ImageIdentity", "Kernel", "KernelModule",
    "Listen", "LoaderMenu", "ModprobeDirective", "ModuleLoad", "Mount", "NameService", "Origin", "Package",
    "PamRule", "Partition", "Password", "PolkitFile", "PresetRule", "Program", "Script", "Secret", "Setting",
    "Shadow", "SysctlSetting", "Systemd", "SysusersEntry", "TmpfilesEntry", "UdevProgram", "Uki", "UkiProfile",
    "UkiSection", "Unit", "Unread", "User",
]  # fmt: skip
