"""A CA whose authorizations or challenges lack what a client needs: one line reports it, and the order is kept."""

import pytest

from hosts import host, tried
from twists import always, fails, gave_up, has_one_certificate, leave_out, recovers


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
    assert "the CA offers http-01 for app.test, but the CA's challenge can't be used: 'url' is missing" in said


@pytest.mark.parametrize("change, words", [
    ({"type": "dns-01"}, "the CA does not offer http-01 for app.test: only dns-01"),
    ({"token": "abcd=="}, "its token ends with '='"), ({"url": "http://ca.test/"}, "is no https URL")])
def test_an_order_without_a_usable_challenge_is_kept(odd, change, words):
    gateway, ca = odd(always("authorization", lambda answer: answer.body["challenges"][0].update(change)), validates=True)
    for _ in range(2):
        code, said = tried(gateway)
        assert code == 3 and words in said
    assert ca.new_orders == 1
    ca.twist = lambda kind, answer: None
    has_one_certificate(gateway, ca, gateway.apply(everything=True))


@pytest.mark.parametrize("change", [
    lambda answer: answer.problem("serverInternal", status=500), lambda answer: setattr(answer, "hangs_up", True),
    gave_up], ids=["500", "cut off", "504"])
def test_a_challenge_whose_answer_is_always_lost_costs_no_certificate(odd, change):
    gateway, ca = odd(always("challenge", change), validates=True)
    said = gateway.apply(everything=True)
    assert "its answer to a challenge was lost: " in said and ca.calls["challenge"] == 1
    has_one_certificate(gateway, ca, said)


def listing(*others):
    """A twist: an order's authorizations have these elements after the good one."""
    def twist(kind, answer):
        if kind in ("new-order", "order", "finalize") and "authorizations" in answer.body:
            answer.body["authorizations"] = [*answer.body["authorizations"], *others]
    return twist


@pytest.mark.parametrize("other", [None, 5, "", ["x"]])
def test_an_unreadable_authorization_does_not_hide_the_others(odd, other):
    gateway, ca = odd(listing(other), validates=True)
    said = gateway.apply(everything=True)
    line, = [line for line in said.splitlines() if "has an authorization that can't be read" in line]
    assert "warning" in line and "app.test was issued, though" in line
    has_one_certificate(gateway, ca, said)


@pytest.mark.parametrize("authorizations, words", [
    ([None], "none of them can be read: it is null"), ([5], "of the wrong type"), ([""], "it is empty"),
    (5, "the list is of the wrong type")])
def test_an_order_without_a_readable_authorization_fails_at_once_and_is_kept(odd, authorizations, words):
    def twist(kind, answer):
        if kind in ("new-order", "order"):
            answer.body["authorizations"] = authorizations

    gateway, ca = odd(twist, validates=True)
    fails(gateway, words, times=2)
    recovers(gateway, ca)
