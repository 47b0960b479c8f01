"""Users, groups, passwords and keys (passwd(5), shadow(5), group(5), gshadow(5), shells(5), sshd(8))."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from builder.facts.syntax import lines
from builder.facts.text import statements
from policies.facts import Accounts, AuthorizedKeys, BrokenLine, Group, NameService, Origin, Password, Shadow, User

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.facts.tree import FileTree

# crypt(5): prefixes of the methods; without one, 13 characters are DES.
_METHODS: Final = {
    "$y$": "yescrypt", "$gy$": "gost-yescrypt", "$7$": "scrypt", "$2a$": "bcrypt", "$2b$": "bcrypt", "$2x$": "bcrypt",
    "$2y$": "bcrypt", "$6$": "sha512", "$5$": "sha256", "$sha1": "sha1", "$md5": "sunmd5", "$1$": "md5", "$3$": "nt",
    "_": "bsdi",
}  # fmt: skip
_DES_LENGTH: Final = 13
_FIELDS: Final = {"/etc/passwd": 7, "/etc/shadow": 9, "/etc/group": 4, "/etc/gshadow": 4}
_KEY_FILES: Final = ("authorized_keys", "authorized_keys2", "authorized_principals")


def accounts(tree: FileTree) -> Accounts:
    """The accounts of a tree."""
    broken: list[BrokenLine] = []
    tables = {path: tuple(_table(tree, path, broken)) for path in _FIELDS}
    return Accounts(
        users=tuple(_users(tables["/etc/passwd"], broken)),
        shadow=tuple(
            Shadow(name=fields[0], password=password(fields[1], origin)) for origin, fields in tables["/etc/shadow"]
        ),
        groups=tuple(_groups(tables["/etc/group"], broken)),
        group_shadow=tuple(
            Group(name=fields[0], gid=None, members=_names(fields[3]), password=password(fields[1], origin))
            for origin, fields in tables["/etc/gshadow"]
        ),
        login_shells=tuple(text for _, text in statements(tree, "/etc/shells")),
        authorized_keys=tuple(_authorized_keys(tree)),
        name_services=tuple(_name_services(tree)),
        broken=tuple(broken),
    )


def password(field: str, origin: Origin) -> Password:
    """Classify a password field; the hash itself goes no further."""
    bare = field.lstrip("!")
    if field == "":
        return Password(state="empty", hash_kind=None, origin=origin)
    if field == "x":
        return Password(state="elsewhere", hash_kind=None, origin=origin)
    kind = next((name for prefix, name in _METHODS.items() if bare.startswith(prefix)), None)
    if kind is None and len(bare) == _DES_LENGTH:
        kind = "descrypt"
    if field[0] in "!*":
        return Password(state="locked", hash_kind=kind, origin=origin)
    return Password(state="hash" if kind else "invalid", hash_kind=kind, origin=origin)


def _table(tree: FileTree, path: str, broken: list[BrokenLine]) -> Iterator[tuple[Origin, list[str]]]:
    for number, line in lines(tree, path):
        if not line:
            continue
        origin = Origin(path=path, line=number)
        fields = line.split(":")
        if len(fields) == _FIELDS[path] and fields[0]:
            yield origin, fields
        else:
            problem = f"it has {len(fields)} fields or no name; {_FIELDS[path]} fields are needed"
            broken.append(BrokenLine(origin=origin, problem=problem))


def _users(table: tuple[tuple[Origin, list[str]], ...], broken: list[BrokenLine]) -> Iterator[User]:
    for origin, (name, field, uid, gid, comment, home, shell) in table:
        if not (_is_number(uid) and _is_number(gid)):
            broken.append(BrokenLine(origin=origin, problem="user or group number is no number"))
            continue
        yield User(
            name=name,
            uid=int(uid),
            gid=int(gid),
            comment=comment,
            home=home,
            shell=shell,
            password=password(field, origin),
            origin=origin,
        )


def _groups(table: tuple[tuple[Origin, list[str]], ...], broken: list[BrokenLine]) -> Iterator[Group]:
    for origin, (name, field, gid, members) in table:
        if _is_number(gid):
            yield Group(name=name, gid=int(gid), members=_names(members), password=password(field, origin))
        else:
            broken.append(BrokenLine(origin=origin, problem="the group number is no number"))


def _authorized_keys(tree: FileTree) -> Iterator[AuthorizedKeys]:
    for path, node in sorted(tree.nodes.items()):
        if node.is_file and path.rpartition("/")[2] in _KEY_FILES:
            yield AuthorizedKeys(path=path, keys=sum(1 for _ in statements(tree, path)))


def _name_services(tree: FileTree) -> Iterator[NameService]:
    for origin, text in statements(tree, "/etc/nsswitch.conf"):
        database, _, sources = text.partition("#")[0].partition(":")
        for service in re.sub(r"\[[^]]*\]", " ", sources).split():
            yield NameService(database=database.strip(), service=service, origin=origin)


def _names(members: str) -> tuple[str, ...]:
    return tuple(name for name in members.split(",") if name)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10  # noqa: PLR2004 -- 32 bits
