"""Reports to present: one of every outcome with hostile names, one that passed, and one that is only a problem."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from policies.facts.boot import ImageIdentity
from policies.finding import Evidence, Finding
from policies.report import Explanation, PackSummary, Report, Result, WaivedFinding
from policies.waiver import Waiver

if TYPE_CHECKING:
    from policies.finding import Source
    from policies.report import Outcome

# What a file in an image may be called to trouble whoever reads of it.
HOSTILE = "/usr/bin/<script>alert(1)</script>\n\x1b[2J\u202e]](x){0}&\"'\x00\ufffe"
LONG = "/usr/lib/" + "very-long-directory/" * 8 + "program"
_PACK = PackSummary(name="zero-operator-access", description="Nobody gets in.")


def finding(subject: str, message: str = "is there", *places: tuple[Source, str, str]) -> Finding:
    evidence = tuple(Evidence(source=source, path=path, value=value) for source, path, value in places)
    return Finding(subject=subject, message=message, evidence=evidence)


def result(
    control: str,
    door: str,
    severity: str,
    outcome: Outcome,
    *findings: Finding,
    waived: tuple[WaivedFinding, ...] = (),
) -> Result:
    return Result(
        control=control,
        title=f"Title of {control}",
        door=door,
        severity=severity,
        pack=_PACK.name,
        explanation=Explanation(
            looks_at=f"what {control} looks at, such as *_target_",
            rationale=f"why {control} matters",
            example="an example",
            fix=f"the fix of {control}",
            limits="the limits",
            references=("NIST SP 800-53 AC-17",),
        ),
        parameters={"allowed": ("22", "443"), "none": ()} if control == "ZOA-101" else {},
        outcome=outcome,
        findings=findings,
        waived=waived,
    )


def report(
    *results: Result, problems: tuple[str, ...] = (), departures: tuple[str, ...] = (), name: str | None = "node"
) -> Report:
    return Report(
        passed=not problems and not any(item.outcome in {"failed", "crashed"} for item in results),
        kind="image",
        identity=ImageIdentity(name=name, version="1.2.3" if name else None, profile="production" if name else None),
        digest="0123456789abcdef" * 4,
        checked_on=date(2026, 6, 1),
        bedplate="0.1.0",
        packs=(_PACK,),
        departures=departures,
        results=results,
        problems=problems,
    )


def mixed() -> Report:
    """Every outcome, every severity, several doors, problems, a departure, hostile names."""
    waiver = Waiver(
        control="ZOA-601",
        subject="root:/usr/bin/gdb",
        owner="Ada Example",
        reason="the debugger is signed off until the pilot ends",
        expires=date(2027, 1, 31),
    )
    waived = WaivedFinding(
        finding=finding(waiver.subject, "is a debugger", ("root", "/usr/bin/gdb", "")), waiver=waiver
    )
    return report(
        result(
            "ZOA-101",
            "remote-shells",
            "critical",
            "failed",
            finding("root:/usr/sbin/sshd", "is an SSH server", ("root", "/usr/sbin/sshd", "mode 0755")),
            finding(f"initrd:{HOSTILE}", "is an SSH server", ("initrd", HOSTILE, HOSTILE)),
        ),
        result("ZOA-102", "remote-shells", "critical", "passed"),
        result(
            "ZOA-205",
            "consoles",
            "high",
            "failed",
            finding(
                "root:kernel.sysrq",
                "is 1, not 0",
                ("root", "/usr/lib/sysctl.d/50-default.conf:12", "kernel.sysrq = 1"),
                ("uki", ".cmdline of profile 0", "sysctl.kernel.sysrq=1 " + "quiet " * 25),
            ),
            finding("root:kernel.sysrq", "is set twice", ("root", LONG, "one value that is long enough " * 5)),
        ),
        result("ZOA-206", "consoles", "critical", "passed"),
        result("ZOA-501", "accounts", "low", "crashed", finding("ZOA-501", "crashed on this image: KeyError: 'boom'")),
        result("ZOA-601", "programs", "medium", "waived", waived=(waived,)),
        result("ZOA-701", "integrity", "high", "not-applicable"),
        result("ZOA-902", "measured-boot", "critical", "deferred"),
        problems=("the waiver of ZOA-102 for root:/x names no finding; remove it",),
        departures=("ZOA-120 has allowed 443, not nothing",),
    )


def good() -> Report:
    return report(result("ZOA-101", "remote-shells", "critical", "passed"))
