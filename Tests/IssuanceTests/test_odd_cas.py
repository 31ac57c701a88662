"""CAs whose answers deviate from the protocol: each host still gets one certificate with one order, and the deviation is
reported in a line."""

import pytest

from hosts import tried
from scripted_ca import Authority, pem
from twists import (
    NO_BASE64, UNREADABLE, already, always, beside, blocks, changed, emptied, followed, gave_up, has_one_certificate,
    leave_out, missing, once, only_leaf, plain, preceded, put, relative, relative_challenge, relative_location, replaced,
    shouted, warnings)


def odd_certificate_url(kind, answer):
    if kind in ("order", "finalize") and "certificate" in answer.body:
        answer.body["certificate"] += "?a|b c"


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
    "an authorization is being processed for a moment": (
        once("authorization", put(status="processing")), "authorization has a 'status' of 'processing'", {"validates": True}),
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
    "the certificate is not there for a moment": (once("certificate", missing), "called it issued before it could be downloaded", {}),
    "the certificate is empty for a moment": (once("certificate", emptied), "called it issued before it could be downloaded", {}),
    "the certificate is still on its way": (
        once("certificate", lambda answer: (emptied(answer), setattr(answer, "status", 202))),
        "called it issued before it could be downloaded", {}),
    "the certificate is HTML for a moment": (
        once("certificate", replaced(b"<html>sorry")), "called it issued before it could be downloaded", {}),
    "the certificate's server is busy for a moment": (
        once("certificate", lambda answer: answer.problem("serverInternal", status=503)), None, {}),
    "the order is not there for a moment": (once("order", missing), "order was not there at first", {}),
    "the authorization is not there for a moment": (once("authorization", missing), "authorization was not there at first", {"validates": True}),
    "valid before the certificate is set": (
        once("order", leave_out("certificate")), "valid before it said where the certificate is", {}),
    "Location is relative": (lambda kind, answer: relative_location(answer), None, {"validates": True}),
    "URLs of the directory are relative": (
        always("directory", relative("newOrder", "newNonce", "newAccount")), "the CA's directory has a relative URL", {}),
    "URLs of the order are relative": (
        lambda kind, answer: relative("finalize", "certificate")(answer), "the CA's order has a relative URL", {}),
    "a challenge's url is relative": (
        always("authorization", relative_challenge), "a challenge with a relative URL", {"validates": True}),
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
    "revokeCert is a URL of another kind": (always("directory", put(revokeCert="ftp://ca.test/")), "revokeCert", {}),
    "meta is a list": (always("directory", put(meta=["x"])), "a 'meta' that can't be read", {}),
    "a member of meta is odd": (
        always("directory", put(meta={"profiles": []})), "a 'profiles' that can't be read", {}),
    "externalAccountRequired is odd": (
        always("directory", put(meta={"externalAccountRequired": "no"})), "'externalAccountRequired' that", {}),
    "URLs of the order are over http": (
        lambda kind, answer: plain("finalize", "certificate")(answer), "the CA's order has an http URL", {}),
    "URLs of the directory are over http": (
        always("directory", plain("newOrder", "newNonce", "newAccount")), "the CA's directory has an http URL", {}),
    "a challenge's url is over http at the CA": (
        always("authorization", lambda answer: plain("url")(answer.body["challenges"][0])), "a challenge with an http URL",
        {"validates": True}),
    **{f"the certificate is refused once with {status}": (
        once("certificate", lambda answer, status=status: answer.problem("malformed", status=status)),
        "called it issued before it could be downloaded", {}) for status in (400, 401, 403, 405, 406, 410)},
    "blocks are glued": (
        always("certificate", changed(lambda body: body.replace(b"-----\n-----", b"----------"))),
        "was read, though the PEM text is malformed: line 10 ends one block and begins the next", {}),
    "the chain stands in HTML": (
        always("certificate", changed(lambda body: b"<html><pre>" + body + b"</pre></html>")),
        "was read, though the PEM text is malformed: line 1 is damaged", {}),
    "the chain is upside down": (
        always("certificate", changed(lambda body: b"".join(reversed(blocks(body))))),
        "came with its chain in another order than leaf first", {}),
    "the leaf comes twice": (always("certificate", changed(lambda body: blocks(body)[0] + body)), None, {}),
    "line ends are CR LF": (always("certificate", changed(lambda body: body.replace(b"\n", b"\r\n"))), None, {}),
    # RFC 7468 section 3 allows this line end too.
    "line ends are CR": (always("certificate", changed(lambda body: body.replace(b"\n", b"\r"))), None, {}),
    "a finalization's status is in capitals": (
        always("finalize", put(status="Valid")), "the CA's answer to a request has a 'status' written as 'Valid'", {}),
    "an account's status is in capitals": (
        always("account", shouted), "the CA's account has a 'status' written as 'VALID'", {}),
    "an unrelated certificate is in the chain": (
        always("certificate", lambda answer: setattr(
            answer, "body", answer.body + pem(Authority("Stranger").certificate))), "'Stranger'", {}),
    "all certificates of a company are in the chain": (
        always("certificate", lambda answer: setattr(answer, "body", answer.body + pem(
            *(Authority(f"Stranger {number}").certificate for number in range(25))))), "'Stranger 0'", {}),
    "the issuer comes thirty times": (
        always("certificate", changed(lambda body: body + 29 * blocks(body)[1])), None, {}),
    "the certificate's URL has characters that belong encoded": (
        odd_certificate_url, "a URL with characters that must be percent-encoded", {}),
    "an order's place has characters that belong encoded": (
        always("new-order", lambda answer: answer.fields.update(Location=answer.fields["Location"] + "?x=[1]|2")), None, {}),
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
