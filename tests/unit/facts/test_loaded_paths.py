"""Where the dynamic linker looks: what one file includes after the other."""

from __future__ import annotations

from builder.facts.loaded import loaded_paths
from tests.fact_trees import tree


def test_files_that_include_each_other_are_read_once() -> None:
    both = "include /etc/*.conf\n"
    found = loaded_paths(tree({"etc/ld.so.conf": both, "etc/a.conf": f"{both}/a\n", "etc/b.conf": f"{both}/b\n"}))
    assert [item.path for item in found] == ["/etc/*.conf", "/etc/*.conf", "/etc/*.conf", "/b", "/a"]


def test_what_lies_behind_too_many_files_is_said_not_to_be_read() -> None:
    chain = {f"etc/{number}.conf": f"include /etc/{number + 1}.conf\n" for number in range(300)}
    found = loaded_paths(tree({"etc/ld.so.conf": "include /etc/0.conf\n", **chain}))
    assert (found[255].path, found[256].path) == ("/etc/255.conf", "")


def test_a_pattern_of_directories_is_followed() -> None:
    found = loaded_paths(tree({"etc/ld.so.conf": "include /etc/*/l.conf\n", "etc/x/l.conf": "/x\n", "l.conf": "/y\n"}))
    assert [item.path for item in found] == ["/etc/*/l.conf", "/x"]
