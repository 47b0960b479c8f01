"""A release of the shipped image: verified by us, by cosign, sbverify and osslsigncode, and made only once."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from builder.definition.model import Profile
from builder.errors import InvalidInputError, NotVerifiedError, ToolFailedError
from builder.files import sha256_file
from builder.process import run
from builder.progress import Silent
from builder.release.keyring import generate_keyring, load_keyring, load_trusted
from builder.release.layout import BUILD_RECORD, INVENTORY, LOCK, POLICY, TREE
from builder.release.record import load_record
from builder.release.sign import sign_build
from builder.release.statements import PROVENANCE, SHORT_NAMES
from builder.release.verify import verify_release
from policies.policy import encode, settle
from policies.waiver import Waiver
from signing.keys import Algorithm
from tests.releases import NAMES, bedplate, variant, with_policy

if TYPE_CHECKING:
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

pytestmark = pytest.mark.integration

# Without a trust root of its own cosign would ask the public sigstore instance for one.
NO_TRUST_ROOT = b'{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}'
SUBJECTS = (
    LOCK,
    NAMES.uki,
    NAMES.disk,
    NAMES.root_verity,
    NAMES.root,
    INVENTORY,
    TREE,
    "policy-report.json",
    "policy-report.sarif",
    "policy.json",
    "reference-values.json",
    "report.html",
    "secure-boot/KEK.esl",
    "secure-boot/PK.esl",
    "secure-boot/db.esl",
)


def test_a_release_is_verified_by_its_key(release: Path, keyring: Path) -> None:
    key = load_trusted(keyring / "release.pub")
    verified = verify_release(release, [key])
    assert verified.key_ids == (key.key_id,)
    assert tuple(subject.name for subject in verified.files) == SUBJECTS
    assert (verified.reference.image.name, verified.reference.image.profile) == ("inference-node", "production")
    assert set(verified.reference.reference_values) == {"enabled", "disabled"}
    bound = verified.reference.reference_values["enabled"].pcrs
    assert all(bound[pcr].predictable for pcr in ("4", "7", "9", "11", "12"))


def test_the_command_verifies_a_release(release: Path, keyring: Path) -> None:
    shown = bedplate("verify", release, "--trust", keyring / "release.pub")
    assert (shown.status, shown.stderr) == (0, "")
    assert shown.stdout.startswith("verified: inference-node 1.0.0 x86-64, profile production\n")
    assert f"{len(SUBJECTS)}, every digest as signed" in shown.stdout
    packs = r"inference-node \(with data-at-rest, zero-operator-access\)"
    assert re.search(rf"  policy       {packs}: (\d+) controls, \1 passed, the same again on", shown.stdout)


def test_the_command_tells_in_json_what_it_verified(release: Path, keyring: Path) -> None:
    told = json.loads(bedplate("verify", release, "--trust", keyring / "release.pub", "--format", "json").stdout)
    assert told["verified"] is True
    assert told["image"]["version"] == "1.0.0"
    assert [file["name"] for file in told["files"]] == list(SUBJECTS)
    assert told["verdict"]["verificationResult"] == "PASSED"
    levels = ["BEDPLATE_DATA_AT_REST", "BEDPLATE_ZERO_OPERATOR_ACCESS", "OWN_INFERENCE_NODE"]
    assert told["verdict"]["verifiedLevels"] == levels
    assert told["key_ids"] == [load_trusted(keyring / "release.pub").key_id]


def test_provenance_names_the_packages_with_their_digests(release: Path, keyring: Path) -> None:
    provenance = verify_release(release, [load_trusted(keyring / "release.pub")]).provenance
    used: dict[str, list[dict[str, Any]]] = {}
    for entry in provenance["buildDefinition"]["resolvedDependencies"]:
        for area in entry["annotations"]["usedIn"]:
            used.setdefault(area, []).append(entry)
    assert set(used) == {"root", "initrd", "engine", "toolchain"}
    assert any(entry["uri"].startswith("pkg:deb/debian/llama.cpp-tools@") for entry in used["engine"])
    for area in ("root", "initrd"):
        assert all(len(entry["digest"]["sha256"]) == 64 for entry in used[area])
        assert any(entry["uri"].startswith("pkg:deb/debian/systemd@257") for entry in used[area])
    assert any(entry["uri"].startswith("pkg:deb/debian/mkosi@25") for entry in used["toolchain"])


def test_a_release_that_is_there_is_kept(release: Path, built: Path, keyring: Path) -> None:
    before = (release / NAMES.disk).stat()
    again = sign_build(built, load_keyring(keyring), Silent(), output=release)
    assert again.reused
    assert (release / NAMES.disk).stat() == before


def test_a_release_of_other_keys_is_not_written_over(release: Path, built: Path, tmp_path: Path) -> None:
    generate_keyring(tmp_path / "keys", Profile.PRODUCTION, Algorithm.ED25519)
    with pytest.raises(InvalidInputError, match="is there already, and is not the release of this build by these keys"):
        sign_build(built, load_keyring(tmp_path / "keys"), Silent(), output=release)


def test_a_build_that_was_changed_is_not_signed(built: Path, keyring: Path, tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / BUILD_RECORD).write_bytes((built / BUILD_RECORD).read_bytes())
    (tmp_path / "build" / POLICY).write_bytes((built / POLICY).read_bytes())
    (tmp_path / "build" / NAMES.disk).write_bytes(b"another disk")
    with pytest.raises(InvalidInputError, match="is not the image that was built: its digest differs"):
        sign_build(tmp_path / "build", load_keyring(keyring), Silent())


def test_a_build_whose_policy_was_changed_is_not_signed(built: Path, keyring: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    shutil.copytree(built, build)
    (build / POLICY).write_bytes(encode(settle(["development"], tmp_path)))
    with pytest.raises(InvalidInputError, match=r"policy\.json is not the policy that was built for"):
        sign_build(build, load_keyring(keyring), Silent())


def test_a_production_image_with_a_weaker_policy_is_not_signed(built: Path, keyring: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "build")
    build = with_policy(tmp_path / "build", load_record(built), settle(["development"], tmp_path))
    with pytest.raises(NotVerifiedError) as caught:
        sign_build(build, load_keyring(keyring), Silent())
    assert caught.value.problems == ("policy verdict: the image was not checked by the pack zero-operator-access",)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "build"]


def test_a_release_by_another_policy_is_not_taken_for_this_one(
    release: Path, built: Path, keyring: Path, tmp_path: Path
) -> None:
    shutil.copytree(built, tmp_path / "build")
    policy = settle(["zero-operator-access", "hardened-kernel"], tmp_path)
    build = with_policy(tmp_path / "build", load_record(built), policy)
    with pytest.raises(InvalidInputError, match="is there already, and is not the release of this build by these keys"):
        sign_build(build, load_keyring(keyring), Silent(), output=release)


def test_an_image_with_a_way_in_is_not_signed_and_every_finding_is_shown(
    built: Path, toolchain: Toolchain, keyring: Path, tmp_path: Path
) -> None:
    edits = {".cmdline": lambda text: text.rstrip(b"\0") + b" console=ttyS0 systemd.debug_shell\0"}
    unsigned = variant(built, tmp_path / "unsigned", toolchain, edits)
    shown = bedplate("sign", unsigned, "--keys", keyring)
    assert (shown.status, shown.stdout) == (1, "")
    assert "console=ttyS0" in shown.stderr
    assert "systemd.debug_shell" in shown.stderr
    assert re.search(r"^no: inference-node 1\.0\.0, \d+ controls of [a-z-]+: ", shown.stderr, re.MULTILINE)
    assert "error: the signed image of inference-node 1.0.0 does not satisfy its policy\n" in shown.stderr
    assert "deferred" not in shown.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "unsigned"]


def test_a_build_whose_waiver_has_expired_since_is_not_signed(built: Path, keyring: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "build")
    excuse = Waiver(control="ZOA-101", subject="root:/a", owner="Ada", reason="r", expires=dt.date(2026, 6, 30))
    policy = replace(settle(["zero-operator-access"], tmp_path), waivers=(excuse,))
    build = with_policy(tmp_path / "build", load_record(built), policy)
    with pytest.raises(NotVerifiedError, match=r"policy\.json has waivers that have expired") as caught:
        sign_build(build, load_keyring(keyring), Silent())
    assert caught.value.problems == ("the waiver of ZOA-101 for root:/a expired on 2026-06-30; its owner is Ada",)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["build"]


def test_the_reports_of_a_release_are_of_its_image(release: Path) -> None:
    report = json.loads((release / "policy-report.json").read_bytes())
    assert (report["passed"], report["digest"]) == (True, sha256_file(release / NAMES.disk))
    assert report["policy"] == sha256_file(release / POLICY)
    assert {result["outcome"] for result in report["results"]} == {"passed"}
    sarif = json.loads((release / "policy-report.sarif").read_bytes())
    assert sarif["version"] == "2.1.0"
    assert report["digest"] in (release / "report.html").read_text()


def development(text: bytes) -> bytes:
    return text.replace(b"VARIANT_ID=production", b"VARIANT_ID=development")


def test_a_development_release_is_refused_unless_it_is_asked_for(
    built: Path, toolchain: Toolchain, tmp_path: Path
) -> None:
    edits = {".osrel": development, ".cmdline": lambda text: text.rstrip(b"\0") + b" bedplate.profile=development\0"}
    unsigned = variant(built, tmp_path / "unsigned", toolchain, edits)
    generate_keyring(tmp_path / "keys", Profile.DEVELOPMENT, Algorithm.ED25519)
    signed = sign_build(unsigned, load_keyring(tmp_path / "keys"), Silent(), output=tmp_path / "release")
    trust = tmp_path / "keys/release.pub"
    refused = bedplate("verify", signed.directory, "--trust", trust)
    assert refused.status == 1
    assert refused.problems == ["it is a development image, which may have a way in (--allow-development)"]
    allowed = bedplate("verify", signed.directory, "--trust", trust, "--allow-development")
    assert allowed.status == 0
    assert "profile development" in allowed.stdout


def test_production_keys_do_not_sign_a_development_image(
    built: Path, toolchain: Toolchain, keyring: Path, tmp_path: Path
) -> None:
    unsigned = variant(built, tmp_path / "unsigned", toolchain, {".osrel": development})
    with pytest.raises(InvalidInputError, match="is a development image and the keys sign production images only"):
        sign_build(unsigned, load_keyring(keyring), Silent())


@pytest.mark.parametrize(
    ("edits", "problem"),
    [
        (
            {".osrel": lambda text: text.replace(b'VERSION="1.0.0"', b'VERSION="1.0.1"')},
            "its version is 1.0.1, the build record says 1.0.0",
        ),
        (
            {".osrel": lambda text: text.replace(b'ID="inference-node"', b'ID="other"')},
            "its name is other, the build record says inference-node",
        ),
    ],
    ids=["version", "name"],
)
def test_an_image_is_signed_only_as_what_it_says_it_is(
    built: Path, toolchain: Toolchain, keyring: Path, tmp_path: Path, edits: dict, problem: str
) -> None:
    unsigned = variant(built, tmp_path / "unsigned", toolchain, edits)
    with pytest.raises(NotVerifiedError, match="is not the one of its build record") as caught:
        sign_build(unsigned, load_keyring(keyring), Silent())
    assert caught.value.problems == (problem,)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "unsigned"]


def test_an_image_with_two_profiles_is_not_signed(
    built: Path, toolchain: Toolchain, keyring: Path, tmp_path: Path
) -> None:
    edits = {".cmdline": lambda text: text.rstrip(b"\0") + b" bedplate.profile=development\0"}
    unsigned = variant(built, tmp_path / "unsigned", toolchain, edits)
    with pytest.raises(InvalidInputError, match="os-release says production, the command line development"):
        sign_build(unsigned, load_keyring(keyring), Silent())


@pytest.mark.oracle
def test_sbverify_and_osslsigncode_accept_the_signed_uki(release: Path, keyring: Path, test_tools: Toolchain) -> None:
    certificate, uki = str(keyring / "secure-boot/db.crt"), str(release / NAMES.uki)
    for command in (
        ["sbverify", "--cert", certificate, uki],
        ["osslsigncode", "verify", "-CAfile", certificate, "-in", uki],
    ):
        run(test_tools.command(command, readable=[release, keyring]), timeout=60)


class Cosign:
    """Debian's cosign, with a subject of the release and one of its statements."""

    def __init__(self, tools: Toolchain, release: Path, keyring: Path, folder: Path) -> None:
        self.tools, self.release, self.keyring, self.folder = tools, release, keyring, folder
        (folder / "root.json").write_bytes(NO_TRUST_ROOT)

    def verify(self, predicate_type: str, subject: Path, *form: str) -> str:
        """What cosign says. Raises ToolFailedError if it refuses."""
        command = ["env", "COSIGN_MAX_ATTACHMENT_SIZE=1GB"]  # by default it reads no more than 128 MiB
        command += ["cosign", "verify-blob-attestation", "--key", str(self.keyring / "release.pub")]
        command += ["--type", predicate_type, "--insecure-ignore-tlog=true", *form, str(subject)]
        readable = [self.release, self.keyring, self.folder]
        return run(self.tools.command(command, readable=readable), timeout=120).stderr.decode()

    def verify_bundle(self, predicate_type: str, subject: Path) -> str:
        bundle = self.release / f"{SHORT_NAMES[predicate_type]}.sigstore.json"
        root = self.folder / "root.json"
        form = ("--new-bundle-format", "--trusted-root", str(root), "--bundle", str(bundle))
        return self.verify(predicate_type, subject, *form)

    def verify_envelope(self, predicate_type: str, subject: Path) -> str:
        """The same with the statement's own line of the release."""
        (line,) = (
            line
            for line in (self.release / "release.intoto.jsonl").read_bytes().splitlines()
            if json.loads(base64.b64decode(json.loads(line)["payload"]))["predicateType"] == predicate_type
        )
        (self.folder / "envelope.json").write_bytes(line)
        return self.verify(predicate_type, subject, "--signature", str(self.folder / "envelope.json"))


@pytest.fixture
def cosign(test_tools: Toolchain, release: Path, keyring: Path, tmp_path: Path) -> Cosign:
    return Cosign(test_tools, release, keyring, tmp_path)


@pytest.mark.oracle
@pytest.mark.parametrize("predicate_type", SHORT_NAMES, ids=SHORT_NAMES.get)
def test_cosign_accepts_every_file_by_bundle_and_by_envelope(cosign: Cosign, predicate_type: str) -> None:
    for name in SUBJECTS:
        assert "Verified OK" in cosign.verify_bundle(predicate_type, cosign.release / name)
        assert "Verified OK" in cosign.verify_envelope(predicate_type, cosign.release / name)


@pytest.mark.oracle
@pytest.mark.parametrize("predicate_type", SHORT_NAMES, ids=SHORT_NAMES.get)
def test_cosign_refuses_a_changed_file(cosign: Cosign, predicate_type: str) -> None:
    changed = cosign.folder / "db.esl"
    content = bytearray((cosign.release / "secure-boot/db.esl").read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    for verify in (cosign.verify_bundle, cosign.verify_envelope):
        with pytest.raises(ToolFailedError, match=r"digest|subject|match"):
            verify(predicate_type, changed)


@pytest.mark.oracle
def test_cosign_refuses_another_key(cosign: Cosign, tmp_path: Path) -> None:
    generate_keyring(tmp_path / "other", Profile.PRODUCTION, Algorithm.ED25519)
    other = Cosign(cosign.tools, cosign.release, tmp_path / "other", tmp_path)
    for verify in (other.verify_bundle, other.verify_envelope):
        with pytest.raises(ToolFailedError, match="signature"):
            verify(PROVENANCE, other.release / "secure-boot/db.esl")
