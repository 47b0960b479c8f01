"""What a reviewer signs, and that a verifier believes none of it that does not come out the same."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from builder.baseline.compared import compared
from builder.compare.difference import Scope
from builder.errors import InvalidInputError, NotVerifiedError
from builder.release.layout import STATEMENTS
from builder.release.statements import PAYLOAD_TYPE
from builder.review.judge import judge
from builder.review.load import parse_rules
from builder.review.statement import REVIEW, diff_digest, require_reviewers, sign_review
from signing import dsse, envelope_json, keys
from signing.signer import FileSigner
from tests.made_releases import SIGNER, Recipe
from tests.unit.cli.test_diff_gate import UPDATE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from builder.review.report import Judgement

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
RULES = parse_rules(UPDATE.encode(), "rules.yaml")
OTHER_RULES = parse_rules(f"{UPDATE}# looser\n".encode(), "rules.yaml")
STRICT = parse_rules(b"name: update\npcrs: [4]\n", "rules.yaml")
ANOTHER = "ab" * 32


def signer() -> FileSigner:
    return FileSigner.from_pem(keys.generate(keys.Algorithm.ED25519).private_pem)


REVIEWER, SECOND = signer(), signer()
TRUSTED = [REVIEWER.public_key, SECOND.public_key]


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("releases")
    old = Recipe()
    new = old.with_package("openssl", "3.5.4-1").with_file("/usr/bin/openssl", content=b"openssl 4")
    old.write(folder / "old")
    new.write(folder / "new")
    new.with_file("/usr/bin/openssl", content=b"openssl 5").write(folder / "other")
    return folder


@pytest.fixture
def judged(releases: Path) -> Callable[[Scope], Judgement]:
    return lambda scope: judge(compared(releases / "old", releases / "new", [SIGNER.public_key], scope), RULES)


@pytest.fixture
def review(judged: Callable[[Scope], Judgement]) -> bytes:
    return sign_review(judged(Scope.MANIFESTS), Scope.MANIFESTS, "0.1.0", NOW, REVIEWER)


def edited(review: bytes, edit: Callable[[dict[str, Any]], None], *signers: FileSigner) -> bytes:
    """The same statement with something else in it, signed anew."""
    statement = json.loads(envelope_json.decode(review).payload)
    edit(statement)
    return envelope_json.encode(dsse.sign(PAYLOAD_TYPE, json.dumps(statement).encode(), signers or (REVIEWER,)))


def predicate(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda statement: statement["predicate"].update(changes)


def release(side: str, **changes: Any) -> Callable[[dict[str, Any]], None]:
    def edit(statement: dict[str, Any]) -> None:
        statement["predicate"][side].update(changes)
        if side == "new" and "statements" in changes:
            statement["subject"][0]["digest"]["sha256"] = changes["statements"]

    return edit


IMAGE = {"name": "node", "version": "9.9.9", "architecture": "x86-64", "profile": "production"}


def test_a_review_binds_releases_rules_diff_and_reviewer(review: bytes, judged: Callable[[Scope], Judgement]) -> None:
    judgement = judged(Scope.MANIFESTS)
    statement = json.loads(envelope_json.decode(review).payload)
    assert statement["predicateType"] == REVIEW
    assert statement["subject"] == [
        {"name": "release.intoto.jsonl", "digest": {"sha256": judgement.diff.new.statements}}
    ]
    said = statement["predicate"]
    assert said["old"]["statements"] == judgement.diff.old.statements != said["new"]["statements"]
    assert said["rules"] == {"name": "update", "sha256": RULES.digest}
    assert (said["result"], said["scope"], said["diff"]) == ("ALLOWED", "manifests", diff_digest(judgement.diff))
    assert said["reviewer"] == REVIEWER.public_key.key_id
    assert said["finishedOn"] == "2026-03-01T12:00:00Z"


def test_a_review_is_believed_where_the_same_comes_out(review: bytes, judged: Callable[[Scope], Judgement]) -> None:
    assert require_reviewers({"a": review}, TRUSTED, 1, judged) == (REVIEWER.public_key.key_id,)


def test_a_review_does_not_depend_on_where_the_releases_lie(review: bytes, releases: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to(releases)
    paths = [tmp_path / "elsewhere" / name for name in ("old", "new")]
    trusted = [SIGNER.public_key]
    assert require_reviewers(
        {"a": review}, TRUSTED, 1, lambda scope: judge(compared(*paths, trusted, scope), RULES)
    ) == (REVIEWER.public_key.key_id,)


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (release("old", statements=ANOTHER), "it is about another old release: node 1.0.0, abab"),
        (release("new", statements=ANOTHER), "it is about another new release: node 1.0.0, abab"),
        (release("old", image=IMAGE), "it is about another old release: node 9.9.9"),
        (release("new", image=IMAGE), "it is about another new release: node 9.9.9"),
        (predicate(rules={"name": "update", "sha256": ANOTHER}), "it was made with other rules: update abab"),
        (predicate(rules={"name": "other", "sha256": RULES.digest}), "it was made with other rules: other"),
        (predicate(diff=ANOTHER), r"the diff of this scope \(manifests\) comes out otherwise here"),
        (predicate(scope="images"), r"the diff of this scope \(images\) comes out otherwise here"),
        (predicate(scope="all"), "review: Invalid enum value 'all'"),
        (predicate(result="REFUSED"), "review: Invalid enum value 'REFUSED'"),
        (predicate(reviewer=SECOND.public_key.key_id), "it names the reviewer '.*', who has not signed it"),
        (predicate(finishedOn="yesterday"), "finishedOn is 'yesterday', expected a time in UTC such as"),
        (predicate(finishedOn="9999-12-31T23:59:59Z"), "finishedOn is '9999-12-31T23:59:59Z', which is in the future"),
        (predicate(remark="fine"), "review: Object contains unknown field `remark`"),
        (lambda statement: statement["predicate"].pop("rules"), "review: Object missing required field `rules`"),
        (lambda statement: statement.update(predicateType="https://bedplate.dev/rebuild/v1"), "the predicate type"),
        (lambda statement: statement.update(_type="x"), "the statement has the type 'x'"),
        (lambda statement: statement["subject"][0].update(digest={"sha256": ANOTHER}), "its subject is not the new"),
        (lambda statement: statement["subject"].append(statement["subject"][0]), "its subject is not the new"),
        (lambda statement: statement.update(subject=[]), "the statement has no subject"),
    ],
)
def test_a_review_that_lies_is_refused(
    edit: Callable[[dict[str, Any]], None], problem: str, review: bytes, judged: Callable[[Scope], Judgement]
) -> None:
    with pytest.raises(NotVerifiedError) as raised:
        require_reviewers({"a": edited(review, edit)}, TRUSTED, 1, judged)
    assert re.search(f"^a: .*{problem}", "\n".join(raised.value.problems), re.MULTILINE), raised.value.problems


def test_a_review_of_an_unknown_key_is_refused(review: bytes, judged: Callable[[Scope], Judgement]) -> None:
    with pytest.raises(NotVerifiedError) as raised:
        require_reviewers({"a": review}, [SECOND.public_key], 1, judged)
    assert raised.value.problems[0].startswith("a: 0 of 1 trusted keys signed this envelope")


def test_what_is_no_envelope_is_refused(judged: Callable[[Scope], Judgement]) -> None:
    with pytest.raises(NotVerifiedError) as raised:
        require_reviewers({"a": b"{}"}, TRUSTED, 1, judged)
    assert raised.value.problems[0].startswith("a: this is no statement of a reviewer")


def test_another_payload_type_is_refused(review: bytes, judged: Callable[[Scope], Judgement]) -> None:
    payload = envelope_json.decode(review).payload
    other = envelope_json.encode(dsse.sign("text/plain", payload, [REVIEWER]))
    with pytest.raises(NotVerifiedError) as raised:
        require_reviewers({"a": other}, TRUSTED, 1, judged)
    expected = f"a: the statement of a reviewer has the payload type 'text/plain', expected {PAYLOAD_TYPE!r}"
    assert raised.value.problems[0] == expected


def test_no_reviews_are_too_few(judged: Callable[[Scope], Judgement]) -> None:
    with pytest.raises(NotVerifiedError) as raised:
        require_reviewers({}, TRUSTED, 1, judged)
    assert raised.value.problems == ("0 of the trusted reviewers say that they reviewed it, 1 are needed",)


def test_a_reviewer_counts_once(review: bytes, judged: Callable[[Scope], Judgement]) -> None:
    with pytest.raises(NotVerifiedError) as raised:
        require_reviewers({"a": review, "b": review}, TRUSTED, 2, judged)
    assert raised.value.problems == ("1 of the trusted reviewers say that they reviewed it, 2 are needed",)
    second = sign_review(judged(Scope.MANIFESTS), Scope.MANIFESTS, "0.1.0", NOW, SECOND)
    assert len(require_reviewers({"a": review, "b": second}, TRUSTED, 2, judged)) == 2


def test_a_bad_review_beside_enough_good_ones_is_a_mismatch(
    review: bytes, judged: Callable[[Scope], Judgement]
) -> None:
    with pytest.raises(NotVerifiedError) as raised:
        require_reviewers({"a": review, "b": edited(review, predicate(diff=ANOTHER))}, TRUSTED, 1, judged)
    assert [text[:2] for text in raised.value.problems] == ["b:"]


def test_another_release_under_the_same_name_is_not_reviewed(review: bytes, releases: Path) -> None:
    with pytest.raises(NotVerifiedError) as raised:
        require_reviewers(
            {"a": review},
            TRUSTED,
            1,
            lambda scope: judge(compared(releases / "old", releases / "other", [SIGNER.public_key], scope), RULES),
        )
    assert "it is about another new release" in raised.value.problems[0]


@pytest.mark.parametrize(
    ("rules", "problem"), [(OTHER_RULES, "it was made with other rules"), (STRICT, "does not allow")]
)
def test_a_review_by_rules_that_do_not_count_here_is_refused(
    rules: Any, problem: str, review: bytes, releases: Path
) -> None:
    with pytest.raises(NotVerifiedError) as raised:
        require_reviewers(
            {"a": review},
            TRUSTED,
            1,
            lambda scope: judge(compared(releases / "old", releases / "new", [SIGNER.public_key], scope), rules),
        )
    assert any(problem in text for text in raised.value.problems)


def test_nobody_signs_what_the_rules_refuse(releases: Path) -> None:
    judgement = judge(compared(releases / "old", releases / "new", [SIGNER.public_key], Scope.MANIFESTS), STRICT)
    with pytest.raises(NotVerifiedError, match="update does not allow what changed"):
        sign_review(judgement, Scope.MANIFESTS, "0.1.0", NOW, REVIEWER)


def test_nobody_signs_for_releases_that_nobody_signed(releases: Path) -> None:
    rules = parse_rules(f"{UPDATE}unverified: true\n".encode(), "rules.yaml")
    judgement = judge(compared(releases / "old", releases / "new", [], Scope.MANIFESTS), rules)
    assert judgement.allowed
    with pytest.raises(NotVerifiedError, match="only verified releases can be reviewed"):
        sign_review(judgement, Scope.MANIFESTS, "0.1.0", NOW, REVIEWER)


def test_who_signed_a_release_does_not_review_it(review: bytes, judged: Callable[[Scope], Judgement]) -> None:
    with pytest.raises(InvalidInputError, match="the reviewer's key signed the release itself"):
        sign_review(judged(Scope.MANIFESTS), Scope.MANIFESTS, "0.1.0", NOW, SIGNER)
    own = edited(review, predicate(reviewer=SIGNER.public_key.key_id), SIGNER)
    with pytest.raises(NotVerifiedError) as raised:
        require_reviewers({"a": own}, [SIGNER.public_key], 1, judged)
    assert "signed the release itself" in raised.value.problems[0]


def test_who_signed_a_release_too_does_not_review_it_either(releases: Path, tmp_path: Path) -> None:
    """Whom the verifier trusts with releases does not matter: a second signature is one of the release."""
    shutil.copytree(releases / "new", tmp_path / "new")
    statements = tmp_path / "new" / STATEMENTS
    both = [
        replace(
            envelope,
            signatures=(*envelope.signatures, *dsse.sign(PAYLOAD_TYPE, envelope.payload, [REVIEWER]).signatures),
        )
        for envelope in envelope_json.decode_lines(statements.read_bytes())
    ]
    statements.write_bytes(b"".join(envelope_json.encode(envelope).rstrip(b"\n") + b"\n" for envelope in both))

    def cosigned(scope: Scope) -> Judgement:
        rules = parse_rules(f"{UPDATE}keys: ['*']\n".encode(), "rules.yaml")
        return judge(compared(releases / "old", tmp_path / "new", [SIGNER.public_key], scope), rules)

    assert cosigned(Scope.MANIFESTS).allowed
    with pytest.raises(InvalidInputError, match="the reviewer's key signed the release itself"):
        sign_review(cosigned(Scope.MANIFESTS), Scope.MANIFESTS, "0.1.0", NOW, REVIEWER)
    other = sign_review(cosigned(Scope.MANIFESTS), Scope.MANIFESTS, "0.1.0", NOW, SECOND)
    assert require_reviewers({"a": other}, TRUSTED, 1, cosigned) == (SECOND.public_key.key_id,)
    own = edited(other, predicate(reviewer=REVIEWER.public_key.key_id), REVIEWER)
    with pytest.raises(NotVerifiedError) as raised:
        require_reviewers({"a": own}, TRUSTED, 1, cosigned)
    assert "signed the release itself" in raised.value.problems[0]
