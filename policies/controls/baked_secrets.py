"""Door "secrets": what an image must not hold, because everybody who has the image has it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.controls._arguments import arguments
from policies.finding import Evidence, Finding, about_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Facts

_ALLOWED: Final = (Parameter("allowed", (), "Paths of files that are no secret, such as keys for tests."),)
_AUTHENTICATORS: Final = ("NIST SP 800-53 IA-5(7)",)
_HOST_KEY: Final = re.compile(r"ssh_host_\w*key|dropbear_\w+_host_key|\.ed25519\.sk")
# machine-id(5): 32 digits; an empty file, or the word "uninitialized", makes PID 1 take a new one at boot.
_MACHINE_ID_SIZE: Final = 32
_MACHINE_IDS: Final = ("/etc/machine-id", "/var/lib/dbus/machine-id")
_SEEDS: Final = re.compile(
    r"/var/lib/(?:systemd/(?:random-seed|credential\.secret)|urandom/random-seed|seedrng/.+|random-seed)"
    r"|/(?:boot|efi|boot/efi)/loader/random-seed"
)
_CREDENTIAL_FILES: Final = re.compile(
    r".*/(?:\.netrc|_netrc|\.git-credentials|\.pypirc|\.npmrc|\.yarnrc\.yml|\.pgpass|\.my\.cnf|\.vault-token|\.s3cfg"
    r"|\.boto|\.terraformrc|\.dockercfg|\.docker/config\.json|\.config/containers/auth\.json|containers/auth\.json"
    r"|\.kube/config|kubelet/kubeconfig|\.aws/(?:credentials|config)|\.azure/.+|\.config/gcloud/.+"
    r"|application_default_credentials\.json|\.config/gh/hosts\.yml|\.config/rclone/rclone\.conf|\.config/hub"
    r"|\.cargo/credentials(?:\.toml)?|\.gem/credentials|\.m2/settings\.xml|\.gradle/gradle\.properties"
    r"|\.cache/huggingface/token|\.huggingface/token|\.config/wandb/settings|\.kaggle/kaggle\.json|krb5\.keytab)"
    r"|/etc/kubernetes/.+\.conf|/etc/apt/auth\.conf(?:\.d/.+)?|/etc/rancher/.+\.yaml|/etc/ppp/(?:chap|pap)-secrets"
    r"|/etc/ipsec\.secrets|/etc/wpa_supplicant/.+\.conf|/etc/NetworkManager/system-connections/.+"
    r"|/etc/(?:zypp/credentials\.d|yum/vars|pki/entitlement)/.+|/(?:etc|run|usr/local/lib|usr/lib)/credstore(?:\.encrypted)?/.+|/etc/sssd/.+\.conf"
)
_KEY_STORES: Final = re.compile(
    r".*(?:\.(?:p12|pfx|jks|keystore|bcfks|kdbx|ppk|keytab)|/secring\.gpg|/private-keys-v1\.d/[^/]+\.key|/cert9\.db"
    r"|/key4\.db|/\.ssh/id_[^/.]+|/etc/ssl/private/.+|/etc/pki/tls/private/.+|/etc/letsencrypt/.+/privkey\d*\.pem"
    r"|/etc/wireguard/.+|/cryptsetup-keys\.d/.+)"
)
_HISTORY: Final = re.compile(
    r".*/(?:\.(?:bash|zsh|ash|sh|mysql|psql|sqlite|python|node_repl|rediscli|irb)_history|\.lesshst|\.viminfo)"
)
_SECRET_ARGUMENT: Final = re.compile(r"(?:.*[._])?(?:password|passwd|passphrase|secret|token|api_?key)")


@control(
    "ZOA-851",
    door=Door.SECRETS,
    severity=Severity.CRITICAL,
    title="There is no private key",
    references=_AUTHENTICATORS,
    parameters=_ALLOWED,
)
def no_private_key(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no file of root or initrd holds a private key in PEM, OpenSSH, PGP, PuTTY or age form.

    Why it matters: a key in an image is the key of every node, and of everybody who has the image.

    Example: /etc/tls/server.key begins with the armour of a PEM private key.

    Fix: make keys on the node, or hand them over after attestation.

    Known limits: binary keys (DER) are not known, and what is compressed in another form than gzip is not searched, nor
    are ELF libraries, which have keys to try themselves out. Files of more than 256 KiB, programs and what gzip packed
    are searched for keys and tokens by forms that nothing else has; large ones whole up to 4 MiB each and 32 MiB of a
    tree, else their first 256 KiB; of gzip 1 MiB each and 16 MiB of a tree.
    """
    yield from _secrets(facts, parameters, is_key=True)


@control(
    "ZOA-852",
    door=Door.SECRETS,
    severity=Severity.HIGH,
    title="There is no token, cloud credential or password in a file",
    references=_AUTHENTICATORS,
    parameters=_ALLOWED,
)
def no_token(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no file of root or initrd holds a text with the form of a cloud key, a token of GitHub, GitLab,
    Slack, Hugging Face or Google, a bearer token, a password in a URL or in netrc form.

    Why it matters: whoever has the image can use it, and it often opens more than the node.

    Example: /etc/apt/sources.list has deb https://user:password@host/.

    Fix: remove it, revoke it, and hand credentials over after attestation.

    Known limits: finds known forms only, and what ZOA-851 searches; examples in documents have to be allowed by path.
    """
    yield from _secrets(facts, parameters, is_key=False)


@control(
    "ZOA-853",
    door=Door.SECRETS,
    severity=Severity.HIGH,
    title="There is no SSH host key",
    references=_AUTHENTICATORS,
)
def no_host_key(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no file with the name of a host key of OpenSSH, dropbear or tinyssh.

    Why it matters: the same host key on all nodes lets each pose as any other, and says that an SSH server was there.

    Example: /etc/ssh/ssh_host_ed25519_key.

    Fix: remove openssh-server; its package makes the keys at installation.

    Known limits: looks at names; the content is another control's subject.
    """
    for area in facts.areas:
        for file in area.files:
            if file.type != "directory" and _HOST_KEY.fullmatch(file.name):
                yield about_path(area, file.path, "is an SSH host key", f"{file.size} bytes")


@control(
    "ZOA-854",
    door=Door.SECRETS,
    severity=Severity.MEDIUM,
    title="The machine ID is not fixed in the image",
)
def no_machine_id(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: /etc/machine-id and /var/lib/dbus/machine-id of root and initrd are missing, links or too
    short for an ID, such as empty or "uninitialized", as machine-id(5) wants for images.

    Why it matters: keys, DHCP identities and sealed credentials derive from it; the same on all nodes, they collide
    and can be predicted.

    Example: /etc/machine-id has 33 bytes, written by a package script while the image was built.

    Fix: empty the file at the end of the build; mkosi does.

    Known limits: identifiers that other programs wrote (/etc/hostid, Windows-like SIDs) are not known.
    """
    for area in facts.areas:
        for path in _MACHINE_IDS:
            file = area.by_path.get(path)
            if file is not None and file.type == "file" and file.size >= _MACHINE_ID_SIZE:
                yield about_path(area, path, "holds a machine ID", f"{file.size} bytes")


@control(
    "ZOA-855",
    door=Door.SECRETS,
    severity=Severity.MEDIUM,
    title="There is no random seed",
)
def no_random_seed(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no stored seed of systemd, urandom or seedrng and no credential.secret that
    is not empty, and the EFI system partition holds no /loader/random-seed.

    Why it matters: a seed that is public with the image is worse than none where it is credited as entropy, and
    credential.secret is the key of encrypted credentials.

    Example: /var/lib/systemd/random-seed with 512 bytes.

    Fix: remove the file at the end of the build.

    Known limits: looks at the places of these programs only.
    """
    for area in facts.areas:
        for file in area.reached:
            if file.type == "file" and file.size and _SEEDS.fullmatch(file.path):
                yield about_path(area, file.path, "is a stored random seed or secret", f"{file.size} bytes")
    for esp_file in facts.esp_files:
        if esp_file.path.lower() == "/loader/random-seed":
            evidence = Evidence(source="esp", path=esp_file.path, value=f"{esp_file.size} bytes")
            yield Finding(subject=f"esp:{esp_file.path}", message="is a stored random seed", evidence=(evidence,))


@control(
    "ZOA-856",
    door=Door.SECRETS,
    severity=Severity.HIGH,
    title="There is no file in which programs keep credentials",
    references=_AUTHENTICATORS,
    parameters=_ALLOWED,
)
def no_credential_file(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no file, empty ones aside, in a place where a program keeps passwords or
    tokens: netrc, git, package managers, container registries, Kubernetes, clouds, databases, VPNs, wireless networks,
    the credential store of systemd.

    Why it matters: what lies there is a credential, whatever its form, and the same on every node.

    Example: /root/.docker/config.json, /etc/apt/auth.conf.d/mirror.conf, /etc/credstore/token.

    Fix: remove the file in the definition; give the builder credentials that do not reach the image.

    Known limits: knows names only; credentials elsewhere are found by form, in another control.
    """
    yield from _files(facts, _CREDENTIAL_FILES, "is a file in which credentials are kept", parameters)


@control(
    "ZOA-857",
    door=Door.SECRETS,
    severity=Severity.HIGH,
    title="There is no key store",
    references=_AUTHENTICATORS,
    parameters=_ALLOWED,
)
def no_key_store(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no file, empty ones aside, that by its name is a store of private keys:
    PKCS #12, Java, NSS, GnuPG, keytabs, id_* of SSH, /etc/ssl/private, WireGuard,
    cryptsetup-keys.d, where systemd looks for the key of a volume that names none.

    Why it matters: key stores are binary, their content does not show that they hold keys.

    Example: /opt/app/server.p12.

    Fix: remove it; make keys on the node, or hand them over after attestation.

    Known limits: looks at names; a store of certificates only, such as Java's cacerts.jks, has to be allowed.
    """
    yield from _files(facts, _KEY_STORES, "is a store of private keys", parameters)


@control(
    "ZOA-858",
    door=Door.SECRETS,
    severity=Severity.LOW,
    title="There is no history of a shell or a client",
)
def no_history(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no file, empty ones aside, in which a shell, a database client, an
    interpreter or an editor keeps what was typed.

    Why it matters: people type passwords and tokens; and somebody was in the image by hand.

    Example: /root/.bash_history.

    Fix: remove the file, and build without hands.

    Known limits: looks at names.
    """
    yield from _files(facts, _HISTORY, "keeps what somebody typed", parameters)


@control(
    "ZOA-859",
    door=Door.SECRETS,
    severity=Severity.HIGH,
    title="The kernel command line holds no secret",
    references=_AUTHENTICATORS,
    needs=("uki",),
)
def no_secret_argument(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no argument of a UKI's profile or an addon has a name that ends in password, secret, token, API
    key or the like, and a value.

    Why it matters: the command line is in the image, in the measurement log and in /proc/cmdline, readable for all.

    Example: registry.password=... in the .cmdline section.

    Fix: remove the argument; hand the secret over after attestation.

    Known limits: looks at names; a secret under another name is not seen.
    """
    for placed in arguments(facts):
        if placed.value and _SECRET_ARGUMENT.fullmatch(placed.name.lower()):
            evidence = Evidence(source=placed.evidence.source, path=placed.evidence.path, value=placed.name)
            subject = f"{placed.prefix}:{placed.name}"
            yield Finding(subject=subject, message="hands over a secret for everybody to read", evidence=(evidence,))


def _secrets(facts: Facts, parameters: Parameters, *, is_key: bool) -> Iterator[Finding]:
    """One finding per place."""
    for area in facts.areas:
        for secret in area.secrets:
            if secret.kind.endswith("-private-key") is is_key and secret.path not in parameters["allowed"]:
                line = "" if secret.line is None else f":{secret.line}"
                evidence = Evidence(source=area.name, path=f"{secret.path}{line}", value=secret.kind)
                subject = f"{area.name}:{secret.path}{line}:{secret.kind}"
                yield Finding(subject=subject, message="looks like a secret", evidence=(evidence,))


def _files(facts: Facts, pattern: re.Pattern[str], message: str, parameters: Parameters) -> Iterator[Finding]:
    for area in facts.areas:
        for file in area.reached:
            if (
                file.type == "file"
                and file.size
                and pattern.fullmatch(file.path)
                and file.path not in parameters.get("allowed", ())
            ):
                yield about_path(area, file.path, message, f"{file.size} bytes, mode {file.mode:04o}")


CONTROLS = (
    no_private_key, no_token, no_host_key, no_machine_id, no_random_seed, no_credential_file, no_key_store, no_history,
    no_secret_argument,
)  # fmt: skip
