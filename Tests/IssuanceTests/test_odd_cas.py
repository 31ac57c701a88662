"""CAs whose answers deviate from the protocol: each host still gets one certificate with one order, and the deviation is
reported in a line."""

import base64
import contextlib
import sqlite3

import pytest
from cryptography import x509

from hosts import host, nothing_is_left, rows
from scripted_ca import Answer, Authority, pem
from test_faults import tried
from twists import (
    NO_BASE64, UNREADABLE, already, always, beside, emptied, followed, gave_up, has_one_certificate, leave_out, missing,
    once, only_leaf, preceded, put, relative, replaced, shouted, warnings, without_leaf)

ODD = {
    # name: (twist, words of the warning, options)
    "authorizations are null once ready": (always("order", put(authorizations=None)), "'authorizations'", {}),
    "an order's place is one where nobody answers": (
        always("new-order", lambda answer: answer.fields.update(Location="https://localhost:1/order/1")),
        "the CA's order can't be read at 'https://localhost:1/order/1'", {}),
    "an order's place is over http": (
        always("new-order", lambda answer: answer.fields.update(
            Location=answer.fields["Location"].replace("https:", "http:"))), None, {}),
    "a failed challenge stands before the pending one": (
        always("authorization", lambda answer: answer.body["challenges"].insert(
            0, {**answer.body["challenges"][0], "status": "invalid", "url": answer.body["challenges"][0]["url"] + "9"})),
        None, {"validates": True}),
    "an authorization's name ends with a dot": (
        always("authorization", put(identifier={"type": "dns", "value": "app.test."})), None,
        {"validates": True}),
    "authorizations are absent once ready": (
        always("order", leave_out("authorizations")), "the CA's order has no 'authorizations' that can be used", {}),
    "authorizations are of the wrong type": (always("order", put(authorizations="none")), "'authorizations'", {}),
    "authorizations are absent while pending": (
        always("order", leave_out("authorizations")), "'authorizations'", {"validates": True}),
    "identifiers are absent": (always("order", leave_out("identifiers")), "'identifiers'", {}),
    "finalize is absent": (always("order", leave_out("finalize")), "'finalize'", {}),
    "finalize is empty": (always("order", put(finalize="")), "'finalize'", {}),
    "a new order has no identifiers": (always("new-order", leave_out("identifiers")), "'identifiers'", {}),
    "a new order's answer is empty": (always("new-order", emptied), "the CA's order can't be used: it is no JSON", {}),
    "a new order's answer is HTML": (always("new-order", replaced(b"<html>")), "the CA's order can't be used: it is no", {}),
    "a new order's answer is a list": (always("new-order", replaced([])), "the CA's order can't be used: it is of the", {}),
    "a new order has no status": (
        always("new-order", leave_out("status")), "the CA's order can't be used: 'status' is missing", {}),
    "an order's status is in capitals": (always("order", shouted), "order has a 'status' written as 'VALID'", {}),
    "an order's status is absent once valid": (
        always("order", leave_out("status")), "order has a 'status' that is missing", {}),
    "an authorization's status is in capitals": (
        always("authorization", shouted), "authorization has a 'status' written as 'PENDING'", {"validates": True}),
    "an authorization's status is absent": (
        always("authorization", leave_out("status")), "authorization has a 'status' that is missing", {"validates": True}),
    "an authorization's identifier is absent": (
        always("authorization", leave_out("identifier")), "authorization has no 'identifier'", {"validates": True}),
    "an authorization's identifier is odd": (
        always("authorization", put(identifier=7)), "authorization has no 'identifier'", {"validates": True}),
    "an authorization's wildcard is odd": (always("authorization", put(wildcard="no")), None, {"validates": True}),
    "a challenge is null": (always("authorization", beside(None)), "can't be read: it is null", {"validates": True}),
    "a challenge is a number": (always("authorization", beside(5)), "can't be read: it is of the", {"validates": True}),
    "a challenge has no type": (always("authorization", beside({})), "'type' is missing", {"validates": True}),
    "a challenge has no url": (
        always("authorization", beside({"type": "http-01", "token": "a"})), "'url' is missing", {"validates": True}),
    "a challenge's url is over http": (
        always("authorization", beside({"type": "dns-01", "token": "a", "url": "http://ca.test/"})),
        "is no https URL", {"validates": True}),
    "a challenge's type is in capitals": (
        always("authorization", lambda answer: answer.body["challenges"][0].update(type="HTTP-01")), None,
        {"validates": True}),
    "a challenge's status is absent": (
        always("authorization", lambda answer: answer.body["challenges"][0].pop("status")),
        "a challenge without a 'status'", {"validates": True}),
    "expires and error are odd": (always("order", put(expires=7, error="none")), "no 'error', 'expires' that", {}),
    "the certificate is not there for a moment": (once("certificate", missing), "certificate was not there at first", {}),
    "the certificate is empty for a moment": (once("certificate", emptied), "certificate was not there at first", {}),
    "the certificate is still on its way": (
        once("certificate", lambda answer: (emptied(answer), setattr(answer, "status", 202))),
        "certificate was not there at first", {}),
    "the certificate is HTML for a moment": (
        once("certificate", replaced(b"<html>sorry")), "certificate was not there at first", {}),
    "the certificate's server is busy for a moment": (
        once("certificate", lambda answer: answer.problem("serverInternal", status=503)), None, {}),
    "the order is not there for a moment": (once("order", missing), "order was not there at first", {}),
    "the authorization is not there for a moment": (once("authorization", missing), "authorization was not there at first", {"validates": True}),
    "valid before the certificate is set": (
        once("order", leave_out("certificate")), "valid before it said where the certificate is", {}),
    "references are relative": (lambda kind, answer: relative(answer), None, {"validates": True}),
    "a challenge's answer is empty": (always("challenge", emptied), "answer to a challenge can't be used", {"validates": True}),
    "a challenge's answer is odd": (
        always("challenge", replaced(b"<html>thanks")), "challenge can't be used: it is no JSON", {"validates": True}),
    "a challenge is refused as answered already": (
        always("challenge", already), "refused a request that it had already accepted: the CA refuses (HTTP 400): urn:ietf:params:acme:error:malformed: the challenge", {"validates": True}),
    "a finalization's answer is empty": (always("finalize", emptied), "request can't be used", {}),
    "a finalization's answer is odd": (always("finalize", replaced([1])), "request can't be used", {}),
    "a finalization is refused as done already": (
        always("finalize", lambda answer: answer.problem("malformed", "finalized already")),
        "finalized already", {}),
    "a finalization is refused as unauthorized": (
        always("finalize", lambda answer: answer.problem("unauthorized", "done", 403)),
        "unauthorized: done", {}),
    "a finalization is accepted, and a server before the CA gives up": (
        always("finalize", gave_up), "answer to its request was lost: the CA refuses (HTTP 504)", {}),
    "a finalization is accepted, and the answer is lost": (
        always("finalize", lambda answer: setattr(answer, "hangs_up", True)), "answer to its request was lost: ", {}),
    "an account's answer is empty": (always("account", emptied), "account can't be used", {}),
    "an account's status is odd": (always("account", put(status=[])), "'status' is of the wrong type", {}),
    "keyChange is empty": (always("directory", put(keyChange="")), "keyChange", {}),
    "revokeCert is over http": (always("directory", put(revokeCert="http://ca.test/")), "revokeCert", {}),
    "meta is a list": (always("directory", put(meta=["x"])), "a 'meta' that can't be read", {}),
    "a member of meta is odd": (
        always("directory", put(meta={"profiles": []})), "a 'profiles' that can't be read", {}),
    "externalAccountRequired is odd": (
        always("directory", put(meta={"externalAccountRequired": "no"})), "'externalAccountRequired' that", {}),
    "an unrelated certificate is in the chain": (
        always("certificate", lambda answer: setattr(
            answer, "body", answer.body + pem(Authority("Stranger").certificate))), "'Stranger'", {}),
    "a block that is no certificate ends the chain": (
        always("certificate", followed(UNREADABLE)), "came with unreadable parts, which are left out: the ", {}),
    "a block that is no base64 ends the chain": (
        always("certificate", followed(NO_BASE64)), "came with unreadable parts, which are left out: the ", {}),
    "a block that is no certificate begins the chain": (
        always("certificate", preceded(UNREADABLE)), "came with unreadable parts, which are left out: the ", {}),
    "the leaf comes alone": (
        always("certificate", only_leaf()), "has no intermediate: clients refuse it unless they know 'Intermediate'", {}),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_costs_no_certificate(odd, name):
    twist, words, options = ODD[name]
    gateway, ca = odd(twist, **options)
    code, said = tried(gateway)
    assert code == 0, said
    told = warnings(said)
    assert [words in line for line in told] == [True] if words else not told, said
    has_one_certificate(gateway, ca, said)


# MARK: Answers that prevent a certificate for now

def fails(gateway, words, times=1):
    """Applies, and expects each apply to fail with these words in its output."""
    for _ in range(times):
        code, said = tried(gateway)
        assert code == 3 and words in said, said


def recovers(gateway, ca):
    """Applies with a correct CA, and expects one certificate."""
    ca.twist = lambda kind, answer: None
    has_one_certificate(gateway, ca, gateway.apply())


GARBLED = {
    "the leaf is unreadable": without_leaf(UNREADABLE),
    "all is unreadable": replaced(UNREADABLE * 2),
    "the intermediate is unreadable": only_leaf(UNREADABLE),
    "the intermediate is no base64": only_leaf(NO_BASE64),
    "the intermediate is cut off": lambda answer: setattr(answer, "body", answer.body[:-50]),
    "more certificates than a chain has": lambda answer: setattr(answer, "body", answer.body * 30),
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


def two_names(odd, twist):
    gateway, ca = odd(twist, validates=True)
    gateway.config["hosts"] = [host("app.test", aliases=["www.app.test"])]
    return gateway, ca


def test_a_nameless_authorization_is_for_the_remaining_name(odd):
    gateway, ca = two_names(odd, lambda kind, answer: None)
    authorization = ca._authorization

    def nameless(number, place, payload):
        answer = authorization(number, place, payload)
        if place == "0":
            del answer.body["identifier"]
        return answer

    ca._authorization = nameless
    said = gateway.apply(everything=True)
    assert "authorization has no 'identifier' that can be read" in said
    has_one_certificate(gateway, ca, said)


def test_ambiguous_authorizations_are_refused(odd):
    gateway, ca = two_names(odd, always("authorization", leave_out("identifier")))
    fails(gateway, "it does not say which name it is for")
    recovers(gateway, ca)


def test_an_unusable_only_challenge_of_its_type_is_reported(odd):
    gateway, ca = odd(always("authorization", lambda answer: answer.body["challenges"][0].pop("url")), validates=True)
    code, said = tried(gateway)
    assert code == 3, said
    assert "does not offer http-01 for app.test: only http-01 (the CA's challenge can't be used: 'url' is missing)" in said


def test_an_unreadable_order_is_not_placed_again(odd):
    gateway, ca = odd(lambda kind, answer: emptied(answer) if kind in ("new-order", "order") else None)
    fails(gateway, "the CA's order can't be used", times=3)
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


def test_a_slow_ca_gets_no_second_order(odd):
    gateway, ca = odd()
    issue, asked = ca.issue, []
    ca.issue = lambda order, number, key: asked.append((order, number, key))
    fails(gateway, "the CA has not come to an end with issuing")
    assert len(asked) == 5
    # By now the CA has issued the certificate.
    ca.issue = issue
    ca.issue(*asked[0])
    said = gateway.apply()
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


def test_an_old_order_for_another_key_is_not_used_and_not_requested_endlessly(odd):
    gateway, ca = odd()
    gateway.apply()
    former = rows(gateway, "SELECT fingerprint FROM certificates")

    def twist(kind, answer):
        if kind == "new-order":
            # Answers with the first order, in place of the new one.
            answer.body, answer.status = dict(ca.orders[1]), 200
            answer.fields["Location"] = ca.url("order/1")

    ca.twist = twist
    gateway.config["hosts"].append(host("other.test"))
    for number in (1, 2):
        code, said = tried(gateway)
        assert code == 3, said
        assert "certificate other.test: issue failed: the CA gives an old order back" in said
        assert "another key" in said
        # Each apply places one order and another one in its place, and leaves none in the state.
        assert ca.calls["new-order"] == 1 + 2 * number
        assert nothing_is_left(gateway)
    assert rows(gateway, "SELECT fingerprint FROM certificates") == former
    ca.twist = lambda kind, answer: None
    gateway.apply()
    assert rows(gateway, "SELECT count(*) FROM certificates") == [(2,)]


def test_an_old_order_for_another_key_is_got_over_by_a_new_one_within_the_same_run(odd):
    gateway, ca = odd()
    gateway.apply()
    given = []

    def twist(kind, answer):
        if kind == "new-order" and not given:
            given.append(answer.fields["Location"])
            answer.body, answer.status = dict(ca.orders[1]), 200
            answer.fields["Location"] = ca.url("order/1")

    ca.twist = twist
    gateway.config["hosts"].append(host("other.test"))
    assert "other.test was issued, though the CA first gave back an old order" in gateway.apply(everything=True)
    assert given and ca.calls["new-order"] == 3 and nothing_is_left(gateway)
    assert rows(gateway, "SELECT count(*) FROM certificates") == [(2,)]


def test_after_a_refused_request_the_order_works_with_other_settings(odd):
    gateway, ca = odd(lambda kind, answer: None)
    issue = ca.issue
    ca.issue = lambda order, number, key: None
    ca.twist = always("finalize", lambda answer: answer.problem("badCSR", "no such keys here"))
    fails(gateway, "no such keys here")
    ca.twist, ca.issue = lambda kind, answer: None, issue
    gateway.config["issuers"]["letsencrypt"]["key_type"] = "ecdsa-p384"
    said = gateway.apply()
    assert len(ca.issued) == 1 and ca.issued[0].public_key().curve.name == "secp384r1", said
    assert nothing_is_left(gateway)


def test_one_stale_answer_about_an_order_costs_no_certificate(odd):
    """The CA issues but refuses the request, and its next answer shows the order in its former state."""
    refused = []

    def twist(kind, answer):
        if kind == "finalize":
            answer.problem("orderNotReady", "not ready", 403)
            refused.append(answer)
        elif kind == "order" and refused:
            refused.clear()
            answer.body["status"] = "ready"
            del answer.body["certificate"]

    gateway, ca = odd(twist)
    code, said = tried(gateway)
    assert code == 3 and "orderNotReady" in said, said
    ca.twist = lambda kind, answer: None
    has_one_certificate(gateway, ca, gateway.apply())


@pytest.mark.parametrize("error, words", [
    ({"type": "urn:ietf:params:acme:error:caa", "detail": "not by us"}, "caa: not by us"), (None, "it does not say why"),
])
def test_an_order_that_fails_behind_a_proxys_timeout_is_reported_with_its_reason(odd, error, words):
    def twist(kind, answer):
        if kind == "finalize":
            order, = ca.orders.values()
            order.update(status="invalid", **({"error": error} if error else {}))
            del order["certificate"]
            gave_up(answer)

    gateway, ca = odd(twist)
    code, said = tried(gateway)
    assert code == 3, said
    line, = [line for line in said.splitlines() if "issue failed" in line]
    assert words in line and "the answer to its request was lost: the CA refuses (HTTP 504)" in line
    assert ca.calls["finalize"] == 1 and nothing_is_left(gateway)


def test_a_certificate_request_is_repeated_while_its_order_is_ready(odd):
    """The CA has not processed the failed requests."""
    gateway, ca = odd()
    carry_out, failed = ca._finalize, []

    def finalize(number, payload):
        if not failed:
            failed.append(number)
            answer = Answer()
            answer.problem("serverInternal", status=503)
            return answer
        return carry_out(number, payload)

    ca._finalize = finalize
    has_one_certificate(gateway, ca, gateway.apply())
    assert ca.calls["finalize"] == 2


def test_an_order_without_finalize_is_placed_again_once(odd):
    gateway, ca = odd(lambda kind, answer: leave_out("finalize")(answer) if kind in ("order", "new-order") else None)
    fails(gateway, "'finalize' is missing")
    assert nothing_is_left(gateway) and ca.new_orders == 1


def test_a_warning_shows_no_secret_that_a_ca_quotes(odd):
    secret = "cGxhbnRlZC1zZWNyZXQ="
    # CAs know the key as the bytes that the text encodes.
    meant = base64.b64decode(secret)
    detail = f"got {secret} and {base64.b64encode(secret.encode()).decode()}, {meant.decode()}, {meant.hex()}"
    gateway, ca = odd(always("finalize", lambda answer: answer.problem("malformed", detail)),
                      issuer={"eab": {"kid": "k", "hmac_key": {"file": "hmac"}}})
    (gateway.folder / "hmac").write_text(secret + "\n")
    code, said = tried(gateway)
    assert code == 0 and "malformed: got **** and ****, ****, ****" in said, said


@pytest.mark.parametrize("key", ["a+/a" * 10, "a-_a" * 10 + "\n\n", " YWE=\r\n"])
def test_an_external_account_key_is_read_in_each_form(odd, key):
    gateway, ca = odd(issuer={"eab": {"kid": "k", "hmac_key": {"file": "hmac"}}})
    (gateway.folder / "hmac").write_text(key)
    said = gateway.apply()
    has_one_certificate(gateway, ca, said)


@pytest.mark.parametrize("change", [{"type": "dns-01"}, {"token": "abcd=="}, {"url": "http://ca.test/"}])
def test_an_order_without_a_usable_challenge_is_kept(odd, change):
    gateway, ca = odd(always("authorization", lambda answer: answer.body["challenges"][0].update(change)), validates=True)
    for _ in range(2):
        code, said = tried(gateway)
        assert code == 3 and "the CA does not offer http-01 for app.test" in said
    assert ca.new_orders == 1
    ca.twist = lambda kind, answer: None
    has_one_certificate(gateway, ca, gateway.apply(everything=True))
