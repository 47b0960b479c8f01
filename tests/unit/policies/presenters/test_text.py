from __future__ import annotations

from pathlib import Path

from policies.presenters.text import text
from tests.sample_reports import finding, good, mixed, report, result

GOLDEN = Path(__file__).parents[3] / "golden" / "report" / "mixed.txt"


def test_the_text_is_the_golden_one() -> None:
    assert text(mixed()) + "\n" == GOLDEN.read_text(encoding="utf-8")


def test_a_yes_is_one_line() -> None:
    assert text(good()) == "yes: node 1.2.3, 1 control of zero-operator-access: 1 passed"


def test_problems_come_first_and_the_verdict_last() -> None:
    lines = text(mixed()).splitlines()
    assert lines[0].startswith("problem: the waiver of ZOA-102 ")
    assert lines[-1].startswith("no: node 1.2.3, 8 controls of zero-operator-access: ")


def test_the_verdict_says_what_besides_controls_makes_it_a_no() -> None:
    for problems, told in (
        (("a\nb",), "; 1 problem: a\\nb"),
        (("x", "y"), "; 2 problems, the first of them: x"),
    ):
        assert text(report(problems=problems)).splitlines()[-1].endswith(told)


def test_no_name_in_an_image_makes_a_line_of_its_own_or_steers_the_terminal() -> None:
    forged = finding("root:/a\nyes: forged", "is\nthere", ("root", "/a\nyes: forged", "v\nyes: forged\x1b[2J"))
    shown = text(report(result("ZOA-101", "consoles", "low", "failed", forged), problems=("x\nyes: forged",)))
    assert [line for line in shown.splitlines() if line.startswith("yes")] == []
    assert all(line.isprintable() for line in shown.splitlines())


def test_wide_evidence_is_wrapped_and_whole() -> None:
    value = " ".join(f"argument{number}=value" for number in range(30))
    shown = text(
        report(result("ZOA-101", "consoles", "low", "failed", finding("uki:x", "is", ("uki", ".cmdline", value))))
    )
    assert max(map(len, shown.splitlines())) <= 120
    assert " ".join(line.strip() for line in shown.splitlines() if "argument" in line) == value


def test_a_path_is_never_broken() -> None:
    path = "/usr/lib/" + "long-name/" * 20
    shown = text(
        report(result("ZOA-101", "consoles", "low", "failed", finding(f"root:{path}", "is", ("root", path, "v"))))
    )
    assert shown.count(path) == 2


def test_of_hundreds_of_findings_ten_are_shown_and_the_others_are_counted() -> None:
    def shown(count: int) -> list[str]:
        findings = [finding(f"root:/file-{number}") for number in range(count)]
        return text(report(result("ZOA-101", "consoles", "low", "failed", *findings))).splitlines()

    assert [line for line in shown(10) if "more" in line] == []
    assert [line for line in shown(11) if "more" in line] == ["    ... and 1 more; the other formats have all of them"]
    assert sum("root:/file-" in line for line in shown(500)) == 10
