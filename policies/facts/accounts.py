"""Facts about users, groups and keys. A password hash never becomes a fact, only what kind it is."""

from __future__ import annotations

from typing import Annotated, Literal

from policies.facts.base import Fact, Origin, about

# absent: no field; empty: no password needed; locked: "*", or "!" before something; hash: a password that crypt(3)
# can check; elsewhere: "x", the shadow file decides; invalid: nothing that a password can match.
PasswordState = Literal["absent", "empty", "locked", "hash", "elsewhere", "invalid"]


class Password(Fact, frozen=True, kw_only=True):
    """The password field of passwd, shadow, group or gshadow, classified (shadow(5), crypt(5))."""

    state: Annotated[PasswordState, about("Whether somebody could log in with a password.")]
    hash_kind: Annotated[
        str | None,
        about('Method of a hash, also of one that is locked by a "!": "yescrypt", "sha512", "descrypt" and so on.'),
    ]
    origin: Annotated[Origin, about("File and line of the field.")]


class User(Fact, frozen=True, kw_only=True):
    """A line of /etc/passwd."""

    name: Annotated[str, about("Login name.")]
    uid: Annotated[int, about("User number.")]
    gid: Annotated[int, about("Primary group number.")]
    comment: Annotated[str, about("GECOS field.")]
    home: Annotated[str, about("Home directory.")]
    shell: Annotated[str, about("Login program; empty means /bin/sh.")]
    password: Annotated[Password, about('The field in passwd; "elsewhere" if shadow decides.')]
    origin: Annotated[Origin, about("Line in passwd.")]


class Shadow(Fact, frozen=True, kw_only=True):
    """A line of /etc/shadow."""

    name: Annotated[str, about("Login name.")]
    password: Annotated[Password, about("The field, classified.")]


class Group(Fact, frozen=True, kw_only=True):
    """A line of /etc/group, or of /etc/gshadow, which has no gid."""

    name: Annotated[str, about("Group name.")]
    gid: Annotated[int | None, about("Group number; null in gshadow.")]
    members: Annotated[tuple[str, ...], about("Users besides those whose primary group it is.")]
    password: Annotated[Password, about("The field, classified.")]


class AuthorizedKeys(Fact, frozen=True, kw_only=True):
    """A file with public keys that may log in over SSH."""

    path: Annotated[str, about("Where it lies.")]
    keys: Annotated[int, about("Lines that are neither empty nor comments.")]


class NameService(Fact, frozen=True, kw_only=True):
    """A source that a line of /etc/nsswitch.conf names (nsswitch.conf(5))."""

    database: Annotated[str, about('"passwd", "group", "shadow", "hosts" and so on.')]
    service: Annotated[str, about('"files", "systemd", "sss", "ldap" and so on; actions in brackets are left out.')]
    origin: Annotated[Origin, about("File and line.")]


class BrokenLine(Fact, frozen=True, kw_only=True):
    """A line that does not have the form that its file needs; what a program makes of it is not known."""

    origin: Annotated[Origin, about("File and line.")]
    problem: Annotated[str, about("What is wrong with it; never its text, which may hold a password.")]


class Accounts(Fact, frozen=True, kw_only=True):
    """Who may be who in an area."""

    users: Annotated[tuple[User, ...], about("/etc/passwd, in order.")]
    shadow: Annotated[tuple[Shadow, ...], about("/etc/shadow, in order.")]
    groups: Annotated[tuple[Group, ...], about("/etc/group, in order.")]
    group_shadow: Annotated[tuple[Group, ...], about("/etc/gshadow, in order.")]
    login_shells: Annotated[tuple[str, ...], about("/etc/shells without comments.")]
    authorized_keys: Annotated[tuple[AuthorizedKeys, ...], about("Files of such a name anywhere, by path.")]
    name_services: Annotated[tuple[NameService, ...], about("/etc/nsswitch.conf, in order.")]
    broken: Annotated[tuple[BrokenLine, ...], about("Lines of these files that could not be read.")]
