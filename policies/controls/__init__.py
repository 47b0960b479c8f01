"""The controls, one module per door. A new module is listed here, a new control in its module's ``CONTROLS``."""

from policies.controls import (
    accounts,
    baked_secrets,
    boot_shells,
    consoles,
    dumps,
    hardening,
    lockdown,
    logs,
    measured_phases,
    measured_uki,
    programs,
    remote_access,
    remote_shells,
    storage,
    verity,
)

ALL = (
    *remote_shells.CONTROLS,
    *consoles.CONTROLS,
    *accounts.CONTROLS,
    *verity.CONTROLS,
    *storage.CONTROLS,
    *lockdown.CONTROLS,
    *remote_access.CONTROLS,
    *hardening.CONTROLS,
    *programs.CONTROLS,
    *dumps.CONTROLS,
    *boot_shells.CONTROLS,
    *logs.CONTROLS,
    *baked_secrets.CONTROLS,
    *measured_uki.CONTROLS,
    *measured_phases.CONTROLS,
)
