"""``bedplate keys``: make, show and rotate the keys that sign releases and images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from builder.cli.arguments import VerbWithActions
from builder.cli.options import DIRECTORY
from builder.cli.output import Format, format_option, print_json, print_table, print_text

if TYPE_CHECKING:
    from builder.release.keyring import PublicKeyring

_ALGORITHMS = ("ecdsa-p256-sha256", "ecdsa-p384-sha384", "ed25519", "rsa-pkcs1v15-sha256")
_VARIABLES = ("PK", "KEK", "db")
# What a rotation of Secure Boot keys touches outside of bedplate: everything that carries PCR 7.
_EXPORTS_WITH_PCR7 = ("nitrotpm", "kms-policy", "corim", "keylime", "keylime-mb", "trustee", "trustee-corim", "tcg")


@click.group(
    cls=VerbWithActions,
    short_help="Make, show and rotate the keys that sign releases and their images.",
    examples=(
        "bedplate keys new keys/production",
        "bedplate keys show keys/production",
        "bedplate keys rotate keys/production --db",
        "bedplate keys rotate keys/production --db -o keys/production-2",
    ),
)
def command() -> None:
    """Make, show and rotate keys: one for release statements, and a Secure Boot identity (PK, KEK, db)."""


@command.command("new", short_help="Make a directory of new keys.")
@click.argument("directory", type=DIRECTORY)
@click.option(
    "--profile",
    type=click.Choice(["production", "development"]),
    default="production",
    show_default=True,
    help="The only images that these keys will sign.",
)
@click.option(
    "--algorithm",
    type=click.Choice(_ALGORITHMS),
    default=_ALGORITHMS[0],
    show_default=True,
    help="Of the key that signs releases; Secure Boot keys are always RSA-3072.",
)
@format_option
def _new(directory: Path, profile: str, algorithm: str, output_format: Format) -> None:
    """Make DIRECTORY with new keys.

    Private keys are readable by their owner only. Give release.pub to those who verify, and the files
    secure-boot/*.esl to the firmware of the machines.
    """
    from builder.definition.model import Profile  # noqa: PLC0415 -- for a fast --help
    from builder.release.keyring import RELEASE_PUBLIC_KEY, generate_keyring  # noqa: PLC0415
    from signing.keys import Algorithm  # noqa: PLC0415

    public = generate_keyring(directory, Profile(profile), Algorithm(algorithm))
    path = directory / RELEASE_PUBLIC_KEY
    if output_format is Format.JSON:
        print_json({"directory": str(directory), "public_key": str(path), "key_id": public.key_id})
    else:
        print_text(f"{path}")


@command.command("show", short_help="Show what is public of a directory of keys.")
@click.argument("directory", type=DIRECTORY)
@format_option
def _show(directory: Path, output_format: Format) -> None:
    """Show the public side of the keys in DIRECTORY, and the PCR 7 of machines that enrol them."""
    from builder.release.keyring import load_public_keyring  # noqa: PLC0415 -- for a fast --help

    keyring = load_public_keyring(directory)
    if output_format is Format.JSON:
        print_json(_described(keyring))
        return
    print_text(f"profile {keyring.profile.value}, owner {keyring.identity.owner}\n")
    rows = [("release", keyring.release.algorithm.value, keyring.release.key_id, "")]
    rows += [(name, row["subject"], row["sha256"], row["not_after"]) for name, row in _certificates(keyring).items()]
    print_table(("key", "what it is", "SHA-256", "until"), rows)
    print_text("\nPCR 7 of a machine that has these keys enrolled and boots an image signed by db:")
    print_table(("bank", "value"), list(_pcr7(keyring).items()))


@command.command("rotate", short_help="Show what new Secure Boot keys would change, or make them.")
@click.argument("directory", type=DIRECTORY)
@click.option("--pk", "PK", is_flag=True, help="Replace PK, the platform key.")
@click.option("--kek", "KEK", is_flag=True, help="Replace KEK, the key exchange key.")
@click.option("--db", "db", is_flag=True, help="Replace db, the key that signs images.")
@click.option("-o", "--output", type=DIRECTORY, help="Make the new keys there.  [default: preview]")
@format_option
def _rotate(directory: Path, output: Path | None, output_format: Format, **chosen: bool) -> None:
    """Show which PCR 7 the keys in DIRECTORY give before and after a rotation; with -o, make the rotated keys.

    The old keys stay where they are: nodes need them until the last image that they signed is gone. Without -o the
    new values are of keys that are thrown away again, so only the fact that PCR 7 changes is meant, not its value.
    """
    import tempfile  # noqa: PLC0415 -- for a fast --help

    from builder.release.keyring import load_public_keyring, rotate_keyring  # noqa: PLC0415

    variables = [name for name in _VARIABLES if chosen[name]]
    old = load_public_keyring(directory)
    with tempfile.TemporaryDirectory(prefix="bedplate-") as scratch:
        new = rotate_keyring(directory, output or Path(scratch, directory.absolute().name), variables)
    before, after = _pcr7(old), _pcr7(new)
    if output_format is Format.JSON:
        print_json(
            {
                "rotated": variables,
                "written": None if output is None else str(output),
                "pcr7": {bank: {"before": before[bank], "after": after[bank]} for bank in before},
                "exports": _EXPORTS_WITH_PCR7,
            }
        )
        return
    print_text(f"rotates {', '.join(variables)}; owner {old.identity.owner} and the release key stay\n")
    rows = [(f"7 {moment}", bank, pcrs[bank]) for bank in before for moment, pcrs in (("now", before), ("then", after))]
    print_table(("PCR", "bank", "value"), rows)
    print_text(
        "\nPCR 4, 9, 11 and 12 stay: no signature is part of them. These exports carry PCR 7 and must be made again for"
        f"\nevery release: {', '.join(_EXPORTS_WITH_PCR7)}"
    )
    if output is None:
        print_text("\nNothing was written: this was a preview with keys that are gone. -o DIRECTORY makes real ones.")
    else:
        print_text(f"\nThe rotated keys are in {output}: sign with them, and enrol {output}/secure-boot/*.esl.")


def _described(keyring: PublicKeyring) -> dict[str, Any]:
    return {
        "profile": keyring.profile.value,
        "owner": str(keyring.identity.owner),
        "release": {"algorithm": keyring.release.algorithm.value, "key_id": keyring.release.key_id},
        "secure_boot": _certificates(keyring),
        "pcr7": _pcr7(keyring),
    }


def _certificates(keyring: PublicKeyring) -> dict[str, dict[str, str]]:
    from cryptography import x509  # noqa: PLC0415 -- for a fast --help
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    identity = keyring.identity
    loaded = {
        name: x509.load_der_x509_certificate(content)
        for name, content in (("PK", identity.pk), ("KEK", identity.kek), ("db", identity.db))
    }
    return {
        name: {
            "subject": certificate.subject.rfc4514_string(),
            "sha256": certificate.fingerprint(SHA256()).hex(),
            "not_after": certificate.not_valid_after_utc.date().isoformat(),
        }
        for name, certificate in loaded.items()
    }


def _pcr7(keyring: PublicKeyring) -> dict[str, str]:
    from builder.release.keyring import expected_pcr7  # noqa: PLC0415 -- for a fast --help

    return {bank.value: value.hex() for bank, value in expected_pcr7(keyring.identity).items()}
