"""Chains of CAs in force that clients refuse, or will refuse: status, plans and renew report the same."""

import contextlib
import datetime
import json
import sqlite3

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from hosts import aegis_apply, host
from scripted_ca import DAY, Authority, pem
from test_apply import renew
from test_chain_status import own
from test_refused_chains import authority, leaf_of

ADDRESS = "http://ca.test/middle.der"


def put(gateway, name, chain, ends=None):
    """Puts a chain in force that an earlier version would have stored, or that has become bad with time."""
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state, state:
        state.execute("UPDATE certificates SET chain = ? WHERE name = ?", (chain, name))
        if ends:
            state.execute("UPDATE certificates SET expires_at = ? WHERE name = ?", (int(ends.timestamp()), name))


def located(subject, by, address=ADDRESS):
    """A CA's certificate that says where its issuer's certificate is."""
    now = datetime.datetime.now(datetime.timezone.utc)
    key = subject.key.public_key()
    return (x509.CertificateBuilder(by.name, subject.name, key, x509.random_serial_number(), now - DAY, now + 300 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
            .add_extension(x509.AuthorityInformationAccess([x509.AccessDescription(
                x509.AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(address))]), False)
            .sign(by.key, hashes.SHA256()))


def expired(ca, leaf):
    return pem(leaf, authority(ca, days=(-50, -1))), None


def alone(ca, leaf):
    return pem(leaf), None


def ends_first(ca, leaf):
    first = authority(ca, days=(-50, 50))
    return pem(leaf, first), first.not_valid_after_utc


def cut(ca, leaf):
    return pem(leaf, located(ca.intermediate, Authority("Middle", ca.root))), None


CHAINS = {
    "an intermediate that has expired": (expired, "has an intermediate that has expired: 'Intermediate' on 20", True),
    "a missing intermediate": (alone, "has no intermediate: clients refuse it unless they know 'Intermediate'", True),
    "an intermediate that ends before its leaf": (ends_first, "but above it 'Intermediate' ends first, on 20", False),
    "a missing second intermediate": (
        cut, f"has no certificate of 'Middle' above 'Intermediate', and this machine knows none: clients refuse it"
             f" unless they do ({ADDRESS})", False),
}


@pytest.mark.parametrize("what", CHAINS)
def test_what_is_wrong_with_a_chain_in_force_is_told_alike_by_all(odd, what):
    change, words, is_problem = CHAINS[what]
    gateway, ca = odd()
    gateway.config["hosts"].append(host("good.test"))
    gateway.apply()
    for command in (("status", "--check"), ("--dry-run", "--strict")):
        assert "app.test' has" not in aegis_apply(gateway, *command)
    leaf, = [leaf for leaf in ca.issued if "app.test" in
             leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)]
    put(gateway, "app.test", *change(ca, leaf))
    said = aegis_apply(gateway, "status", "--check", expect=3 if is_problem else 0)
    line, = [line for line in said.splitlines() if line.startswith("app.test")]
    assert f"its certificate {words}" in line or words in line, said
    row, = [row for row in json.loads(aegis_apply(gateway, "status", "--format", "json"))["hosts"]
            if row["host"] == "app.test"]
    assert words in row["problem" if is_problem else "warning"]
    # A dry run reports the fault twice: in the plan, and at the host's line of the file.
    said = aegis_apply(gateway, "--dry-run", "--strict", expect=3)
    assert "No changes" in said and said.count(f"{words}") == 2, said
    assert "warning: certificate 'app.test' " in said and "'good.test' " not in said, said
    plan = aegis_apply(gateway, "--dry-run", "--format", "json")
    warning, = json.loads(plan)["warnings"]
    assert words in warning["message"] and warning["line"] > 0
    # An apply reports the fault too, whether or not it changes something.
    assert words in gateway.apply(everything=True)
    gateway.config["hosts"].append({"domain": "plain.test", "respond": {"body": "plain"}})
    assert words in gateway.apply(everything=True)
    done = renew(gateway)
    assert done.returncode == 0 and f"  warning: certificate app.test " in done.stderr and words in done.stderr, done
    assert "good.test" not in done.stderr
    assert (words in aegis_apply(gateway, "certificates", "list")) == is_problem
    # There is no warning about a reissued certificate.
    assert renew(gateway, "app.test", "--force").returncode == 0
    aegis_apply(gateway, "status", "--check")
    assert "app.test" not in aegis_apply(gateway, "--dry-run", "--strict")


def test_a_leaf_of_a_root_in_the_ca_file_is_complete(odd):
    gateway, ca = odd()
    gateway.apply()
    leaf = ca.root.sign(x509.Name([]), ca.issued[0].public_key(), [
        (x509.SubjectAlternativeName([x509.DNSName("app.test")]), True)])
    put(gateway, "app.test", pem(leaf))
    aegis_apply(gateway, "status", "--check")
    assert "No changes" in aegis_apply(gateway, "--dry-run", "--strict")


def test_what_a_plan_reissues_anyway_is_not_warned_of(odd):
    gateway, ca = odd()
    gateway.apply()
    put(gateway, "app.test", pem(ca.issued[0]))
    gateway.config["hosts"][0]["aliases"] = ["www.app.test"]
    (gateway.folder / "aegis.yaml").write_text(json.dumps(gateway.config))
    assert "no intermediate" not in aegis_apply(gateway, "--dry-run", "--strict")


def test_a_cut_chain_of_a_ca_is_warned_of_when_it_is_issued(odd):
    middle = Authority("Middle")

    def twist(kind, answer):
        if kind == "certificate":
            answer.body = pem(leaf_of(answer), located(ca.intermediate, middle))

    gateway, ca = odd(twist)
    said = gateway.apply(everything=True)
    assert "warning: certificate app.test has no certificate of 'Middle' above 'Intermediate'" in said, said
    assert f"unless they do ({ADDRESS})" in said


@pytest.mark.parametrize("has_middle", [False, True])
def test_an_own_chain_without_its_second_intermediate_is_told_of(own, has_middle):
    root, middle, intermediate = Authority("Root"), Authority("Middle"), Authority("Issuing")
    chain = [located(intermediate, middle)] + [located(middle, root, "http://ca.test/root.der")] * has_middle
    gateway = own(intermediate, *chain)
    (gateway.folder / "system.pem").write_bytes(pem(root.certificate))
    trust = {"SSL_CERT_FILE": str(gateway.folder / "system.pem"), "SSL_CERT_DIR": "/nowhere"}
    words = "has no certificate of 'Middle' above 'Issuing', and this machine knows none"
    for _ in range(2):
        said = aegis_apply(gateway, "--dry-run", "--strict", expect=0 if has_middle else 3, **trust)
        assert (words in said) != has_middle
        assert (f"even if it is a root; it is at {ADDRESS}: if it is DER" in said) != has_middle
        said = aegis_apply(gateway, **trust)
        assert (f"certificate 'mine' {words}" in said or f"certificate mine {words}" in said) != has_middle
    said = aegis_apply(gateway, "status", "--check", **trust)
    assert (f"its certificate {words}" in said) != has_middle
