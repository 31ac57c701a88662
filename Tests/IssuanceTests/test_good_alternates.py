"""A CA whose own chain is faulty and that links a good one: the good one is used, and a line says so."""

import contextlib
import datetime
import sqlite3

import pytest
from cryptography import x509

from hosts import aegis_apply, rows
from scripted_ca import Authority, pem
from test_alternate_chains import ALTERNATE, offering
from test_apply import renew
from test_refused_chains import CHAINS, DAY, again, authority, foreign, leaf_of, refused_chain
from twists import UNREADABLE, has_one_certificate, only_leaf, replaced, warnings


def spoilt(change):
    """A twist: `change` spoils the CA's own chain, and the answer links the good one."""
    def twist(ca):
        def both(kind, answer):
            offering(f'</alternate/{len(ca.issued)}>; rel="alternate"')(kind, answer)
            if kind == "certificate":
                change(ca, answer)
        return both
    return twist


def intermediate_of(gateway):
    (chain,), = rows(gateway, "SELECT chain FROM certificates WHERE name = 'app.test'")
    return x509.load_pem_x509_certificates(chain)[1]


FAULTS = {
    **{what: (refused_chain(what), words) for what, (_, words) in CHAINS.items()},
    "unreadable above the leaf": (lambda ca, answer: only_leaf(UNREADABLE)(answer), "can't be used"),
    "without an intermediate": (lambda ca, answer: only_leaf()(answer), "has no intermediate"),
    "with a stranger's intermediate": (
        lambda ca, answer: only_leaf(pem(Authority("Stranger").certificate))(answer), "has no intermediate"),
    "a text in which no certificate can be read": (
        lambda ca, answer: replaced(UNREADABLE)(answer), "can't be used"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_good_alternate_chain_takes_the_place_of_a_faulty_one(odd, what):
    change, words = FAULTS[what]
    gateway, ca = odd()
    ca.twist = spoilt(change)(ca)
    said = gateway.apply(everything=True)
    assert intermediate_of(gateway) == ca.alternate.certificate, said
    line, = warnings(said)
    assert "has an alternate chain of the CA, since clients would refuse its own one: " in line and words in line, said
    has_one_certificate(gateway, ca, said)
    # Nobody has to act any more.
    aegis_apply(gateway, "status", "--check")


@pytest.mark.parametrize("what", FAULTS)
def test_a_renewal_uses_the_good_alternate_too(odd, what):
    change, _ = FAULTS[what]
    gateway, ca = odd()
    gateway.apply()
    ca.twist = spoilt(change)(ca)
    done = renew(gateway, "app.test", "--force")
    assert done.returncode == 0, done.stderr
    assert intermediate_of(gateway) == ca.alternate.certificate
    assert "since clients would refuse its own one: " in done.stderr


def test_the_preferred_one_of_two_good_alternates_is_used(odd):
    gateway, ca = odd(issuer={"preferred_chain": "Root B"})
    links = ['</first/1>; rel="alternate"', ALTERNATE]
    ca._first = lambda number, payload: ca._alternate(number, payload)
    linked = offering(*links)

    def twist(kind, answer):
        linked(kind, answer)
        if kind == "certificate":
            refused_chain("for clients alone")(ca, answer)
        if kind == "first":
            answer.body = pem(leaf_of(answer), ca.intermediate.certificate)

    ca.twist = twist
    said = gateway.apply(everything=True)
    assert intermediate_of(gateway) == ca.alternate.certificate, said
    # The configuration asks for this chain as the preferred one, so there is no warning.
    assert not warnings(said), said


def test_a_good_alternate_that_is_not_preferred_is_better_than_a_faulty_chain(odd):
    gateway, ca = odd(issuer={"preferred_chain": "Root C"})
    ca.twist = spoilt(refused_chain("for clients alone"))(ca)
    said = gateway.apply(everything=True)
    assert intermediate_of(gateway) == ca.alternate.certificate, said
    assert any("since clients would refuse its own one: " in line for line in warnings(said)), said
    assert any("not preferred_chain 'Root C'" in line for line in warnings(said)), said


@pytest.mark.parametrize("what", ["for clients alone", "with an unknown critical extension"])
def test_a_faulty_alternate_is_not_used(odd, what):
    gateway, ca = odd()

    def twist(kind, answer):
        offering(ALTERNATE)(kind, answer)
        if kind in ("certificate", "alternate"):
            refused_chain(what, ca.other_root if kind == "alternate" else None)(ca, answer)

    ca.twist = twist
    said = gateway.apply(everything=True)
    assert intermediate_of(gateway).issuer == ca.root.name, said
    assert any(CHAINS[what][1] in line for line in warnings(said)), said


def test_no_alternate_helps_a_leaf_with_a_wrong_signature(odd):
    gateway, ca = odd()
    gateway.apply()
    before = rows(gateway, "SELECT chain FROM certificates")

    def twist(kind, answer):
        offering('</alternate/2>; rel="alternate"')(kind, answer)
        if kind in ("certificate", "alternate"):
            foreign(ca, answer)

    ca.twist = twist
    assert renew(gateway, "app.test", "--force").returncode != 0
    assert rows(gateway, "SELECT chain FROM certificates") == before


# MARK: A leaf that begins later

def later(ca, leaf, ahead):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(
        ca.intermediate.name, leaf.subject, leaf.public_key(), x509.random_serial_number(), now + ahead,
        now + ahead + 90 * DAY)
    for extension in leaf.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(ca.intermediate.key, leaf.signature_hash_algorithm)


@pytest.mark.parametrize("ahead, wait", [(DAY / 24, (3000, 3400)), (3 * DAY, (86_000, 86_500))])
def test_a_leaf_that_is_not_valid_yet_is_fetched_again_when_it_is(odd, ahead, wait):
    gateway, ca = odd()
    leaves = {}

    def twist(kind, answer):
        if kind == "certificate":
            first = leaf_of(answer)
            leaf = leaves.setdefault(first.serial_number, later(ca, first, ahead))
            answer.body = pem(leaf, ca.intermediate.certificate)

    ca.twist = twist
    done = gateway.run_apply()
    assert done.returncode == 3
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "and not now" in line]
    assert len(lines) == 1 and "is this machine's clock right?" in done.stdout + done.stderr
    (left,), = rows(gateway, "SELECT next_try_at - unixepoch() FROM renewals")
    assert wait[0] <= left <= wait[1]
    # The order stays, and the certificate is fetched no more than once a try.
    assert ca.calls["certificate"] == 1 and rows(gateway, "SELECT count(*) FROM orders") == [(1,)]
    # A day later another certificate is ordered, once.
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state, state:
        state.execute("UPDATE orders SET created_at = created_at - 90000")
    assert gateway.run_apply().returncode == 3
    assert rows(gateway, "SELECT count(*) FROM orders") == [(0,)]
    ca.twist = lambda kind, answer: None
    gateway.apply()
    assert ca.new_orders == 2
