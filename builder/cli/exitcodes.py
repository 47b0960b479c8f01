"""The exit codes of bedplate, which are an API: scripts and CI decide by them.

====  ==================================================================================
code  meaning
====  ==================================================================================
0     yes: it is done, or what was checked holds
1     no: a check was made and failed (not verified, differs, a policy is broken)
2     the command line or an input file is not acceptable
3     an external tool, or the machine (disk full, no permission), failed
4     an external tool is missing or too old
70    a bug in bedplate
130   interrupted (SIGINT); 143 for SIGTERM, 141 when nobody reads the output any more
====  ==================================================================================
"""

from __future__ import annotations

import enum
import errno
import signal
from typing import Final

import click

from builder import errors
from policies import errors as policies
from signing import errors as signing


class ExitCode(enum.IntEnum):
    """What the process tells its caller."""

    YES = 0
    NO = 1
    INVALID = 2
    FAILED = 3
    MISSING = 4
    BUG = 70
    INTERRUPTED = 128 + signal.SIGINT


# The first type that fits decides, so a subclass stands before its base. A type that is not here is a bug: only what
# is known to be a verdict may exit with 1, and a crash never does.
TABLE: Final[tuple[tuple[type[BaseException], ExitCode], ...]] = (
    (errors.NotVerifiedError, ExitCode.NO),
    (errors.InvalidInputError, ExitCode.INVALID),
    (errors.ToolFailedError, ExitCode.FAILED),
    (errors.ToolMissingError, ExitCode.MISSING),
    (errors.BedplateError, ExitCode.FAILED),
    (signing.InvalidSignatureError, ExitCode.NO),
    (signing.SigningError, ExitCode.INVALID),
    (policies.InvalidPolicyError, ExitCode.INVALID),
    (policies.MissingExtraError, ExitCode.MISSING),
    (click.ClickException, ExitCode.INVALID),
    (click.Abort, ExitCode.INTERRUPTED),
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
)

# What an operating system says when the machine, not bedplate, is at fault.
_MACHINE_ERRORS: Final = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE,
     errno.ENOMEM, errno.ESTALE)
)  # fmt: skip


def exit_code(error: BaseException) -> ExitCode:
    """The exit code for an exception that reached the command line."""
    for kind, code in TABLE:
        if isinstance(error, kind):
            return code
    return ExitCode.FAILED if is_machine_error(error) else ExitCode.BUG


def is_machine_error(error: BaseException) -> bool:
    """Whether the machine failed: no space, no permission, a broken disk."""
    return isinstance(error, OSError) and error.errno in _MACHINE_ERRORS
