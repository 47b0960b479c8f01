from __future__ import annotations

from tests.control_cases import bad, good

CASES = (
    bad("ZOA-201", "uki:0:console=ttyS0,115200n8", command_line="quiet console=ttyS0,115200n8"),
    bad("ZOA-201", "uki:0:console=tty0", command_line='"console=tty0" console=null'),
    good("ZOA-201", command_line="quiet console=null consoleblank=60"),
    good("ZOA-201", command_line=None),
)
