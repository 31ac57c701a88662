"""CAs whose chains contain an expired certificate. If a renewed certificate with the same key exists, clients get that
one. Otherwise the chain is reported, and the certificate is not ordered again and again."""

import sqlite3
from types import SimpleNamespace

import pytest
from cryptography import x509

from authority import Holder, pem
from test_apply import renew
from twists import warnings

EXPIRED, RENEWED, SHORT = (-40, -1), (-1, 300), (-40, 20)


def intermediate(ca, days):
    """A certificate like the CA's intermediate, with another validity: `days` from now."""
    root = SimpleNamespace(subject=ca.root.name, key=ca.root.key)
    return Holder("Intermediate", root, is_ca=True, days=days, key=ca.intermediate.key).certificate


def showing(forms):
    """A twist: these certificates, in this order, take the place of the CA's intermediate."""
    def twist(kind, answer):
        if kind == "certificate":
            leaf = x509.load_pem_x509_certificates(answer.body)[0]
            answer.body = pem(leaf, *forms)
    return twist


def stored(gateway):
    """The stored chain, and its end in seconds since 1970."""
    with sqlite3.connect(gateway.folder / "state.db") as state:
        chain, end = state.execute("SELECT chain, expires_at FROM certificates WHERE name = 'app.test'").fetchone()
    return x509.load_pem_x509_certificates(chain), end


def test_the_renewed_intermediate_is_sent_not_the_expired_one(odd):
    forms = []
    gateway, ca = odd(showing(forms))
    forms += [intermediate(ca, EXPIRED), intermediate(ca, SHORT), intermediate(ca, RENEWED)]
    said = gateway.apply(everything=True)
    assert not warnings(said), said
    chain, end = stored(gateway)
    assert chain[1:] == [forms[2]]
    assert end == chain[0].not_valid_after_utc.timestamp()


def test_an_expired_chain_is_reported_and_not_ordered_endlessly(odd):
    forms = []
    gateway, ca = odd(showing(forms))
    forms.append(intermediate(ca, EXPIRED))
    said = gateway.apply(everything=True)
    assert any("has an intermediate that has expired: 'Intermediate' on 20" in line for line in warnings(said)), said
    chain, end = stored(gateway)
    assert chain[1:] == forms and end == forms[0].not_valid_after_utc.timestamp()
    # The new certificate is due at once, yet is not renewed for six hours.
    assert "No changes" in gateway.apply()
    renew(gateway)
    assert ca.new_orders == 1
    # When the CA has corrected its chain, the next renewal stores the correct one.
    forms[:] = [intermediate(ca, RENEWED)]
    said = renew(gateway, "app.test", "--force")
    assert stored(gateway)[1] == stored(gateway)[0][0].not_valid_after_utc.timestamp(), said


@pytest.mark.parametrize("days", [EXPIRED, (1, 300)])
def test_an_invalid_cross_sign_is_left_out_with_a_note(odd, days):
    above = []
    gateway, ca = odd(showing(above))
    other = SimpleNamespace(subject=ca.other_root.name, key=ca.other_root.key)
    cross = Holder("Root A", other, is_ca=True, days=days, key=ca.root.key).certificate
    above += [ca.intermediate.certificate, cross]
    said = gateway.apply(everything=True)
    assert ["is shown without 'Root A' at the end of its chain, which " in line for line in warnings(said)] == [True], said
    chain, end = stored(gateway)
    assert chain[1:] == above[:1]
    assert end == min(one.not_valid_after_utc.timestamp() for one in chain)
    assert "No changes" in gateway.apply()


def test_an_intermediate_that_ends_before_its_leaf_makes_the_leaf_due_earlier(odd):
    forms = []
    gateway, ca = odd(showing(forms))
    forms.append(intermediate(ca, SHORT))
    said = gateway.apply(everything=True)
    assert any("but above it 'Intermediate' ends first" in line for line in warnings(said)), said
    assert stored(gateway)[1] == forms[0].not_valid_after_utc.timestamp()
