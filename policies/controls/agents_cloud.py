"""Door "agents": agents of clouds and hypervisors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.control import Door, Severity, control
from policies.controls._products import Product, find_product, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Facts
    from policies.finding import Finding

_SSM_AGENT: Final = Product(
    what="a part of the AWS Systems Manager agent",
    programs=words(
        "amazon-ssm-agent ssm-agent-worker ssm-session-worker ssm-document-worker ssm-session-logger ssm-cli "
        "ssm-setup-cli amazon-ssm-agent.amazon-ssm-agent"
    ),
    identities=words("amazon-ssm-agent"),
    packages=words("amazon-ssm-agent"),
    units=words("amazon-ssm-agent snap.amazon-ssm-agent.amazon-ssm-agent"),
    folders=("/etc/amazon/ssm/", "/snap/amazon-ssm-agent/"),
)
_INSTANCE_CONNECT: Final = Product(
    what="a part of EC2 Instance Connect",
    programs=words("eic_run_authorized_keys eic_parse_authorized_keys eic_curl_authorized_keys eic_harvest_hostkeys"),
    packages=words("ec2-instance-connect"),
    units=words("ec2-instance-connect ec2-instance-connect-harvest-hostkeys"),
    folders=(
        "/opt/aws/bin/eic_",
        "/lib/systemd/system/ssh.service.d/ec2-instance-connect",
        "/usr/lib/systemd/system/ssh.service.d/ec2-instance-connect",
        "/usr/lib/systemd/system/sshd.service.d/ec2-instance-connect",
    ),
)
_EC2_AGENTS: Final = Product(
    what="an agent of EC2",
    programs=words(
        "ec2hibernatepolicy hibinit-agent hibagent ec2-hibinit-agent cfn-init cfn-hup cfn-signal "
        "cfn-auto-reloader codedeploy-agent amazon-cloudwatch-agent amazon-cloudwatch-agent-ctl "
        "amazon-ecs-init amazon-ecs-agent ec2rl setup-policy-routes set-hostname-imds awsagent "
        "aws-guardduty-agent amazon-guardduty-agent update-motd ec2-macos-init"
    ),
    packages=words(
        "ec2-hibinit-agent hibagent aws-cfn-bootstrap codedeploy-agent amazon-cloudwatch-agent ecs-init "
        "amazon-ecs-init amazon-ec2-net-utils ec2-net-utils amazon-guardduty-agent"
    ),
    units=words(
        "hibinit-agent ec2-hibinit-agent hibagent cfn-hup codedeploy-agent amazon-cloudwatch-agent ecs "
        "policy-routes@ refresh-policy-routes@ set-hostname-imds amazon-guardduty-agent"
    ),
    folders=("/opt/aws/amazon-cloudwatch-agent/", "/opt/codedeploy-agent/", "/etc/cfn/"),
)
_CLOUD_INIT: Final = Product(
    what="a part of cloud-init",
    programs=words(
        "cloud-init cloud-init-per cloud-id ds-identify cloud-init-generator cloud-init-hotplugd "
        "cloudbase-init tiny-cloud nocloud-init"
    ),
    packages=words(
        "cloud-init cloud-init-base cloud-initramfs-growroot cloud-init-generator cloudbase-init tiny-cloud"
    ),
    units=words(
        "cloud-init cloud-init-local cloud-init-main cloud-init-network cloud-config cloud-final cloud-init-hotplugd"
    ),
    folders=("/usr/lib/python3/dist-packages/cloudinit/", "/usr/lib/cloud-init/", "/etc/cloud/"),
)
_IGNITION: Final = Product(
    what="a program that configures a node from outside",
    programs=words(
        "ignition ignition-generator afterburn coreos-metadata coreos-cloudinit coreos-installer combustion "
        "zincati flatcar-postinst update_engine bootupd bootupctl matchbox"
    ),
    identities=words("ignition"),
    packages=words("ignition afterburn coreos-cloudinit zincati combustion"),
    units=words(
        "ignition-fetch ignition-fetch-offline ignition-files ignition-disks ignition-mount afterburn "
        "afterburn-sshkeys@ afterburn-checkin coreos-metadata coreos-metadata-sshkeys@ combustion zincati "
        "update-engine"
    ),
    folders=("/usr/lib/ignition/", "/usr/lib/dracut/modules.d/30ignition/", "/usr/lib/dracut/modules.d/35combustion/"),
)
_AZURE_AGENT: Final = Product(
    what="an agent of Azure or Hyper-V",
    programs=words(
        "waagent waagent2.0 azure-init azure-vm-utils hv_fcopy_daemon hv_fcopy_uio_daemon hypervfcopyd "
        "hv_kvp_daemon hypervkvpd hv_vss_daemon hypervvssd aad_certhandler aad_login"
    ),
    packages=words("waagent walinuxagent WALinuxAgent azure-init hyperv-daemons linux-cloud-tools-common aadsshlogin"),
    units=words(
        "waagent walinuxagent azure-init hv-fcopy-daemon hv-kvp-daemon hv-vss-daemon hypervfcopyd hypervkvpd hypervvssd"
    ),
    folders=("/var/lib/waagent/", "/etc/waagent"),
)
_GOOGLE_AGENT: Final = Product(
    what="an agent of Google Cloud",
    programs=words(
        "google_guest_agent google_guest_agent_manager google_guest_compat_manager ggactl_plugin "
        "google_metadata_script_runner google_metadata_script_runner_adapt google_osconfig_agent "
        "google_authorized_keys google_authorized_keys_sk google_authorized_principals google_oslogin_control "
        "google_oslogin_nss_cache gce_workload_cert_refresh "
        "gce_compat_metadata_script_runner"
    ),
    identities=words("google-guest-agent"),
    packages=words("google-guest-agent google-osconfig-agent google-compute-engine google-compute-engine-oslogin"),
    units=words(
        "google-guest-agent google-guest-agent-manager google-guest-compat-manager google-startup-scripts "
        "google-shutdown-scripts google-osconfig-agent google-oslogin-cache gce-workload-cert-refresh"
    ),
)
_QEMU_GUEST_AGENT: Final = Product(
    what="the QEMU guest agent",
    programs=words("qemu-ga qemu-guest-agent"),
    identities=words("qemu-guest-agent"),
    packages=words("qemu-guest-agent"),
    units=words("qemu-guest-agent qemu-ga"),
    folders=("/etc/qemu/fsfreeze-hook", "/etc/qemu-ga/"),
)
_HYPERVISOR_AGENTS: Final = Product(
    what="a guest tool of a hypervisor",
    programs=words(
        "vmtoolsd VGAuthService vmware-toolbox-cmd vmware-guestproxycerttool vmware-rpctool xe-daemon "
        "xe-linux-distribution xenstore-write VBoxService VBoxClient VBoxControl spice-vdagentd spice-vdagent "
        "prltoolsd prl_tools"
    ),
    packages=words("open-vm-tools xe-guest-utilities virtualbox-guest-utils spice-vdagent"),
    units=words(
        "open-vm-tools vmtoolsd vgauth vgauthd xe-linux-distribution xe-daemon vboxadd vboxadd-service "
        "virtualbox-guest-utils vboxservice spice-vdagentd prltoolsd"
    ),
    folders=("/etc/vmware-tools/", "/usr/lib/open-vm-tools/"),
)


@control(
    "ZOA-301",
    door=Door.AGENTS,
    severity=Severity.CRITICAL,
    title="There is no AWS Systems Manager agent",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_ssm_agent(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no part of the SSM agent: by name of program or link, package or unit, the
    content of its programs, its configuration, or its snap.

    Why it matters: Session Manager gives a root shell, and Run Command runs any command, to whoever an account's
    policy lets; the agent calls out, so no port is open.

    Example: /usr/bin/metrics contains github.com/aws/amazon-ssm-agent.

    Fix: remove the package from the definition.

    Known limits: a part that was renamed and has no known content is not recognised; masked units do not count.
    """
    yield from find_product(facts, _SSM_AGENT)


@control(
    "ZOA-302",
    door=Door.AGENTS,
    severity=Severity.CRITICAL,
    title="There is no EC2 Instance Connect",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_instance_connect(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no part of EC2 Instance Connect: by name of program or link, package or
    unit, its scripts, or its drop-ins for sshd.

    Why it matters: it puts a key into a running instance by an API call; sshd asks the metadata service for it.

    Example: /usr/share/ec2-instance-connect/eic_run_authorized_keys is executable.

    Fix: remove the package from the definition.

    Known limits: a part that was renamed and has no known content is not recognised; masked units do not count.
    """
    yield from find_product(facts, _INSTANCE_CONNECT)


@control(
    "ZOA-303",
    door=Door.AGENTS,
    severity=Severity.HIGH,
    title="There are no other agents of EC2",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_ec2_agents(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no agent for hibernation, CloudFormation, CodeDeploy, CloudWatch, ECS,
    GuardDuty or network configuration from metadata: by name of program or link, package or unit, or its folder.

    Why it matters: hibernation writes all memory to a disk; the others run commands or take configuration that an
    account's operators send.

    Example: hibinit-agent.service is in the root.

    Fix: remove the package from the definition.

    Known limits: a part that was renamed and has no known content is not recognised; masked units do not count.
    """
    yield from find_product(facts, _EC2_AGENTS)


@control(
    "ZOA-304",
    door=Door.AGENTS,
    severity=Severity.CRITICAL,
    title="There is no cloud-init",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_cloud_init(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no part of cloud-init or its like: by name of program or link, package or
    unit, its generator, its Python package or its configuration.

    Why it matters: user data and vendor data run as root at boot, set passwords and install keys; who starts the
    instance writes them.

    Example: /usr/lib/systemd/system-generators/cloud-init-generator is executable.

    Fix: remove the package from the definition.

    Known limits: a part that was renamed and has no known content is not recognised; masked units do not count.
    """
    yield from find_product(facts, _CLOUD_INIT)


@control(
    "ZOA-305",
    door=Door.AGENTS,
    severity=Severity.CRITICAL,
    title="There is no Ignition and no Afterburn",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_ignition(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no Ignition, Afterburn, Combustion, coreos-cloudinit or Zincati: by name
    of program or link, package or unit, or the content of Ignition.

    Why it matters: they write files, units, users and keys that user data names, and Ignition does so in the initrd.

    Example: /usr/bin/provision in the initrd contains github.com/coreos/ignition.

    Fix: remove the package from the definition.

    Known limits: a part that was renamed and has no known content is not recognised; masked units do not count.
    """
    yield from find_product(facts, _IGNITION)


@control(
    "ZOA-306",
    door=Door.AGENTS,
    severity=Severity.CRITICAL,
    title="There is no agent of Azure and no file copy of Hyper-V",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_azure_agent(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no WALinuxAgent, azure-init, Entra ID login or Hyper-V daemon: by name of
    program or link, package or unit, or their state and configuration.

    Why it matters: waagent runs extensions, one of which resets passwords and another runs scripts; hv_fcopy_daemon
    lets the host write files.

    Example: hv-fcopy-daemon.service is in the root.

    Fix: remove the package from the definition.

    Known limits: a part that was renamed and has no known content is not recognised; masked units do not count.
    """
    yield from find_product(facts, _AZURE_AGENT)


@control(
    "ZOA-307",
    door=Door.AGENTS,
    severity=Severity.CRITICAL,
    title="There is no guest agent of Google Cloud",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_google_agent(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no guest agent, script runner, OS Config agent or OS Login of Google
    Cloud: by name of program or link, package or unit, or the content of the agents.

    Why it matters: the agent makes users and installs keys from project metadata, the script runner runs startup
    scripts from there.

    Example: google-startup-scripts.service is in the root.

    Fix: remove the package from the definition.

    Known limits: a part that was renamed and has no known content is not recognised; masked units do not count.
    """
    yield from find_product(facts, _GOOGLE_AGENT)


@control(
    "ZOA-308",
    door=Door.AGENTS,
    severity=Severity.CRITICAL,
    title="There is no QEMU guest agent",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_qemu_guest_agent(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no qemu-ga: by name of program or link, package or unit, by its content,
    or its hooks.

    Why it matters: guest-exec runs any command, guest-file-open reads and writes any file, guest-set-user-password
    sets passwords; the host decides.

    Example: /usr/lib/helper contains guest-exec-status.

    Fix: remove the package from the definition.

    Known limits: a part that was renamed and has no known content is not recognised; masked units do not count.
    """
    yield from find_product(facts, _QEMU_GUEST_AGENT)


@control(
    "ZOA-309",
    door=Door.AGENTS,
    severity=Severity.CRITICAL,
    title="There are no tools of other hypervisors",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_hypervisor_agents(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no open-vm-tools, Xen tools, VirtualBox additions, SPICE agent or
    Parallels tools: by name of program or link, package or unit, or their folders.

    Why it matters: vSphere's guest operations and VirtualBox's guest control start programs and copy files on a word
    of the host.

    Example: vmtoolsd is in the root.

    Fix: remove the package from the definition.

    Known limits: a part that was renamed and has no known content is not recognised; masked units do not count.
    """
    yield from find_product(facts, _HYPERVISOR_AGENTS)


CONTROLS = (
    no_ssm_agent,
    no_instance_connect,
    no_ec2_agents,
    no_cloud_init,
    no_ignition,
    no_azure_agent,
    no_google_agent,
    no_qemu_guest_agent,
    no_hypervisor_agents,
)
