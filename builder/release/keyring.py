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
from signing import keys, secureboot
from signing.errors import InvalidKeyError
from signing.signer import FileSigner

if TYPE_CHECKING:
    from pathlib import Path

    from signing.secureboot import SecureBootIdentity
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


def generate_keyring(directory: Path, profile: Profile, algorithm: keys.Algorithm) -> keys.PublicKey:
    """Make all keys of a new keyring; private ones are readable by their owner only from the moment they exist.

    The identity is named after the directory and the profile, so that development and production keys cannot be taken
    for each other. Raises InvalidInputError if the directory exists.
    """
    name = f"{directory.absolute().name.lower()}-{profile.value}"
    identity = secureboot.generate_identity(name, secureboot.owner_guid(name), dt.datetime.now(dt.UTC))
    release = keys.generate(algorithm)
    with new_directory(directory) as partial:
        write_atomically(partial / _PROFILE, f"{profile.value}\n".encode())
        write_atomically(partial / RELEASE_KEY, release.private_pem, mode=secureboot.PRIVATE_MODE)
        write_atomically(partial / RELEASE_PUBLIC_KEY, release.public.pem)
        (partial / _SECURE_BOOT).mkdir()
        for file, entry in identity.files.items():
            write_atomically(partial / _SECURE_BOOT / file, entry.content, mode=entry.mode)
    return release.public


def load_keyring(directory: Path, passphrase: bytes | None = None) -> Keyring:
    """Read a keyring. Raises InvalidInputError if it is none, InvalidKeyError if a key cannot be used."""
    if not directory.is_dir():
        raise InvalidInputError(f"there are no keys in {directory}", hint=f"`bedplate keys {directory}` makes some")
    word = _read(directory / _PROFILE).decode(errors="replace").strip()
    try:
        profile = Profile(word)
    except ValueError:
        raise InvalidInputError(f"{directory / _PROFILE}: {word!r} is neither production nor development") from None
    folder = directory / _SECURE_BOOT
    if not folder.is_dir():
        raise InvalidInputError(f"the keys in {directory} have no Secure Boot identity: {folder} is missing")
    public = {path.name: _read(path) for path in folder.iterdir() if path.suffix != ".key"}
    identity = secureboot.load_identity(public)
    image = _load(folder / "db.key", passphrase)
    certified = keys.public_key(identity.db_certificate.public_key())
    if image.public_key != certified:
        raise InvalidKeyError(f"{folder / 'db.key'} is not the key of the certificate db.crt beside it")
    return Keyring(profile, _load(directory / RELEASE_KEY, passphrase), image, identity)


def load_trusted(path: Path) -> keys.PublicKey:
    """A public key that the user trusts. Raises InvalidInputError or InvalidKeyError."""
    return keys.load_public(read_bytes(path, what="public key", limit=_MAX_FILE_BYTES))


def _load(path: Path, passphrase: bytes | None) -> FileSigner:
    try:
        return FileSigner.from_pem(_read(path), passphrase)
    except InvalidKeyError as error:
        raise InvalidKeyError(f"{path}: {error}", hint=error.hint) from error


def _read(path: Path) -> bytes:
    return read_bytes(path, what="key file", limit=_MAX_FILE_BYTES)
