"""The admin page while a CA issues: it shows what has changed, without being loaded again."""

import sqlite3
import time

from playwright.sync_api import expect

from admin_page import log_in
from browser import browser as start_browser
from hosts import age, host, rows

LEASE = "certificate app.test"


def test_the_row_of_a_renewed_certificate_changes_by_itself(site, tmp_path):
    gateway, _ = site([host("app.test"), host("other.test")])
    gateway.apply()
    # Another machine seems to be renewing it, so that the page shows the old certificate first.
    age(gateway, "app.test")
    with sqlite3.connect(gateway.folder / "state.db") as state:
        now = int(time.time())
        state.execute("INSERT INTO leases VALUES (?, 'elsewhere another-boot 1 7 ops', ?, ?)", (LEASE, now, now + 30))
    gateway.start()
    before = rows(gateway, "SELECT fingerprint FROM certificates WHERE name = 'app.test'")
    with start_browser(tmp_path / "home", gateway.root) as browser:
        page = log_in(gateway, browser)
        page.evaluate("window.mark = 'kept'")
        row = page.get_by_role("row").filter(has=page.get_by_role("cell", name="app.test", exact=True)).first
        expect(row.get_by_role("time")).to_have_text("today")
        certificate = page.context.new_page()
        certificate.goto(page.url + row.get_by_role("link").nth(1).get_attribute("href").lstrip("/"))
        leaf = certificate.locator("dd code").first
        expect(leaf).to_have_text(before[0][0])
        certificate.evaluate("window.mark = 'kept'")
        with sqlite3.connect(gateway.folder / "state.db") as state:
            state.execute("DELETE FROM leases WHERE name = ?", (LEASE,))
        expect(leaf).not_to_have_text(before[0][0], timeout=90_000)
        expect(certificate.get_by_role("cell", name="issue certificate app.test").first).to_be_visible()
        page.bring_to_front()
        expect(row.get_by_role("time")).not_to_have_text("today")
        for each in page, certificate:
            assert each.evaluate("window.mark") == "kept", "the page was loaded again"
