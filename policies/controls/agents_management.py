"""Door "agents": programs that manage a node from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.control import Door, Severity, control
from policies.controls._products import Product, find_product, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Facts
    from policies.finding import Finding

_CONFIGURATION_MANAGEMENT: Final = Product(
    what="an agent of configuration management",
    programs=words(
        "salt-minion salt-call salt-proxy puppet pxp-agent mcollectived chef-client chef-solo cinc-client "
        "ansible-pull ansible ansible-playbook cf-agent cf-execd cf-serverd rudder landscape-client "
        "landscape-config rhsmcertd insights-client rhcd yggdrasil yggd nomad consul consul-template "
        "foreman-proxy saltbundle"
    ),
    packages=words(
        "salt-minion salt-common puppet puppet-agent chef cinc ansible ansible-core cfengine3 rudder-agent "
        "landscape-client insights-client rhc nomad consul"
    ),
    units=words(
        "salt-minion salt-proxy@ puppet puppet-agent pxp-agent chef-client cinc-client ansible-pull cfengine3 "
        "cf-execd rudder-agent landscape-client insights-client rhcd yggdrasil nomad consul"
    ),
    folders=("/opt/puppetlabs/", "/opt/chef/", "/opt/saltstack/", "/etc/salt/", "/etc/puppet/"),
)
_EXEC_MONITORING: Final = Product(
    what="a monitoring agent that can run commands",
    programs=words(
        "telegraf zabbix_agentd zabbix_agent2 nrpe check_mk_agent cmk-agent-ctl collectd munin-node "
        "sensu-agent netdata datadog-agent newrelic-infra splunkd icinga2 monit osqueryd orbit fleetd snmpd"
    ),
    identities=words("telegraf snmpd"),
    packages=words(
        "telegraf zabbix-agent zabbix-agent2 nagios-nrpe-server check-mk-agent collectd collectd-core "
        "munin-node sensu-go-agent netdata datadog-agent newrelic-infra icinga2 monit osquery snmpd net-snmp"
    ),
    units=words(
        "telegraf zabbix-agent zabbix-agent2 nagios-nrpe-server nrpe check-mk-agent@ cmk-agent-ctl-daemon "
        "collectd munin-node sensu-agent netdata datadog-agent newrelic-infra SplunkForwarder icinga2 monit "
        "osqueryd snmpd"
    ),
    folders=("/etc/telegraf/", "/etc/check_mk/"),
)
_REMOTE_RESPONSE: Final = Product(
    what="a security agent with remote response",
    programs=words(
        "falcon-sensor falcond falconctl mdatp wdavdaemon xagt wazuh-agentd wazuh-execd ossec-agentd "
        "ossec-execd qualys-cloud-agent nessusd nessus-agent TaniumClient elastic-agent sentinelctl s1-agent "
        "velociraptor grr-client ds_agent cbagentd cbdaemon meshagent screenconnect gitlab-runner "
        "Runner.Listener act_runner buildkite-agent"
    ),
    packages=words(
        "falcon-sensor mdatp wazuh-agent qualys-cloud-agent nessusagent taniumclient elastic-agent "
        "sentinelagent velociraptor"
    ),
    units=words(
        "falcon-sensor mdatp xagt wazuh-agent qualys-cloud-agent nessusagent taniumclient elastic-agent "
        "sentinelone velociraptor_client ds_agent cbdaemon"
    ),
    folders=("/opt/CrowdStrike/", "/opt/microsoft/mdatp/", "/var/ossec/", "/opt/Tanium/", "/opt/sentinelone/"),
)
_WEB_ADMINISTRATION: Final = Product(
    what="a web page for administration",
    programs=words(
        "cockpit-ws cockpit-bridge cockpit-tls cockpit-session miniserv.pl webmin usermin ajenti-panel "
        "portainer pmproxy"
    ),
    packages=words("cockpit cockpit-ws cockpit-bridge cockpit-system webmin usermin ajenti"),
    units=words(
        "cockpit cockpit-ws-user cockpit-wsinstance-http cockpit-wsinstance-https@ cockpit-session@ webmin "
        "usermin ajenti portainer"
    ),
    folders=("/usr/share/webmin/", "/etc/webmin/", "/usr/share/cockpit/"),
)
_CONTAINER_RUNTIME: Final = Product(
    what="a container runtime, or a client of one",
    programs=words(
        "dockerd docker docker-proxy containerd containerd-shim-runc-v2 ctr nerdctl crictl crio podman conmon "
        "conmonrs runc crun youki kata-runtime buildkitd kubelet kubectl k3s k0s rke2 microk8s lxc-start "
        "lxc-attach lxd incus incusd apptainer singularity"
    ),
    identities=words("container-runtime"),
    packages=words(
        "docker.io docker-ce docker-ce-cli containerd containerd.io podman cri-o cri-tools runc crun buildah "
        "kubelet kubectl k3s lxc lxd incus"
    ),
    units=words(
        "docker containerd crio podman podman-restart kubelet k3s k3s-agent k0scontroller k0sworker "
        "rke2-server rke2-agent buildkit lxc lxd incus"
    ),
    folders=("/etc/cni/net.d/", "/opt/cni/bin/", "/etc/kubernetes/"),
)
_SCHEDULERS: Final = Product(
    what="a scheduler of commands",
    programs=words("cron crond anacron atd fcron bcron-start dcron busybox-crond incrond"),
    packages=words("cron anacron at fcron bcron cronie systemd-cron incron"),
    units=words("cron crond anacron atd fcron incrond"),
    folders=("/var/spool/cron/", "/var/spool/at/"),
)
_UPDATERS: Final = Product(
    what="a program that updates the image",
    programs=words(
        "packagekitd pkcon unattended-upgrade unattended-upgrades apt.systemd.daily dnf-automatic snapd "
        "flatpak-system-helper fwupd fwupdmgr rpm-ostreed rpm-ostree ostree bootc systemd-sysupdate "
        "systemd-sysupdated updatectl mender mender-update rauc swupdate transactional-update needrestart"
    ),
    packages=words(
        "packagekit unattended-upgrades dnf-automatic snapd flatpak fwupd rpm-ostree ostree bootc "
        "systemd-sysupdate rauc swupdate mender-client needrestart"
    ),
    units=words(
        "packagekit unattended-upgrades apt-daily apt-daily-upgrade dnf-automatic snapd snapd.seeded "
        "flatpak-system-helper fwupd fwupd-refresh rpm-ostreed bootc-fetch-apply-updates systemd-sysupdate "
        "systemd-sysupdate-reboot systemd-sysupdated rauc swupdate mender-updated"
    ),
)


@control(
    "ZOA-310",
    door=Door.AGENTS,
    severity=Severity.CRITICAL,
    title="There is no configuration management",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_configuration_management(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no Salt, Puppet, Chef, Cinc, Ansible, CFEngine, Rudder, Landscape, rhc,
    Nomad or Consul: by name of program or link, package or unit, or their folders.

    Why it matters: such an agent runs as root what a server says.

    Example: salt-minion.service is in the root.

    Fix: remove the package from the definition.

    Known limits: a part that was renamed and has no known content is not recognised; masked units do not count.
    """
    yield from find_product(facts, _CONFIGURATION_MANAGEMENT)


@control(
    "ZOA-311",
    door=Door.AGENTS,
    severity=Severity.HIGH,
    title="There is no monitoring agent that runs commands",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_exec_monitoring(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no Telegraf, Zabbix, NRPE, Checkmk, collectd, Munin, Sensu, netdata,
    Datadog, New Relic, Splunk, Icinga, Monit, osquery or SNMP agent: by name of program or link, package or unit, or
    the content of Telegraf or Net-SNMP's agent.

    Why it matters: their exec plug-ins run commands that configuration, and with some a server, names; they read the
    files of all processes.

    Example: /usr/bin/telegraf has an inputs.exec plug-in.

    Fix: use an exporter that only answers with numbers.

    Known limits: a part that was renamed and has no known content is not recognised; masked units do not count.
    """
    yield from find_product(facts, _EXEC_MONITORING)


@control(
    "ZOA-312",
    door=Door.AGENTS,
    severity=Severity.CRITICAL,
    title="There is no security agent with a remote shell",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_remote_response(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no agent of the common products for detection and response: by name of
    program or link, package or unit, or their folders.

    Why it matters: real-time response, live response and active response are remote shells of the vendor's console.

    Example: /opt/CrowdStrike/falcond is in the root.

    Fix: remove the agent; the measured, read-only image is the protection.

    Known limits: a part that was renamed and has no known content is not recognised; masked units do not count.
    """
    yield from find_product(facts, _REMOTE_RESPONSE)


@control(
    "ZOA-313",
    door=Door.AGENTS,
    severity=Severity.CRITICAL,
    title="There is no web page to administer the node",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_web_administration(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no Cockpit, Webmin, Usermin, Ajenti or Portainer: by name of program or
    link, package or unit, or their folders.

    Why it matters: all of them have a terminal.

    Example: cockpit.socket is enabled.

    Fix: remove the package from the definition.

    Known limits: a part that was renamed and has no known content is not recognised; masked units do not count.
    """
    yield from find_product(facts, _WEB_ADMINISTRATION)


@control(
    "ZOA-314",
    door=Door.AGENTS,
    severity=Severity.HIGH,
    title="There is no container runtime",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_container_runtime(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no Docker, containerd, CRI-O, Podman, runc, crun, Kubernetes node agent,
    LXC, LXD or Incus: by name of program or link, package or unit, the content of their programs, or CNI plug-ins.

    Why it matters: docker exec and kubectl exec are remote shells; who may use the socket is root.

    Example: docker.socket listens on /run/docker.sock.

    Fix: run the service as a unit of systemd, without a runtime.

    Known limits: a part that was renamed and has no known content is not recognised; masked units do not count.
    """
    yield from find_product(facts, _CONTAINER_RUNTIME)


@control(
    "ZOA-315",
    door=Door.AGENTS,
    severity=Severity.HIGH,
    title="There is no cron, anacron or at",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_schedulers(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no cron, anacron, at, fcron or incron: by name of program or link, package
    or unit, or jobs in /var/spool.

    Why it matters: a crontab line is a command that runs later, as root, and jobs survive in a writable /var.

    Example: /usr/sbin/cron is executable.

    Fix: remove the package; use timers of systemd, which are in the measured image.

    Known limits: files in /etc/cron.d without a scheduler are no finding.
    """
    yield from find_product(facts, _SCHEDULERS)


@control(
    "ZOA-316",
    door=Door.AGENTS,
    severity=Severity.HIGH,
    title="Nothing updates the running image",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_updaters(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no PackageKit, unattended-upgrades, apt timers, snapd, Flatpak, fwupd,
    rpm-ostree, bootc, systemd-sysupdate, RAUC, SWUpdate or Mender: by name of program or link, package or unit.

    Why it matters: what is fetched later was not measured, and who runs the repository gets in.

    Example: apt-daily.timer is enabled.

    Fix: remove the package; a new version is a new image.

    Known limits: a part that was renamed and has no known content is not recognised; masked units do not count.
    """
    yield from find_product(facts, _UPDATERS)


CONTROLS = (
    no_configuration_management,
    no_exec_monitoring,
    no_remote_response,
    no_web_administration,
    no_container_runtime,
    no_schedulers,
    no_updaters,
)
