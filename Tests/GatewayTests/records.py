"""TLS records written byte by byte (RFC 8446 section 5), for clients that break the rules."""

import ssl

from client import tls_context

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA, HEARTBEAT = 20, 21, 22, 23, 24
ENCRYPTED = -1


def record(kind, content, version=b"\x03\x03"):
    return bytes([kind]) + version + len(content).to_bytes(2, "big") + content


def records(data):
    """The complete records at the beginning of bytes, as pairs of type and content."""
    found, position = [], 0
    while position + 5 <= len(data):
        length = int.from_bytes(data[position + 3:position + 5], "big")
        if position + 5 + length > len(data):
            break
        found.append((data[position], data[position + 5:position + 5 + length]))
        position += 5 + length
    return found


def alerts(data):
    """The descriptions of the fatal alerts among records; `ENCRYPTED` for an encrypted alert. An encrypted alert is
    recognized by its length: two bytes, one for its type and 16 of the cipher's tag. No other message before the end of a
    handshake has this length."""
    found = []
    for kind, content in records(data):
        if kind == ALERT:
            assert len(content) == 2 and content[0] == 2, content
            found.append(content[1])
        elif kind == APPLICATION_DATA and len(content) == 19:
            found.append(ENCRYPTED)
    return found


def client_hello(name, versions=None, alpn=None, ciphers=None, context=None):
    """The first record of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = context or tls_context(versions=versions, alpn=alpn)
    if ciphers:
        context.set_ciphers(ciphers)
    try:
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake without an answer")


def into_records(hello, size):
    """Splits a client hello's one record into records of `size` bytes."""
    (kind, body), = records(hello)
    assert kind == HANDSHAKE and len(body) + 5 == len(hello)
    return b"".join(record(HANDSHAKE, body[at:at + size], b"\x03\x01") for at in range(0, len(body), size))


def by_bytes(data):
    return [data[at:at + 1] for at in range(len(data))]
