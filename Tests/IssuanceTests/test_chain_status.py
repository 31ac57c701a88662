"""Chains that were valid when they were stored, or will be valid: status reports when clients refuse them."""

import contextlib
import datetime
import json
import sqlite3

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import Gateway, eventually
from hosts import aegis_apply, host
from scripted_ca import DAY, Authority, pem
from test_refused_chains import LEAVES, again


def certified(authority, by, start, end):
    """A CA's certificate signed by the CA `by`. It is valid from `start` to `end`, both relative to now."""
    now = datetime.datetime.now(datetime.timezone.utc)
    key = authority.key.public_key()
    return (x509.CertificateBuilder().subject_name(authority.name).issuer_name(by.name).public_key(key)
            .serial_number(x509.random_serial_number()).not_valid_before(now + start).not_valid_after(now + end)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()), critical=False)
            .sign(by.key, hashes.SHA256()))


@pytest.fixture
def own(tmp_path):
    """Makes a gateway with an operator's certificate, from an authority with other authorities above it."""
    def make(authority, *above):
        gateway = Gateway(tmp_path / "gateway", [
            {"domain": "app.test", "ssl_mode": "custom", "certificate": "mine", "respond": {"body": "app"}}])
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = authority.sign(x509.Name([]), key.public_key(), [
            (x509.SubjectAlternativeName([x509.DNSName("app.test")]), True)])
        (gateway.folder / "own.pem").write_bytes(pem(leaf, *above))
        (gateway.folder / "own.key").write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        (gateway.folder / "own.key").chmod(0o600)
        gateway.config["certificates"] = {
            "mine": {"source": "custom", "cert": {"file": "own.pem"}, "key": {"file": "own.key"}}}
        (gateway.folder / "aegis.yaml").write_text(json.dumps(gateway.config))
        return gateway
    return make


def test_a_good_chain_is_no_problem(own):
    root, intermediate = Authority("Root"), Authority("Issuing")
    gateway = own(intermediate, certified(intermediate, root, -DAY, 365 * DAY))
    gateway.apply()
    aegis_apply(gateway, "status", "--check")


def test_an_intermediate_that_is_not_valid_yet_is_a_problem(own):
    root, intermediate = Authority("Root"), Authority("Issuing")
    gateway = own(intermediate, certified(intermediate, root, DAY, 365 * DAY))
    assert "not valid yet" in gateway.apply(everything=True)
    said = aegis_apply(gateway, "status", "--check", expect=3)
    assert "its certificate has an intermediate that is not valid yet: 'Issuing' begins on 20" in said
    assert "put another in its place in its file" in said
    words = "has an intermediate that is not valid yet"
    assert words in aegis_apply(gateway, "--dry-run", "--strict", expect=3)
    assert words in aegis_apply(gateway, "certificates", "list")


def test_an_expired_cross_sign_is_reported_until_it_is_removed(own):
    root, intermediate, old = Authority("Root"), Authority("Issuing"), Authority("Old root")
    above = certified(intermediate, root, -DAY, 365 * DAY)
    cross = certified(root, old, -DAY, datetime.timedelta(seconds=8))
    gateway = own(intermediate, above, cross)
    gateway.apply()
    words = "its certificate has an intermediate that has expired: 'Root' on 20"
    eventually("its end", lambda: words in aegis_apply(gateway, "status"))
    assert "or take it out there, and apply" in aegis_apply(gateway, "status", "--check", expect=3)
    text = (gateway.folder / "own.pem").read_bytes()
    (gateway.folder / "own.pem").write_bytes(text.replace(pem(cross), b""))
    gateway.apply()
    aegis_apply(gateway, "status", "--check")


def test_a_leaf_without_its_intermediate_is_reported_until_it_is_added(own):
    root, intermediate = Authority("Root"), Authority("Issuing")
    gateway = own(intermediate)
    words = "has no intermediate: clients refuse it unless they know 'Issuing'"
    assert words in aegis_apply(gateway, "--dry-run", "--strict", expect=3)
    # The apply that stores the chain reports it, and so does each later apply.
    assert words in gateway.apply(everything=True)
    assert words in gateway.apply(everything=True)
    said = aegis_apply(gateway, "--dry-run", "--strict", expect=3)
    assert f"certificate 'mine' {words}" in said and "No changes" in said
    assert f"its certificate {words}" in aegis_apply(gateway, "status", "--check", expect=3)
    assert words in aegis_apply(gateway, "certificates", "list")
    assert words in aegis_apply(gateway, "certificates", "show", "mine")
    with (gateway.folder / "own.pem").open("ab") as file:
        file.write(pem(certified(intermediate, root, -DAY, 365 * DAY)))
    gateway.apply()
    aegis_apply(gateway, "status", "--check")
    assert "No changes" in aegis_apply(gateway, "--dry-run", "--strict")
    assert words not in aegis_apply(gateway, "certificates", "list")


@pytest.mark.parametrize("has_root", [True, False])
def test_a_leaf_of_a_root_needs_no_intermediate_if_the_chain_has_the_root(own, has_root):
    root = Authority("Private root")
    gateway = own(root, *[root.certificate] * has_root)
    said = aegis_apply(gateway, "--dry-run", "--strict", expect=0 if has_root else 3)
    assert ("has no intermediate: clients refuse it unless they know 'Private root'" in said) != has_root
    assert ("even if it is a root" in said) != has_root


@pytest.mark.parametrize("what", ["an intermediate", "a root"])
def test_certificates_left_out_at_the_end_of_a_chain_are_reported(own, what):
    root, middle, intermediate = Authority("Root"), Authority("Middle"), Authority("Issuing")
    ended = certified(middle, root, -9 * DAY, -DAY) if what == "an intermediate" else \
        certified(middle, middle, -9 * DAY, -DAY)
    gateway = own(intermediate, certified(intermediate, middle, -DAY, 365 * DAY), ended)
    words = "is shown without 'Middle' at the end of its chain, which has expired on 20" \
        if what == "an intermediate" else "leads to a root that has expired: 'Middle' on 20"
    assert words in aegis_apply(gateway, "--dry-run", "--strict", expect=3)
    assert words in gateway.apply(everything=True)
    assert words in aegis_apply(gateway, "--dry-run", "--strict", expect=3)
    # Most clients know another certificate in place of the missing one, so nobody has to act at once.
    thing = "'Middle'" if what == "an intermediate" else "root 'Middle'"
    note = f"its certificate is shown without {thing} at the end of its chain: clients that know no other certificate"
    assert note in aegis_apply(gateway, "status", "--check")
    host_, = json.loads(aegis_apply(gateway, "status", "--format", "json"))["hosts"]
    assert note in host_["warning"] and host_["problem"] is None
    text = (gateway.folder / "own.pem").read_bytes()
    (gateway.folder / "own.pem").write_bytes(text.replace(pem(ended), pem(certified(middle, root, -DAY, 365 * DAY))))
    # The file has changed since the apply, so it says nothing about the chain in force.
    assert note not in aegis_apply(gateway, "status")
    gateway.apply()
    assert note not in aegis_apply(gateway, "status")
    aegis_apply(gateway, "status", "--check")
    assert "No changes" in aegis_apply(gateway, "--dry-run", "--strict")


@pytest.mark.parametrize("what", LEAVES)
def test_a_leaf_in_force_that_clients_refuse_is_a_problem(odd, what):
    gateway, ca = odd()
    gateway.config["hosts"].append(host("bad.test"))
    gateway.apply()
    aegis_apply(gateway, "status", "--check")
    # The chain as an earlier version would have stored it.
    bad, = [leaf for leaf in ca.issued if "bad.test" in
            leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)]
    extensions, words = LEAVES[what]
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state, state:
        state.execute("UPDATE certificates SET chain = ? WHERE name = 'bad.test'", (
            pem(again(ca, bad, *extensions), ca.intermediate.certificate),))
    said = aegis_apply(gateway, "status", "--check", expect=3)
    line, = [line for line in said.splitlines() if line.startswith("bad.test")]
    assert "its certificate is one that clients refuse: " in line and words in line, said
    line, = [line for line in said.splitlines() if line.startswith("app.test")]
    assert "refuse" not in line, said
    assert "'aegis-apply renew bad.test --force' asks for another" in said
    assert words in aegis_apply(gateway, "certificates", "list")
    assert words in aegis_apply(gateway, "certificates", "show", "bad.test")
    # A leaf alone, without its chain, is judged too.
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state, state:
        state.execute("UPDATE certificates SET chain = ? WHERE name = 'bad.test'", (
            pem(again(ca, bad, *extensions)),))
    assert words in aegis_apply(gateway, "status", "--check", expect=3)
