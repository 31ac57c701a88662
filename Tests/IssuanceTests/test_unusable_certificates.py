"""A CA whose answer contains no usable certificate: it is fetched again, and not ordered again for a day."""

import contextlib
import json
import re
import sqlite3

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from hosts import nothing_is_left, rows, tried
from scripted_ca import pem
from twists import (
    NO_BASE64, UNREADABLE, always, blocks, emptied, fails, has_one_certificate, missing, only_leaf, recovers, replaced,
    warnings, without_leaf)

GARBLED = {
    "the leaf is unreadable": without_leaf(UNREADABLE),
    "all is unreadable": replaced(UNREADABLE * 2),
    "the intermediate is unreadable": only_leaf(UNREADABLE),
    "the intermediate is no base64": only_leaf(NO_BASE64),
    "the intermediate is cut off": lambda answer: setattr(answer, "body", answer.body[:-50]),
    "more certificates than a chain has": lambda answer: setattr(answer, "body", answer.body * 60),
}


@pytest.mark.parametrize("name", GARBLED)
def test_a_garbled_certificate_is_fetched_again_and_not_ordered_again(odd, name):
    gateway, ca = odd(always("certificate", GARBLED[name]))
    fails(gateway, "the CA's certificate can't be used", times=3)
    recovers(gateway, ca)


@pytest.mark.parametrize("change", [emptied, replaced(b"<html>sorry"), missing], ids=["empty", "HTML", "missing"])
def test_a_certificate_that_is_missing_for_long_is_awaited_as_the_ca_says(odd, change):
    def later(answer):
        change(answer)
        answer.status = 404 if change is missing else 202
        answer.fields["Retry-After"] = "3600"

    gateway, ca = odd(always("certificate", later))
    code, said = tried(gateway)
    assert code == 3 and "try again in 3600 s" in said and ca.calls["certificate"] == 1, said
    (wait,), = rows(gateway, "SELECT next_try_at - unixepoch() FROM renewals")
    assert 3500 < wait <= 3600
    recovers(gateway, ca)


def certificates(body):
    return [x509.load_pem_x509_certificate(one) for one in blocks(body)]


@pytest.mark.parametrize("change, form", [
    (lambda body: b"".join(one.public_bytes(Encoding.DER) for one in certificates(body)), "DER"),
    (lambda body: pkcs7.serialize_certificates(certificates(body), Encoding.DER), "PKCS #7"),
    (lambda body: pkcs7.serialize_certificates(certificates(body), Encoding.PEM), "PKCS #7"),
    (lambda body: body.decode().encode("utf-16"), "UTF-16"),
    (lambda body: json.dumps(body.decode()).encode(), "JSON"),
    (lambda body: json.dumps({"chain": body.decode()}).encode(), "JSON"),
], ids=["DER", "PKCS 7 in DER", "PKCS 7 in PEM", "UTF-16", "JSON text", "JSON object"])
def test_another_form_of_the_certificate_is_reported_at_once_and_not_ordered_again(odd, change, form):
    def other(answer):
        answer.body = change(answer.body)

    gateway, ca = odd(always("certificate", other))
    code, said = tried(gateway)
    assert code == 3 and re.search(rf"the CA's certificate can't be used: .*is {form}, not ", said), said
    assert ca.calls["certificate"] == 1 and "openssl" not in said
    recovers(gateway, ca)


def test_a_leaf_without_its_intermediate_is_fetched_again_and_not_ordered_again(odd):
    gateway, ca = odd(always("certificate", only_leaf()))
    sign = ca.intermediate.sign
    address = x509.AuthorityInformationAccess([x509.AccessDescription(
        x509.AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://ca.test/issuing.der"))])
    ca.intermediate.sign = lambda name, key, extensions: sign(name, key, [*extensions, (address, False)])
    fails(gateway, "ends before the issuing CA's certificate (http://ca.test/issuing.der)", times=3)
    recovers(gateway, ca)


def test_a_leaf_alone_is_accepted_if_the_ca_file_has_its_issuer(odd):
    gateway, ca = odd(always("certificate", only_leaf()))
    ca.ca_file.write_bytes(ca.ca_file.read_bytes() + pem(ca.intermediate.certificate))
    said = gateway.apply(everything=True)
    assert not warnings(said), said
    has_one_certificate(gateway, ca, said)


def test_a_certificate_that_stays_garbled_is_ordered_again_after_a_day(odd):
    gateway, ca = odd(always("certificate", replaced(UNREADABLE)))
    tried(gateway)
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state, state:
        state.execute("UPDATE orders SET created_at = created_at - 90000")
    tried(gateway)
    ca.twist = lambda kind, answer: None
    gateway.apply()
    assert ca.new_orders == 2
    assert nothing_is_left(gateway)
