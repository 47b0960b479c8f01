"""The controls, one module per door. A new module is listed here, a new control in its module's ``CONTROLS``."""

from policies.controls import (
    accounts,
    consoles,
    lockdown,
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
)
