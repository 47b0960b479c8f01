"""Certificates whose parts the library reads only when asked, and then not."""

from __future__ import annotations

from cryptography.hazmat.primitives.serialization import Encoding

from signing.certificate import load_certificate, name
from tests.unit.signing.test_chain import certificate

UTF8_STRING, BIT_STRING = b"\x0c", b"\x03"


def test_a_subject_that_cannot_be_read_is_named_by_the_serial_number() -> None:
    whole = certificate("leaf", "root").public_bytes(Encoding.DER)
    strange = whole.replace(UTF8_STRING + b"\x04leaf", BIT_STRING + b"\x04leaf")
    assert strange != whole
    assert name(load_certificate(whole, "it")) == "'CN=leaf'"
    assert name(load_certificate(strange, "it")) == "with the serial number 1"
