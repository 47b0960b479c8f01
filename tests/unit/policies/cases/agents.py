from __future__ import annotations

from typing import TYPE_CHECKING

from tests.control_cases import bad, good
from tests.fact_trees import elf, file, link, program

if TYPE_CHECKING:
    from tests.control_cases import Case
    from tests.fact_trees import Content

_UNITS = "usr/lib/systemd/system"
_RUN = "[Service]\nExecStart=/x\n"
_DPKG = "Package: {}\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n\n"

# Control, a program, a package, a unit, a file, a text in a renamed program; "" for none.
_PRODUCTS = (
    (
        "ZOA-301",
        "ssm-session-worker",
        "amazon-ssm-agent",
        "amazon-ssm-agent.service",
        "etc/amazon/ssm/x.json",
        "github.com/aws/amazon-ssm-agent/core",
    ),
    (
        "ZOA-302",
        "eic_run_authorized_keys",
        "ec2-instance-connect",
        "ec2-instance-connect.service",
        "opt/aws/bin/eic_x",
        "",
    ),
    ("ZOA-303", "hibinit-agent", "ec2-hibinit-agent", "hibinit-agent.service", "etc/cfn/cfn-hup.conf", ""),
    ("ZOA-304", "cloud-init", "cloud-init", "cloud-final.service", "etc/cloud/cloud.cfg", ""),
    (
        "ZOA-305",
        "afterburn",
        "ignition",
        "ignition-files.service",
        "usr/lib/ignition/base.ign",
        "github.com/coreos/ignition/v2",
    ),
    ("ZOA-306", "waagent", "walinuxagent", "hv-fcopy-daemon.service", "etc/waagent.conf", ""),
    (
        "ZOA-307",
        "google_guest_agent",
        "google-osconfig-agent",
        "google-startup-scripts.service",
        "",
        "GoogleCloudPlatform/guest-agent",
    ),
    (
        "ZOA-308",
        "qemu-ga",
        "qemu-guest-agent",
        "qemu-guest-agent.service",
        "etc/qemu/fsfreeze-hook",
        "guest-exec-status",
    ),
    ("ZOA-309", "vmtoolsd", "open-vm-tools", "vgauth.service", "etc/vmware-tools/tools.conf", ""),
    ("ZOA-310", "salt-minion", "puppet-agent", "chef-client.service", "etc/salt/minion", ""),
    (
        "ZOA-311",
        "telegraf",
        "netdata",
        "zabbix-agent2.service",
        "etc/telegraf/x.conf",
        "github.com/influxdata/telegraf",
    ),
    ("ZOA-312", "wazuh-execd", "falcon-sensor", "mdatp.service", "opt/CrowdStrike/falcond-15", ""),
    ("ZOA-313", "cockpit-ws", "webmin", "cockpit.socket", "usr/share/cockpit/index.html", ""),
    ("ZOA-314", "podman", "containerd", "docker.socket", "etc/cni/net.d/x.conf", "github.com/opencontainers/runc"),
    ("ZOA-315", "crond", "at", "cron.service", "var/spool/cron/crontabs/root", ""),
    ("ZOA-316", "packagekitd", "unattended-upgrades", "apt-daily.timer", "", ""),
    ("ZOA-317", "homectl", "systemd-homed", "systemd-homed.service", "", ""),
    ("ZOA-318", "machinectl", "systemd-container", "systemd-nspawn@.service", "", ""),
    ("ZOA-319", "portablectl", "", "systemd-portabled.service", "usr/lib/systemd/portable/profile/x", ""),
    ("ZOA-320", "", "", "systemd-sysext.socket", "", ""),
    ("ZOA-321", "systemd-pull", "", "systemd-importd.service", "", ""),
    ("ZOA-322", "systemd-imdsd", "systemd-imds", "systemd-imdsd@.service", "", ""),
    ("ZOA-323", "pkexec", "polkitd", "polkit.service", "", ""),
)


def _bad(control: str, name: str, package: str, unit: str, path: str, text: str) -> Case:
    root: dict[str, Content] = {}
    initrd: dict[str, Content] = {}
    subjects: list[str] = []
    if name:
        root[f"usr/bin/{name}"] = program()
        subjects.append(f"root:/usr/bin/{name}")
    if package:
        root["var/lib/dpkg/status"] = _DPKG.format(package)
        subjects.append(f"root:package:{package}")
    if path:
        root[path] = "text"
        subjects.append(f"root:/{path}")
    if unit:
        initrd[f"{_UNITS}/{unit}"] = _RUN
        subjects.append(f"initrd:{unit}")
    if text:
        initrd["usr/lib/helper"] = file(elf() + text.encode(), 0o755)
        subjects.append("initrd:/usr/lib/helper")
    return bad(control, *subjects, root=root, initrd=initrd)


def _good(control: str, name: str, _package: str, unit: str, _path: str, _text: str) -> Case:
    root: dict[str, Content] = {
        f"usr/share/{name or 'x'}": "a document",
        f"{_UNITS}/{unit}": _RUN,
        f"etc/systemd/system/{unit}": link("/dev/null"),
        "var/lib/dpkg/status": _DPKG.format("base-files"),
        "usr/lib/helper": program(),
        "usr/bin/other": program(),
    }
    return good(control, root=root)


CASES = (*(_bad(*row) for row in _PRODUCTS), *(_good(*row) for row in _PRODUCTS))
