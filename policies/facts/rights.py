"""Facts about rules that give rights: of the message bus, of polkit, of sudo and doas."""

from __future__ import annotations

from typing import Annotated, Literal

from policies.facts.accounts import BrokenLine  # noqa: TC001 -- msgspec resolves annotations at run time
from policies.facts.base import Fact, Origin, about


class BusRule(Fact, frozen=True, kw_only=True):
    """An ``allow`` or ``deny`` of the system bus (dbus-daemon(1), "CONFIGURATION FILE")."""

    allow: Annotated[bool, about("It allows; else it denies.")]
    scope: Annotated[
        str,
        about('Attribute of the policy around it: "context=default", "user=root", "group=netdev", "at_console=true".'),
    ]
    attributes: Annotated[dict[str, str], about('As they are spelled: {"own": "org.example"}.')]
    origin: Annotated[Origin, about("File and line.")]


class BusOption(Fact, frozen=True, kw_only=True):
    """Where the system bus listens, whom it lets in, and what it reads and runs besides (dbus-daemon(1))."""

    name: Annotated[
        str,
        about('The element: "listen", "auth", "allow_anonymous", "servicedir", "servicehelper", "include" and so on.'),
    ]
    value: Annotated[str, about("Its text; the path of what is read is absolute.")]
    origin: Annotated[Origin, about("File and line.")]


class PolkitAction(Fact, frozen=True, kw_only=True):
    """An action of polkit, and who may do it if no rule says anything (polkit(8), "DECLARING ACTIONS")."""

    id: Annotated[str, about("Its id.")]
    allow_any: Annotated[str, about('For anybody: "yes", "no", "auth_admin" and so on; "no" if left out.')]
    allow_inactive: Annotated[str, about("For who is logged in.")]
    allow_active: Annotated[str, about("For who sits at the console.")]
    program: Annotated[str | None, about("Program that pkexec runs by this action.")]
    origin: Annotated[Origin, about("File and line.")]


class PolkitGrant(Fact, frozen=True, kw_only=True):
    """A place in rules or in a .pkla file that says yes without asking, or runs a program to decide."""

    how: Annotated[Literal["yes", "spawn"], about('It says yes; or it calls "polkit.spawn".')]
    text: Annotated[str, about("The line.")]
    origin: Annotated[Origin, about("File and line.")]


class SudoRule(Fact, frozen=True, kw_only=True):
    """A line of sudoers(5) or doas.conf(5), continued lines joined; files that are included are read, too."""

    program: Annotated[Literal["sudo", "doas"], about("Who reads it.")]
    kind: Annotated[
        Literal["rule", "defaults", "alias", "include"],
        about("A rule, settings, names for lists, or another file or directory to read."),
    ]
    text: Annotated[str, about("The line; of an include the path.")]
    without_password: Annotated[bool, about("NOPASSWD, !authenticate or nopass.")]
    origin: Annotated[Origin, about("File and line.")]


class Rights(Fact, frozen=True, kw_only=True):
    """Who may do what by rules."""

    bus: Annotated[tuple[BusRule, ...], about("Of the system bus, in the order of its files.")]
    bus_options: Annotated[tuple[BusOption, ...], about("Of the system bus, in the order of its files.")]
    polkit_actions: Annotated[tuple[PolkitAction, ...], about("By file.")]
    polkit_grants: Annotated[tuple[PolkitGrant, ...], about("By file and line.")]
    sudo: Annotated[tuple[SudoRule, ...], about("By file and line.")]
    broken: Annotated[tuple[BrokenLine, ...], about("Files that could not be read as what they should be.")]
