"""Which entry of db lets an image run, as firmware decides it with Secure Boot enabled.

Ported from edk2 ``SecurityPkg/Library/DxeImageVerificationLib/DxeImageVerificationLib.c``
(DxeImageVerificationHandler, IsAllowedByDb, IsForbiddenByDbx, IsSignatureFoundInDatabase).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import InvalidInputError, UnpredictableError
from builder.image.pe import certificates
from signing import authenticode
from signing.certificate import load_certificate
from signing.efi import SignatureType
from signing.errors import InvalidSignatureError, MalformedSignatureError
from signing.esl import SignatureEntry, SignatureList, parse_signature_lists

if TYPE_CHECKING:
    from builder.measurement.boot import LoadedImage

# Entries of these types are Authenticode digests of images; the value is hashlib's name of the hash.
_IMAGE_DIGESTS = {
    SignatureType.SHA1: "sha1",
    SignatureType.SHA224: "sha224",
    SignatureType.SHA256: "sha256",
    SignatureType.SHA384: "sha384",
    SignatureType.SHA512: "sha512",
}
# What firmware hashes an unsigned image with to look it up in db.
_UNSIGNED_DIGEST = "sha256"


class BootRefusedError(InvalidInputError):
    """Firmware in the stated Secure Boot state does not start an image of this boot, so there is nothing to measure."""


def authority(image: LoadedImage, db: bytes, dbx: bytes) -> SignatureEntry:
    """The first entry of ``db``, in the variable's order, by which firmware trusts a PE image.

    Of a signed image's signatures the first that an entry verifies counts: by an X.509 entry, else by an entry of the
    image's digest. An unsigned image needs an entry of its SHA-256 digest.

    Raises BootRefusedError if there is none or ``dbx`` forbids the image; UnpredictableError if dbx lists digests of
    certificates or a signature cannot be read; InvalidInputError for broken signature databases.
    """
    try:
        allowed, forbidden = parse_signature_lists(db), parse_signature_lists(dbx)
    except MalformedSignatureError as error:
        raise InvalidInputError(f"a Secure Boot variable cannot be read: {error}") from error
    signatures = certificates(image.data)
    _refuse_forbidden(forbidden, signatures, image)
    for signature in signatures:
        entry = _first_certificate(allowed, signature, image) or _first_digest(allowed, _hash_of(signature), image)
        if entry is not None:
            return entry
    if not signatures and (entry := _first_digest(allowed, _UNSIGNED_DIGEST, image)):
        return entry
    raise BootRefusedError(
        f"firmware will not start the {image.source}: "
        + ("no entry of db verifies its signature" if signatures else "it is not signed, and db lacks its digest"),
        hint="sign it with a key of db, or state the Secure Boot variables of the machine that will boot it",
    )


def _refuse_forbidden(dbx: tuple[SignatureList, ...], signatures: tuple[bytes, ...], image: LoadedImage) -> None:
    for revoked in dbx:
        if revoked.type in _IMAGE_DIGESTS:
            if _first_digest((revoked,), _IMAGE_DIGESTS[revoked.type], image):
                raise BootRefusedError(f"firmware will not start the {image.source}: dbx has its digest")
        elif revoked.type is SignatureType.X509:
            if any(_first_certificate((revoked,), signature, image) for signature in signatures):
                raise BootRefusedError(
                    f"firmware will not start the {image.source}: dbx has a certificate of its signer"
                )
        elif signatures:
            raise UnpredictableError(
                f"dbx has entries of type {revoked.type.name}, and whether they forbid the {image.source} is not"
                " evaluated"
            )


def _first_certificate(
    database: tuple[SignatureList, ...], signature: bytes, image: LoadedImage
) -> SignatureEntry | None:
    """The first X.509 entry to which a signature leads."""
    for signature_list in database:
        for entry in signature_list.entries if signature_list.type is SignatureType.X509 else ():
            try:
                anchor = load_certificate(entry.data, "a certificate in a Secure Boot variable")
                authenticode.verify(signature, image_digest=image.digest, anchor=anchor)
            except InvalidSignatureError:
                continue
            except MalformedSignatureError as error:
                raise UnpredictableError(f"what firmware makes of a signature is not known: {error}") from error
            return entry
    return None


def _first_digest(database: tuple[SignatureList, ...], algorithm: str, image: LoadedImage) -> SignatureEntry | None:
    """The first entry that is the image's own digest by ``algorithm``."""
    return next(
        (
            entry
            for signature_list in database
            if _IMAGE_DIGESTS.get(signature_list.type) == algorithm
            for entry in signature_list.entries
            if entry.data == image.digest(algorithm)
        ),
        None,
    )


def _hash_of(signature: bytes) -> str:
    try:
        return authenticode.digest_algorithm(signature)
    except MalformedSignatureError as error:
        raise UnpredictableError(f"what firmware makes of a signature is not known: {error}") from error
