"""sbsigntool and osslsigncode judge our signatures, and we judge theirs."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from builder.image import pe
from signing import authenticode, secureboot
from signing.errors import InvalidSignatureError
from signing.signer import FileSigner

if TYPE_CHECKING:
    from builder.mkosi.toolchain import Toolchain

pytestmark = pytest.mark.oracle

# An EFI program of 6 KB; also with a size that is no multiple of 8, which signers pad.
PROGRAM = (Path(__file__).parents[2] / "vectors/signing/dump.efi").read_bytes()
MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)
SBVERIFY_OK = (0, "Signature verification OK\n")
SBVERIFY_NO = (1, "Signature verification failed\n")


class Signers:
    """Two Secure Boot identities, and the tools on files of a directory."""

    def __init__(self, tools: Toolchain, directory: Path) -> None:
        self.tools, self.directory = tools, directory
        self.certificates: dict[str, x509.Certificate] = {}
        for name in ("ours", "theirs"):
            generated = secureboot.generate_identity(name, secureboot.owner_guid(name), MADE_AT)
            self.certificates[name] = generated.identity.db_certificate
            for part in ("key", "crt"):
                (directory / f"{name}.{part}").write_bytes(generated.files[f"db.{part}"].content)

    def sign(self, image: bytes, name: str) -> bytes:
        """The image with one more signature of ours."""
        image = pe.pad_for_signing(image)
        signer = FileSigner.from_pem((self.directory / f"{name}.key").read_bytes())
        digest = pe.authenticode_digest(image, "sha256")
        return pe.attach_signature(image, authenticode.build(digest, signer, self.certificates[name]))

    def sbsign(self, image: bytes, name: str) -> bytes:
        """The image with one more signature by sbsign."""
        (self.directory / "in.efi").write_bytes(image)
        key, certificate = (str(self.directory / f"{name}.{part}") for part in ("key", "crt"))
        status, output = self.run(
            "sbsign", "--key", key, "--cert", certificate, "--output", self.path("out.efi"), self.path("in.efi")
        )
        assert status == 0, output
        return (self.directory / "out.efi").read_bytes()

    def sbverify(self, image: bytes, name: str) -> tuple[int, str]:
        """Whether a signature leads to the identity's certificate."""
        (self.directory / "in.efi").write_bytes(image)
        return self.run("sbverify", "--cert", self.path(f"{name}.crt"), self.path("in.efi"))

    def osslsigncode(self, image: bytes, name: str) -> tuple[int, str]:
        """Whether the image's signature is good and leads to the identity's certificate."""
        (self.directory / "in.efi").write_bytes(image)
        return self.run("osslsigncode", "verify", "-CAfile", self.path(f"{name}.crt"), "-in", self.path("in.efi"))

    def path(self, name: str) -> str:
        return str(self.directory / name)

    def run(self, *argv: str) -> tuple[int, str]:
        """Exit status and what the tool answered; its warnings about the layout of the file are elsewhere."""
        command = self.tools.command(argv, writable=[self.directory])
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        return done.returncode, done.stdout.decode()

    def verified(self, image: bytes, name: str) -> list[authenticode.VerifiedAuthenticode]:
        """Our verdict on every signature; those that lead to the identity's certificate."""
        found = []
        for signature in pe.certificates(image):
            try:
                found.append(
                    authenticode.verify(
                        signature,
                        image_digest=lambda algorithm: pe.authenticode_digest(image, algorithm),
                        anchor=self.certificates[name],
                    )
                )
            except InvalidSignatureError:
                continue
        return found


@pytest.fixture(scope="module")
def signers(test_tools: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Signers:
    return Signers(test_tools, tmp_path_factory.mktemp("authenticode"))


@pytest.fixture(params=[0, 1, 7], ids=["aligned", "odd-1", "odd-7"])
def image(request: pytest.FixtureRequest) -> bytes:
    return PROGRAM + bytes(range(1, request.param + 1))


def test_other_tools_verify_what_we_sign(signers: Signers, image: bytes) -> None:
    signed = signers.sign(image, "ours")
    assert signers.sbverify(signed, "ours") == SBVERIFY_OK
    status, output = signers.osslsigncode(signed, "ours")
    assert (status, output.splitlines()[-1]) == (0, "Succeeded"), output


def test_other_tools_and_we_refuse_a_flipped_byte(signers: Signers, image: bytes) -> None:
    signed = bytearray(signers.sign(image, "ours"))
    signed[len(PROGRAM) // 2] ^= 1
    assert signers.sbverify(bytes(signed), "ours") == SBVERIFY_NO
    status, output = signers.osslsigncode(bytes(signed), "ours")
    assert status == 1
    assert "MISMATCH!!!" in output
    assert signers.verified(bytes(signed), "ours") == []


def test_other_tools_and_we_refuse_another_identity(signers: Signers, image: bytes) -> None:
    signed = signers.sign(image, "ours")
    assert signers.sbverify(signed, "theirs") == SBVERIFY_NO
    status, output = signers.osslsigncode(signed, "theirs")
    assert status == 1
    assert "Signature verification: failed" in output
    assert signers.verified(signed, "theirs") == []


def test_we_verify_what_sbsign_signs(signers: Signers, image: bytes) -> None:
    signed = signers.sbsign(image, "theirs")
    (found,) = signers.verified(signed, "theirs")
    assert found.image_digest == pe.authenticode_digest(pe.pad_for_signing(image), "sha256")
    assert signers.verified(signed, "ours") == []


def test_our_signature_and_that_of_sbsign_live_in_one_image(signers: Signers, image: bytes) -> None:
    for signed in (
        signers.sbsign(signers.sign(image, "ours"), "theirs"),
        signers.sign(signers.sbsign(image, "theirs"), "ours"),
    ):
        assert len(pe.certificates(signed)) == 2
        for name in ("ours", "theirs"):
            assert signers.sbverify(signed, name) == SBVERIFY_OK
            assert [found.signer for found in signers.verified(signed, name)] == [signers.certificates[name]]


def test_sbverify_and_we_accept_a_signer_that_the_certificate_in_db_issued(signers: Signers) -> None:
    """As with vendors whose certificate authority is in db and whose signing keys are not."""
    authority, signer = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    anchor = certificate("authority", authority, issuer="authority", issuer_key=authority, ca=True)
    leaf = certificate("signer", signer, issuer="authority", issuer_key=authority, ca=False)
    for name, key, own in (("authority", authority, anchor), ("signer", signer, leaf)):
        signers.certificates[name] = own
        (signers.directory / f"{name}.crt").write_bytes(own.public_bytes(Encoding.PEM))
        (signers.directory / f"{name}.key").write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
    signed = signers.sign(PROGRAM, "signer")
    assert signers.sbverify(signed, "authority") == SBVERIFY_OK
    assert [found.chain for found in signers.verified(signed, "authority")] == [(leaf, anchor)]
    assert signers.sbverify(signed, "ours") == SBVERIFY_NO
    assert signers.verified(signed, "ours") == []


def certificate(
    name: str, key: rsa.RSAPrivateKey, *, issuer: str, issuer_key: rsa.RSAPrivateKey, ca: bool
) -> x509.Certificate:
    """A certificate for ``key``, issued by ``issuer_key``."""
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(MADE_AT)
        .not_valid_after(MADE_AT + timedelta(days=7300))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )
