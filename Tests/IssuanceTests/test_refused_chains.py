"""Certificates that clients refuse: none replaces a valid one, and none is put in force without a warning."""

import datetime
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from gateway import PROGRAMS
from hosts import rows
from scripted_ca import Authority, pem
from test_alternate_chains import ALTERNATE, offering
from test_apply import renew
from twists import warnings

DAY = datetime.timedelta(days=1)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
SIGNS_CERTIFICATES = x509.KeyUsage(False, False, False, False, False, True, False, False, False)


def authority(ca, *extensions, days=(-50, 300), root=None):
    """Another certificate for the name and key of the CA's intermediate, issued by the CA's root or by `root`."""
    now, root = datetime.datetime.now(datetime.timezone.utc), root or ca.root
    builder = x509.CertificateBuilder(
        root.name, ca.intermediate.name, ca.intermediate.key.public_key(), x509.random_serial_number(),
        now + days[0] * DAY, now + days[1] * DAY).add_extension(x509.BasicConstraints(True, None), True)
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, is_critical)
    return builder.sign(root.key, hashes.SHA256())


def again(ca, leaf, *extensions, signer=None):
    """The leaf with additional extensions, issued again by `signer`, or else by the CA's intermediate."""
    names = [(extension.value, extension.critical) for extension in leaf.extensions
             if isinstance(extension.value, x509.SubjectAlternativeName)]
    return (signer or ca.intermediate).sign(leaf.subject, leaf.public_key(), names + list(extensions))


LEAVES = {
    "for clients alone": ([(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH]), False)], "key usages"),
    "a precertificate": ([(x509.PrecertPoison(), True)], "critical extension"),
    "an unknown critical extension": ([(UNKNOWN, True)], "critical extension"),
    "a key that signs certificates alone": ([(SIGNS_CERTIFICATES, True)], "key usages"),
}
CHAINS = {
    "constrained to other names": (dict(extensions=[(x509.NameConstraints([x509.DNSName("other.test")], None), True)]), "has names"),
    "with an unknown critical extension": (dict(extensions=[(UNKNOWN, True)]), "critical extension"),
    "for clients alone": (
        dict(extensions=[(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH]), False)]), "key usages"),
    "over": (dict(days=(-50, -1)), "has expired"),
    "not begun": (dict(days=(2, 300)), "is not valid yet"),
    "over before the leaf": (dict(days=(-50, 5)), "ends before the certificate"),
}


def leaf_of(answer):
    return x509.load_pem_x509_certificates(answer.body)[0]


def refused_leaf(what):
    def change(ca, answer):
        answer.body = pem(again(ca, leaf_of(answer), *LEAVES[what][0]), ca.intermediate.certificate)
    return change


def refused_chain(what, root=None):
    settings = CHAINS[what][0]

    def change(ca, answer):
        days = settings.get("days", (-50, 300))
        answer.body = pem(leaf_of(answer), authority(ca, *settings.get("extensions", ()), days=days, root=root))
    return change


def foreign(ca, answer):
    """A leaf signed by another CA that has the intermediate's name but not its key."""
    answer.body = pem(again(ca, leaf_of(answer), signer=Authority("Intermediate", ca.root)), ca.intermediate.certificate)


REFUSED = {
    **{f"a leaf: {what}": (refused_leaf(what), words) for what, (_, words) in LEAVES.items()},
    **{f"an authority: {what}": (refused_chain(what), words) for what, (_, words) in CHAINS.items()},
    "not signed by the intermediate sent with it": (foreign, "is not signed by"),
}


def chain(gateway):
    return rows(gateway, "SELECT chain FROM certificates WHERE name = 'app.test'")


@pytest.mark.parametrize("what", REFUSED)
def test_a_good_certificate_stays_in_force(odd, what):
    change, words = REFUSED[what]
    gateway, ca = odd()
    gateway.apply(everything=True)
    good = chain(gateway)
    ca.twist = lambda kind, answer: change(ca, answer) if kind == "certificate" else None
    done = renew(gateway, "app.test", "--force")
    said = done.stdout + done.stderr
    assert done.returncode != 0 and words in said, said
    assert chain(gateway) == good
    # The certificate is renewed as soon as the CA works again.
    ca.twist = lambda kind, answer: None
    assert renew(gateway, "app.test", "--force").returncode == 0
    assert chain(gateway) != good


@pytest.mark.parametrize("what", ["over", "constrained to other names"])
def test_a_good_certificate_stays_in_force_when_its_names_change(odd, what):
    gateway, ca = odd()
    gateway.apply(everything=True)
    good = chain(gateway)
    ca.twist = lambda kind, answer: refused_chain(what)(ca, answer) if kind == "certificate" else None
    gateway.config["hosts"][0]["aliases"] = ["w.app.test"]
    done = gateway.run_apply()
    assert done.returncode == 3 and CHAINS[what][1] in done.stdout + done.stderr, done.stdout + done.stderr
    assert chain(gateway) == good
    ca.twist = lambda kind, answer: None
    assert gateway.run_apply().returncode == 0 and chain(gateway) != good


@pytest.mark.parametrize("what", LEAVES)
def test_a_leaf_that_all_clients_refuse_is_not_put_in_force(odd, what):
    gateway, ca = odd()
    ca.twist = lambda kind, answer: refused_leaf(what)(ca, answer) if kind == "certificate" else None
    done = gateway.run_apply()
    assert done.returncode == 3 and LEAVES[what][1] in done.stdout + done.stderr, done.stdout + done.stderr
    assert chain(gateway) == []


@pytest.mark.parametrize("what", [what for what in CHAINS if "over" not in what and what != "not begun"])
def test_an_only_chain_with_a_fault_is_used_with_a_lasting_warning(odd, what):
    gateway, ca = odd()
    ca.twist = lambda kind, answer: refused_chain(what)(ca, answer) if kind == "certificate" else None
    said = gateway.apply(everything=True)
    assert any(CHAINS[what][1] in line for line in warnings(said)), said
    assert len(chain(gateway)) == 1
    status = subprocess.run(
        [PROGRAMS / "aegis-apply", "status", "--check"], cwd=gateway.folder, capture_output=True, text=True)
    assert status.returncode == 3 and CHAINS[what][1] in status.stdout, status.stdout


@pytest.mark.parametrize("what", CHAINS)
def test_an_alternate_chain_worse_than_the_cas_own_is_not_used(odd, what):
    gateway, ca = odd(issuer={"preferred_chain": "Root B"})
    ca.twist = offering(ALTERNATE, alternate=lambda answer: refused_chain(what, ca.other_root)(ca, answer))
    said = gateway.apply(everything=True)
    assert x509.load_pem_x509_certificates(chain(gateway)[0][0])[1] == ca.intermediate.certificate
    assert any("has the CA's own chain, not preferred_chain 'Root B'" in line and "clients would refuse" in line
               for line in warnings(said)), said
