"""The lines of access logs, and a request that fills their fields."""

from client import Client
from gateway import eventually


def lines(path):
    """Waits until a log has lines, and returns them."""
    return eventually("lines in the access log", lambda: path.exists() and path.read_text().splitlines())


def ask(gateway):
    """Sends a request whose secrets contain `canary`, and returns the answer."""
    with Client(gateway.http) as client:
        client.send(
            b"GET /a?query-is-shown HTTP/1.1\r\nHost: app.test\r\nUser-Agent: \"odd\\\"\r\nReferer: http://r/\r\n"
            b"Authorization: Bearer-canary\r\nCookie: a=cookie-canary\r\nAccept: */*\r\n\r\n")
        return client.response()
