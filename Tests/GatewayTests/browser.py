"""A browser that trusts a gateway's local CA."""

import contextlib
import os
import subprocess

from playwright.sync_api import sync_playwright


@contextlib.contextmanager
def browser(home, root):
    """Starts Chromium with a store of certificates of its own below `home`, in which `root` is trusted."""
    store = f"sql:{home}/.pki/nssdb"
    (home / ".pki/nssdb").mkdir(parents=True)
    subprocess.run(["certutil", "-d", store, "-N", "--empty-password"], check=True)
    subprocess.run(["certutil", "-d", store, "-A", "-t", "C,,", "-n", "aegis", "-i", root], check=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", env={**os.environ, "HOME": str(home)})
        yield chromium
        chromium.close()
