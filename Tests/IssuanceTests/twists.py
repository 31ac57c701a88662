"""What tests of CAs that deviate from the protocol share: changes of answers, and conditions that always hold."""

import urllib.parse

from hosts import nothing_is_left, rows, tried


def once(kind, change):
    """A twist of the first answer of a kind."""
    left = [kind]

    def twist(asked, answer):
        if asked in left:
            left.remove(asked)
            change(answer)

    return twist


def always(kind, change):
    return lambda asked, answer: change(answer) if asked == kind else None


def warnings(said):
    return [line for line in said.splitlines() if "warning" in line and "app.test" in line]


def has_one_certificate(gateway, ca, said):
    """Checks that the certificate was ordered once, is in force, and is not ordered again."""
    assert ca.new_orders == 1 and len(ca.issued) == 1, said
    assert rows(gateway, "SELECT name FROM certificates WHERE source = 'letsencrypt'") == [("app.test",)], said
    assert nothing_is_left(gateway), said
    assert "No changes" in gateway.apply()
    assert ca.new_orders == 1


def fails(gateway, words, times=1):
    """Applies, and expects each apply to fail with these words in its output."""
    for _ in range(times):
        code, said = tried(gateway)
        assert code == 3 and words in said, said


def recovers(gateway, ca):
    """Applies with a correct CA, and expects one certificate."""
    ca.twist = lambda kind, answer: None
    has_one_certificate(gateway, ca, gateway.apply())


def leave_out(*members):
    def change(answer):
        for member in members:
            answer.body.pop(member, None)
    return change


def gave_up(answer):
    """Answers as a proxy before the CA does when it stops waiting, while the CA still processes the request."""
    answer.problem("serverInternal", status=504)
    answer.fields["Retry-After"] = "7200"


def put(**members):
    return lambda answer: answer.body.update(members)


def relative_location(answer):
    """Makes the URL in Location relative, which HTTP allows (RFC 9110 section 10.2.2)."""
    if "Location" in answer.fields:
        answer.fields["Location"] = urllib.parse.urlsplit(answer.fields["Location"]).path


def relative(*members):
    """Makes URLs in JSON relative, which ACME does not allow."""
    def change(answer):
        for member in members:
            if isinstance(answer.body, dict) and member in answer.body:
                answer.body[member] = ".." + urllib.parse.urlsplit(answer.body[member]).path
    return change


def plain(*members):
    """Writes URLs in JSON with http, as a CA does that does not know of the proxy which ends TLS before it."""
    def change(answer):
        body = getattr(answer, "body", answer)
        for member in members:
            if isinstance(body, dict) and member in body:
                body[member] = body[member].replace("https:", "http:")
    return change


def relative_challenge(answer):
    for one in answer.body["challenges"]:
        one["url"] = urllib.parse.urlsplit(one["url"]).path


def already(answer):
    answer.problem("malformed", "the challenge was answered already")


def emptied(answer):
    answer.body = b""


def replaced(body):
    def change(answer):
        answer.body = body
    return change


def shouted(answer):
    answer.body["status"] = answer.body["status"].upper()


def beside(odd):
    """Adds an unusual challenge before the good one."""
    return lambda answer: answer.body["challenges"].insert(0, odd)


def missing(answer):
    answer.problem("malformed", "no such thing", 404)


UNREADABLE = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
NO_BASE64 = b"-----BEGIN CERTIFICATE-----\nA!A\n-----END CERTIFICATE-----\n"


def changed(change):
    """Changes the bytes of a body."""
    def twist(answer):
        answer.body = change(answer.body)
    return twist


def blocks(body):
    end = b"-----END CERTIFICATE-----\n"
    return [part + end for part in body.split(end) if part]


def followed(text):
    return lambda answer: setattr(answer, "body", answer.body + text)


def preceded(text):
    return lambda answer: setattr(answer, "body", text + answer.body)


def only_leaf(text=b""):
    """Leaves only the leaf, followed by `text`."""
    end = b"-----END CERTIFICATE-----\n"
    return lambda answer: setattr(answer, "body", answer.body.split(end)[0] + end + text)


def without_leaf(text):
    """Replaces the leaf by `text`, and keeps the certificates after it."""
    end = b"-----END CERTIFICATE-----\n"
    return lambda answer: setattr(answer, "body", text + answer.body.split(end, 1)[1])
