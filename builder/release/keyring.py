"""A directory of keys: the key that signs releases, and the Secure Boot identity that signs their UKIs.

::

    keys/NAME/
      profile                  production or development: the only images these keys sign
      release.key release.pub  signs the statements of a release
      secure-boot/             owner, and for PK, KEK and db: .key, .crt and .esl
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.definition.model import Profile
from builder.errors import InvalidInputError
from builder.files import new_directory, read_bytes, write_atomically
from builder.measurement import pcr7
from builder.measurement.configuration import SecureBoot, SecureBootMode
from builder.measurement.events import Measurer
from builder.measurement.pcr import Bank
from signing import esl, keys, secureboot
from signing.errors import InvalidKeyError
from signing.signer import FileSigner

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from signing.secureboot import GeneratedIdentity, SecureBootIdentity
    from signing.signer import Signer

PASSPHRASE_VARIABLE: Final = "BEDPLATE_KEY_PASSPHRASE"  # noqa: S105 -- a name, not a passphrase
RELEASE_KEY: Final = "release.key"
RELEASE_PUBLIC_KEY: Final = "release.pub"
_PROFILE: Final = "profile"
_SECURE_BOOT: Final = "secure-boot"
_MAX_FILE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Keyring:
    """Keys that are ready to sign images of one profile."""

    profile: Profile
    release: Signer
    image: Signer
    identity: SecureBootIdentity


@dataclass(frozen=True, slots=True)
class PublicKeyring:
    """What may be shown of a keyring: everything but the private keys, which may be elsewhere."""

    profile: Profile
    release: keys.PublicKey
    identity: SecureBootIdentity


def generate_keyring(directory: Path, profile: Profile, algorithm: keys.Algorithm) -> keys.PublicKey:
    """Make all keys of a new keyring; private ones are readable by their owner only from the moment they exist.

    The identity is named after the directory and the profile, so that development and production keys cannot be taken
    for each other. Raises InvalidInputError if the directory exists.
    """
    name = identity_name(directory, profile)
    identity = secureboot.generate_identity(name, secureboot.owner_guid(name), dt.datetime.now(dt.UTC))
    release = keys.generate(algorithm)
    files = {RELEASE_KEY: release.private_pem, RELEASE_PUBLIC_KEY: release.public.pem}
    _write(directory, profile, files, identity)
    return release.public


def rotate_keyring(directory: Path, target: Path, variables: Collection[str]) -> PublicKeyring:
    """Make the keyring ``target``: that of ``directory`` with new Secure Boot keys for ``variables`` (PK, KEK, db).

    The old keyring stays as it is, for as long as nodes boot what it signed. Raises InvalidInputError if ``directory``
    is no keyring or ``target`` exists, InvalidRequestError if there is nothing to rotate.
    """
    old = load_public_keyring(directory)
    folder = directory / _SECURE_BOOT
    files = {path.name: _read(path) for path in folder.iterdir()}
    name = identity_name(target, old.profile)
    rotated = secureboot.rotate_identity(files, name, variables, dt.datetime.now(dt.UTC))
    release = {file: _read(directory / file) for file in (RELEASE_KEY, RELEASE_PUBLIC_KEY)}
    _write(target, old.profile, release, rotated)
    return PublicKeyring(old.profile, old.release, rotated.identity)


def identity_name(directory: Path, profile: Profile) -> str:
    """The name of the Secure Boot identity in a keyring at ``directory``; it is in the certificates."""
    return f"{directory.absolute().name.lower()}-{profile.value}"


def load_public_keyring(directory: Path) -> PublicKeyring:
    """Read what is public of a keyring. Raises InvalidInputError if it is none, InvalidKeyError if a file is wrong."""
    if not directory.is_dir():
        raise InvalidInputError(f"there are no keys in {directory}", hint=f"`bedplate keys new {directory}` makes some")
    word = _read(directory / _PROFILE).decode(errors="replace").strip()
    try:
        profile = Profile(word)
    except ValueError:
        raise InvalidInputError(f"{directory / _PROFILE}: {word!r} is neither production nor development") from None
    folder = directory / _SECURE_BOOT
    if not folder.is_dir():
        raise InvalidInputError(f"the keys in {directory} have no Secure Boot identity: {folder} is missing")
    public = {path.name: _read(path) for path in folder.iterdir() if path.suffix != ".key"}
    return PublicKeyring(profile, load_trusted(directory / RELEASE_PUBLIC_KEY), secureboot.load_identity(public))


def load_keyring(directory: Path, passphrase: bytes | None = None) -> Keyring:
    """Read a keyring. Raises InvalidInputError if it is none, InvalidKeyError if a key cannot be used."""
    public = load_public_keyring(directory)
    image = load_signer(directory / _SECURE_BOOT / "db.key", passphrase)
    if image.public_key != keys.public_key(public.identity.db_certificate.public_key()):
        raise InvalidKeyError(f"{directory / _SECURE_BOOT / 'db.key'} is not the key of the certificate beside it")
    release = load_signer(directory / RELEASE_KEY, passphrase)
    if release.public_key != public.release:
        raise InvalidKeyError(f"{directory / RELEASE_KEY} is not the key of {RELEASE_PUBLIC_KEY} beside it")
    return Keyring(public.profile, release, image, public.identity)


def expected_pcr7(identity: SecureBootIdentity) -> dict[Bank, bytes]:
    """PCR 7 of a machine that has this identity enrolled and boots one image signed by its db key."""
    variables = identity.variables()
    secure_boot = SecureBoot(
        SecureBootMode.ENABLED, pk=variables["PK"], kek=variables["KEK"], db=variables["db"], dbx=variables["dbx"]
    )
    measurer = Measurer(tuple(Bank))
    entry = esl.parse_signature_lists(variables["db"])[0].entries[0]
    authority = pcr7.authority_event(entry.encode(), "UKI", measurer)
    return measurer.replay((*pcr7.policy_events(secure_boot, measurer), authority))


def load_trusted(path: Path) -> keys.PublicKey:
    """A public key that the user trusts. Raises InvalidInputError or InvalidKeyError."""
    try:
        return keys.load_public(read_bytes(path, what="public key", limit=_MAX_FILE_BYTES))
    except InvalidKeyError as error:
        raise InvalidKeyError(f"{path}: {error}", hint=error.hint) from error


def _write(directory: Path, profile: Profile, files: Mapping[str, bytes], identity: GeneratedIdentity) -> None:
    with new_directory(directory) as partial:
        write_atomically(partial / _PROFILE, f"{profile.value}\n".encode())
        for name, content in files.items():
            mode = secureboot.PRIVATE_MODE if name == RELEASE_KEY else secureboot.PUBLIC_MODE
            write_atomically(partial / name, content, mode=mode)
        (partial / _SECURE_BOOT).mkdir()
        for name, entry in identity.files.items():
            write_atomically(partial / _SECURE_BOOT / name, entry.content, mode=entry.mode)


def load_signer(path: Path, passphrase: bytes | None = None) -> FileSigner:
    """A private key in PEM that signs. Raises InvalidInputError or InvalidKeyError."""
    try:
        return FileSigner.from_pem(_read(path), passphrase)
    except InvalidKeyError as error:
        hint = error.hint
        if hint == keys.NEEDS_PASSPHRASE:
            hint = f"{hint} in {PASSPHRASE_VARIABLE}"
        raise InvalidKeyError(f"{path}: {error}", hint=hint) from error


def _read(path: Path) -> bytes:
    return read_bytes(path, what="key file", limit=_MAX_FILE_BYTES)
