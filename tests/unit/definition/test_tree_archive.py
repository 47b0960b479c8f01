from __future__ import annotations

import io
import tarfile
from pathlib import PurePosixPath

import pytest

from builder.definition.render import RenderedFile, RenderedLink, RenderedTree
from builder.definition.tree_archive import pack_tree, unpack_tree
from builder.errors import InvalidInputError

TREE = RenderedTree(
    {
        PurePosixPath("mkosi.conf"): RenderedFile(b"[Output]\n", executable=False),
        PurePosixPath("mkosi.extra/etc/link"): RenderedLink("/dev/null"),
        PurePosixPath("mkosi.finalize"): RenderedFile(b"#!/bin/sh\n", executable=True),
        PurePosixPath("mkosi.extra/" + "long/" * 40 + "\u00e9"): RenderedFile(b"", executable=False),
    }
)


def archive(name: str, *, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **fields: object) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo(name)
        member.type, member.size = kind, len(content)
        for field, value in fields.items():
            setattr(member, field, value)
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_a_tree_comes_back_as_it_was() -> None:
    assert unpack_tree(pack_tree(TREE), "tree.tar").entries == TREE.entries


def test_the_order_of_entries_changes_no_byte() -> None:
    assert pack_tree(RenderedTree(dict(reversed(TREE.entries.items())))) == pack_tree(TREE)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "empty"),
        (b"no tar archive", "truncated|invalid|empty"),
        (pack_tree(RenderedTree({})), "bedplate would write it differently"),
        (pack_tree(TREE) + b"more", "bedplate would write it differently"),
        (pack_tree(TREE)[:-512], "bedplate would write it differently"),
        (archive("mkosi.conf", mtime=1), "bedplate would write it differently"),
        (archive("mkosi.conf", uid=1), "bedplate would write it differently"),
        (archive("mkosi.conf", mode=0o4755), "bedplate would write it differently"),
        (archive("dir", kind=tarfile.DIRTYPE), "dir is neither a regular file nor a symbolic link"),
        (archive("dev", kind=tarfile.CHRTYPE), "dev is neither a regular file nor a symbolic link"),
        (archive("hard", kind=tarfile.LNKTYPE, linkname="x"), "hard"),
        (archive("../../etc/passwd", mode=0o644), "it has an entry ../../etc/passwd"),
        (archive("/etc/passwd", mode=0o644), "it has an entry /etc/passwd"),
    ],
)
def test_what_is_no_archive_of_a_tree_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem) as caught:
        unpack_tree(data, "tree.tar")
    assert str(caught.value).startswith("tree.tar is no archive of a mkosi tree: ")


def test_an_entry_below_a_link_is_refused() -> None:
    tree = RenderedTree(
        {PurePosixPath("a"): RenderedLink("/"), PurePosixPath("a/b"): RenderedFile(b"", executable=False)}
    )
    with pytest.raises(InvalidInputError, match="it has an entry a/b"):
        unpack_tree(pack_tree(tree), "tree.tar")
