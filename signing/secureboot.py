"""The Secure Boot identity: the platform key, the key exchange key and the signature database of one fleet.

Three self-signed certificates with keys of their own, enrolled by one owner GUID. The GUID, every byte of the
certificates and so the keys are measured into PCR 7: an identity is made once and kept.

Files of an identity (a directory; the caller reads and writes it)::

    owner.guid                          the owner GUID, one line
    PK.key  KEK.key  db.key             private keys, PKCS #8 in PEM, mode 0600
    PK.crt  KEK.crt  db.crt             certificates, PEM
    PK.esl  KEK.esl  db.esl  [dbx.esl]  contents of the variables; dbx is added when something is revoked
"""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from signing import keys
from signing.certificate import UNREADABLE
from signing.errors import InvalidKeyError, InvalidRequestError, MalformedSignatureError
from signing.esl import build_x509_list, parse_signature_lists

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

VARIABLES = ("PK", "KEK", "db")
OWNER_FILE = "owner.guid"
DBX_FILE = "dbx.esl"
PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644
# Firmware does not look at validity; other tools do, and nodes live long.
VALIDITY = timedelta(days=20 * 365)
_OWNER_NAMESPACE = uuid.UUID("414c2cb6-0bc4-4c38-b3d4-64c0a13a344a")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_SERIAL_BYTES = 16


@dataclass(frozen=True, slots=True)
class SecureBootIdentity:
    """What firmware gets of an identity: the owner GUID, one certificate (DER) per variable, the content of dbx."""

    owner: uuid.UUID
    pk: bytes
    kek: bytes
    db: bytes
    dbx: bytes = b""

    def variables(self) -> dict[str, bytes]:
        """The contents of PK, KEK, db and dbx.

        Empty means that the variable must not exist: UEFI has no empty variables, setting one to nothing deletes it.
        Firmware measures an absent dbx with length 0, so an identity that has revoked nothing needs no placeholder
        entry as some enrolment tools write it.
        """
        return {
            "PK": build_x509_list(self.owner, self.pk),
            "KEK": build_x509_list(self.owner, self.kek),
            "db": build_x509_list(self.owner, self.db),
            "dbx": self.dbx,
        }

    @property
    def db_certificate(self) -> x509.Certificate:
        """The certificate in db, which is both the signer of images and their trust anchor."""
        return x509.load_der_x509_certificate(self.db)


@dataclass(frozen=True, slots=True)
class IdentityFile:
    """One file to write: its content, kept out of ``repr``, and its mode, which must hold from creation."""

    content: bytes
    mode: int

    def __repr__(self) -> str:
        return f"IdentityFile({len(self.content)} bytes, {self.mode:#o})"


@dataclass(frozen=True, slots=True)
class GeneratedIdentity:
    """A new identity and all its files by name."""

    identity: SecureBootIdentity
    files: Mapping[str, IdentityFile]


def owner_guid(name: str) -> uuid.UUID:
    """The owner GUID for an identity of this name: always the same, so making new keys does not change it."""
    _check_name(name)
    return uuid.uuid5(_OWNER_NAMESPACE, name)


def generate_identity(name: str, owner: uuid.UUID, now: datetime) -> GeneratedIdentity:
    """Make the keys and certificates of a new identity; ``now`` has a time zone.

    Certificates are X.509 v3, RSA with 3072 bits, SHA-256, subject and issuer "CN=<name> PK" and so on, valid from
    ``now`` for 20 years. The serial number is made of the first 16 bytes of the key's identifier. They are no
    certificate authorities (basicConstraints CA:FALSE, keyUsage digitalSignature, db also extendedKeyUsage
    codeSigning): a db key signs images itself, and no other key can be given its rights.

    Raises InvalidRequestError for a name that is not 1 to 40 lower-case letters, digits and hyphens.
    """
    _check_name(name)
    files = {OWNER_FILE: IdentityFile(f"{owner}\n".encode(), PUBLIC_MODE)}
    for variable in VARIABLES:
        files |= _new_key(name, variable, owner, now)
    return GeneratedIdentity(_identity_of(files), files)


def rotate_identity(
    files: Mapping[str, bytes], name: str, variables: Collection[str], now: datetime
) -> GeneratedIdentity:
    """An identity with new keys for ``variables`` (of PK, KEK and db) and everything else, the owner too, as it was.

    ``files`` are all files of the old identity. Raises InvalidRequestError if nothing is to be rotated, or something
    that is none of the three; InvalidKeyError if the old identity is broken.
    """
    _check_name(name)
    unknown = sorted(set(variables) - set(VARIABLES))
    if unknown or not variables:
        raise InvalidRequestError(
            f"cannot rotate {' '.join(unknown) or 'nothing'}", hint=f"name one or more of {' '.join(VARIABLES)}"
        )
    owner = load_identity(files).owner
    rotated = {
        file: IdentityFile(content, PRIVATE_MODE if file.endswith(".key") else PUBLIC_MODE)
        for file, content in files.items()
    }
    for variable in VARIABLES:
        if variable in variables:
            rotated |= _new_key(name, variable, owner, now)
    return GeneratedIdentity(_identity_of(rotated), rotated)


def _new_key(name: str, variable: str, owner: uuid.UUID, now: datetime) -> dict[str, IdentityFile]:
    if now.tzinfo is None:
        raise InvalidRequestError("the creation time has no time zone")
    generated = keys.generate(keys.Algorithm.RSA_PKCS1_SHA256)
    certificate = _certificate(name, variable, generated.private_pem, now)
    signature_list = build_x509_list(owner, certificate.public_bytes(Encoding.DER))
    return {
        f"{variable}.key": IdentityFile(generated.private_pem, PRIVATE_MODE),
        f"{variable}.crt": IdentityFile(certificate.public_bytes(Encoding.PEM), PUBLIC_MODE),
        f"{variable}.esl": IdentityFile(signature_list, PUBLIC_MODE),
    }


def _identity_of(files: Mapping[str, IdentityFile]) -> SecureBootIdentity:
    return load_identity({name: file.content for name, file in files.items()})


def load_identity(files: Mapping[str, bytes]) -> SecureBootIdentity:
    """Read an identity from its public files by name; private keys are not needed and not looked at.

    Raises InvalidKeyError if a file is missing or wrong, or if a signature list is not the one of its certificate.
    """
    owner = _load_owner(_file(files, OWNER_FILE))
    certificates = {variable: _load_certificate(files, f"{variable}.crt") for variable in VARIABLES}
    dbx = files.get(DBX_FILE, b"")
    try:
        parse_signature_lists(dbx)
    except MalformedSignatureError as error:
        raise InvalidKeyError(f"{DBX_FILE}: {error}") from error
    identity = SecureBootIdentity(owner, certificates["PK"], certificates["KEK"], certificates["db"], dbx)
    for variable in VARIABLES:
        if _file(files, f"{variable}.esl") != identity.variables()[variable]:
            raise InvalidKeyError(f"{variable}.esl does not hold the certificate {variable}.crt of the owner {owner}")
    return identity


def _certificate(name: str, variable: str, private_pem: bytes, now: datetime) -> x509.Certificate:
    key = keys.load_private(private_pem)
    public = key.public_key()
    if not isinstance(key, rsa.RSAPrivateKey):
        raise InvalidKeyError("a Secure Boot certificate needs an RSA key")
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{name} {variable}")])
    start = now.astimezone(UTC).replace(microsecond=0)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(_serial(keys.public_key(public)))
        .not_valid_before(start)
        .not_valid_after(start + VALIDITY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    if variable == "db":
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
    return builder.sign(key, hashes.SHA256())


def _serial(key: keys.PublicKey) -> int:
    """Positive and at most 20 bytes as RFC 5280 (4.1.2.2) asks, and reproducible from the key."""
    digest = hashlib.sha256(key.spki).digest()[:_SERIAL_BYTES]
    return int.from_bytes(digest) or 1


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidRequestError(
            f"{name!r} is not a name for a Secure Boot identity",
            hint="use 1 to 40 lower-case letters, digits and hyphens",
        )


def _file(files: Mapping[str, bytes], name: str) -> bytes:
    if name not in files:
        raise InvalidKeyError(f"the Secure Boot identity has no {name}")
    return files[name]


def _load_owner(content: bytes) -> uuid.UUID:
    try:
        text = content.decode("ascii").removesuffix("\n")
        owner = uuid.UUID(text)
    except ValueError:
        raise InvalidKeyError(f"{OWNER_FILE} does not hold a GUID") from None
    if str(owner) != text:
        raise InvalidKeyError(f"{OWNER_FILE} must hold the GUID as {owner} and nothing else")
    return owner


def _load_certificate(files: Mapping[str, bytes], name: str) -> bytes:
    try:
        certificate = x509.load_pem_x509_certificate(_file(files, name))
    except UNREADABLE:
        # The library's words are left out: they may describe a private key put here by mistake.
        raise InvalidKeyError(f"{name} is not a certificate in PEM") from None
    key = keys.public_key(certificate.public_key())
    if key.algorithm is not keys.Algorithm.RSA_PKCS1_SHA256:
        raise InvalidKeyError(f"{name} has a key for {key.algorithm}, Secure Boot needs RSA")
    return certificate.public_bytes(Encoding.DER)
