"""A CA whose orders are unreadable, old, slow, stale or refused: no order is placed without need or left in the state."""

import pytest

from hosts import host, nothing_is_left, rows, tried
from scripted_ca import Answer
from twists import always, emptied, fails, gave_up, has_one_certificate, leave_out, once, recovers


def test_an_unreadable_order_is_not_placed_again(odd):
    gateway, ca = odd(lambda kind, answer: emptied(answer) if kind in ("new-order", "order") else None)
    fails(gateway, "the CA's order can't be used", times=3)
    recovers(gateway, ca)


@pytest.mark.parametrize("change", [
    lambda answer: setattr(answer, "hangs_up", True), gave_up, lambda answer: answer.fields.pop("Location"),
    lambda answer: answer.fields.update(Location="http://other.test/1")],
    ids=["cut off", "504", "no Location", "odd Location"])
def test_an_order_whose_answer_is_lost_is_reported_as_lost(odd, change):
    gateway, ca = odd(once("new-order", change))
    code, said = tried(gateway)
    assert code == 3 and "hint: the CA may have placed the order; only its answer says where" in said, said
    assert rows(gateway, "SELECT url FROM orders") in ([], [(None,)], [("",)])
    assert "issued" in gateway.apply(everything=True)
    assert ca.new_orders == 2 and len(ca.issued) == 1 and nothing_is_left(gateway)


def test_an_order_is_continued_whatever_the_order_of_its_names(odd):
    gateway, ca = odd(lambda kind, answer: emptied(answer) if kind in ("new-order", "order") else None)
    gateway.config["hosts"] = [host("app.test", aliases=["b.test", "c.test"])]
    fails(gateway, "the CA's order can't be used")
    gateway.config["hosts"] = [host("app.test", aliases=["c.test", "b.test"])]
    recovers(gateway, ca)


@pytest.mark.parametrize("nonce, words", [
    ("a b+/=", "newNonce can't be used: its nonce 'a b+/=' is not base64url"), ("", "newNonce can't be used: it")])
def test_a_nonce_that_is_none_is_reported(odd, nonce, words):
    gateway, ca = odd(always("nonce", lambda answer: answer.fields.update({"Replay-Nonce": nonce})))
    fails(gateway, words)
    recovers(gateway, ca)


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
