"""A CA's alternate chains: whatever they are, the certificate is issued, and a warning says why one is not used."""

import pytest

from gateway import free_port
from hosts import age, rows, tried
from scripted_ca import Authority, pem
from test_apply import renew
from twists import UNREADABLE, emptied, followed, has_one_certificate, missing, only_leaf, replaced, warnings


def offering(*links, alternate=lambda answer: None):
    """A twist: the certificate's answer has these links, in whose targets {port} is the CA's port."""
    def twist(kind, answer):
        if kind == "certificate":
            answer.links = list(links)
        elif kind == "alternate":
            alternate(answer)
        elif kind == "silence":
            answer.stalls = True
    return twist


ALTERNATE = '<../alternate/1>; rel="alternate"'
ALTERNATES = {
    # name: (links, change of the alternate's answer, whether the alternate is used, words of the warning)
    "a relative link": ([ALTERNATE], None, True, None),
    "an absolute path": (['</alternate/1>;rel=alternate'], None, True, None),
    "a link without a scheme": (['<//localhost:{port}/alternate/1>; rel="alternate"'], None, True, None),
    "a relation in another case": (['</alternate/1>; REL="Alternate"'], None, True, None),
    "several relations": (['</alternate/1>; title="a, <b>"; rel="up alternate"'], None, True, None),
    "several links in a field": (['</directory>;rel="index", </alternate/1>; rel="alternate"'], None, True, None),
    "an unrelated certificate in it": (
        [ALTERNATE], lambda answer: setattr(answer, "body", answer.body + pem(Authority("Stranger").certificate)), True,
        "'Stranger'"),
    "plain http at the CA": (['<http://localhost:{port}/alternate/1>; rel="alternate"'], None, True, None),
    "plain http elsewhere": (['<http://localhost:{closed}/a>; rel="alternate"'], None, False, "is no https URL"),
    "no link at all": ([], None, False, "the CA offers no other chain"),
    "an empty link": (['<>; rel="alternate"'], None, False, "it is empty"),
    "HTML": (
        [ALTERNATE], replaced(b"<html>"), False,
        "the alternate chain at '../alternate/1' can't be obtained: the CA's certificate can't be used: no certificate found"),
    "ten times HTML": ([ALTERNATE] * 10, replaced(b"<html>"), False, "; and 9 more are of no use either"),
    "an unreadable block in it": ([ALTERNATE], lambda answer: followed(UNREADABLE)(answer), True, "unreadable parts"),
    "a leaf, and behind it an unreadable block": (
        [ALTERNATE], lambda answer: only_leaf(UNREADABLE)(answer), False, "can't be obtained: the CA's certificate can't"),
    "an empty body": ([ALTERNATE], emptied, False, "can't be used"),
    "another's certificate": (
        [ALTERNATE], lambda answer: setattr(answer, "body", pem(Authority("Stranger").certificate)), False, "key"),
    "a refusal": ([ALTERNATE], missing, False, "no such thing"),
    "a server that is busy": (
        [ALTERNATE], lambda answer: answer.problem("serverInternal", status=503), False, "HTTP 503"),
    "an answer that is cut off": (
        [ALTERNATE], lambda answer: setattr(answer, "hangs_up", True), False, "was closed before an answer"),
    "a server that says nothing": (
        [ALTERNATE] * 3, lambda answer: setattr(answer, "stalls", True), False, "no answer in time"),
    "a server that says nothing, before a good one": (
        ['</silence>; rel="alternate"', ALTERNATE], None, True, None),
    "a server that can't be reached": (
        ['<https://localhost:{closed}/a>; rel="alternate"'] * 3, None, False, "connection refused"),
    "a name that is none": (['<https://ca.invalid/a>; rel="alternate"'], None, False, "can't be resolved"),
    "an alternate to another root": (['</certificate/1>; rel="alternate"'], None, False, "does not lead to it"),
}


@pytest.mark.parametrize("name", ALTERNATES)
def test_an_alternate_chain_costs_no_certificate(odd, name):
    links, change, is_taken, words = ALTERNATES[name]
    gateway, ca = odd(issuer={"preferred_chain": "Root B"})
    places = {"port": ca.port, "closed": free_port()}
    filled = [link.replace("{port}", str(places["port"])).replace("{closed}", str(places["closed"])) for link in links]
    ca.twist = offering(*filled, alternate=change or (lambda answer: None))
    code, said = tried(gateway)
    assert code == 0, said
    told = warnings(said)
    assert [words in line for line in told] == [True] if words else not told, said
    (chain,), = rows(gateway, "SELECT chain FROM certificates WHERE name = 'app.test'")
    wanted = ca.alternate if is_taken else ca.intermediate
    assert pem(wanted.certificate).strip() in chain, said
    has_one_certificate(gateway, ca, said)


@pytest.mark.parametrize("renewing", ["renew", "gateway"])
def test_renewals_report_oddities_of_the_ca(odd, renewing):
    gateway, ca = odd(issuer={"preferred_chain": "Root B"})
    gateway.apply()
    words = "'app.test'" if renewing == "gateway" else "app.test"
    words += " has the CA's own chain, not preferred_chain 'Root B': the CA offers no other chain"
    if renewing == "renew":
        done = renew(gateway, "app.test", "--force")
        assert done.returncode == 0 and words in done.stdout + done.stderr
    else:
        age(gateway, "app.test")
        gateway.start()
        gateway.await_log(words)
