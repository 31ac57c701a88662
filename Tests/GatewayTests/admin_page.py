"""Opens the admin page and does in it what people do."""

import re

from playwright.sync_api import expect

from admin_api import command, connect


def link(gateway, host="127.0.0.1"):
    text = command(gateway, "admin", "login").strip()
    assert re.fullmatch(rf"https://127\.0\.0\.1:{gateway.admin}/login/[\w-]{{43}}", text)
    return text.replace("127.0.0.1", host)


def log_in(gateway, browser, host="127.0.0.1", **options):
    """Logs in, and returns a page of the new session."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(20_000)
    page.goto(link(gateway, host))
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    return page


def session(page):
    (cookie,) = page.context.cookies()
    return cookie


def send(gateway, path, *fields, body=b"", method="POST"):
    """Sends a form, as a program that pretends to be a browser does."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{gateway.admin}", *fields, f"Content-Length: {len(body)}"]
    if body:
        lines.append("Content-Type: application/x-www-form-urlencoded")
    with connect(gateway) as client:
        return client.ask("\r\n".join(lines) + "\r\n\r\n", *([body] if body else []), method=method)


def own(gateway):
    return f"Origin: https://127.0.0.1:{gateway.admin}", "Sec-Fetch-Site: same-origin"


def token_and_cookie(page):
    return page.locator("input[name=_csrf]").first.get_attribute("value"), f"Cookie: __Host-aegis={session(page)['value']}"


def add_host(page, domain, origin):
    """Fills in the form that adds a host, and sends it."""
    page.get_by_role("link", name="Add a host").click()
    page.get_by_label("Domain").fill(domain)
    page.get_by_label("Upstreams, one URL a line").fill(f"http://127.0.0.1:{origin.port}")
    page.get_by_label("Certificate", exact=True).select_option("none")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("heading", name=domain)).to_be_visible()
