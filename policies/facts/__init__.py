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
    EncryptedVolume,
    LoadedPath,
    ModprobeDirective,
    ModuleLoad,
    Mount,
    PamRule,
    PolkitFile,
    SysctlSetting,
    SysusersEntry,
    TmpfilesEntry,
    UdevProgram,
    UdevSetting,
)
from policies.facts.document import Area, Facts
from policies.facts.files import Elf, File, Kernel, KernelModule, Package, Script, Secret
from policies.facts.loaders import Boot, BootEntry, BootProgram, LoaderMenu, Unread
from policies.facts.rights import BusOption, BusRule, PolkitAction, PolkitGrant, Rights, SudoRule
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
    "BusOption", "BusRule", "CommandLine", "Configuration", "Credential", "DBusService", "DaemonConfiguration", "Disk",
    "Edge", "Elf", "EncryptedVolume", "EspFile", "Fact", "Facts", "File", "FileType", "Generator", "Group",
    "ImageIdentity", "Kernel", "KernelModule", "Listen", "LoadedPath", "LoaderMenu", "ModprobeDirective", "ModuleLoad",
    "Mount", "NameService", "Origin", "Package", "PamRule", "Partition", "Password", "PolkitAction", "PolkitFile",
    "PolkitGrant", "PresetRule", "Program", "Rights", "Script", "Secret", "Setting", "Shadow", "SudoRule",
    "SysctlSetting", "Systemd", "SysusersEntry", "TmpfilesEntry", "UdevProgram", "UdevSetting", "Uki", "UkiProfile",
    "UkiSection", "Unit", "Unread", "User",
]  # fmt: skip
