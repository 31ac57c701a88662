"""The key of an external account (RFC 8555 section 7.3.4): it is read in each form, and shown in none."""

import base64

import pytest

from hosts import tried
from twists import always, has_one_certificate


@pytest.mark.parametrize("key", ["a+/a" * 10, "a-_a" * 10 + "\n\n", " YWE=\r\n"])
def test_an_external_account_key_is_read_in_each_form(odd, key):
    gateway, ca = odd(issuer={"eab": {"kid": "k", "hmac_key": {"file": "hmac"}}})
    (gateway.folder / "hmac").write_text(key)
    said = gateway.apply()
    has_one_certificate(gateway, ca, said)


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
