"""OpenSSL 3.5 of Debian 13, in place of the system's own, for programs that a test runs. scripts/unpack-debian fetches it."""

import os
import pathlib

import pytest

_UNPACKED = pathlib.Path(".build/openssl-trixie").resolve()
_LOADER = next(_UNPACKED.glob("usr/lib/*/ld-linux-*.so.*"), None)

# What runs a program with it: the loader of the C library that it needs, which is newer than the system's, too.
WRAPPER = (str(_LOADER), "--library-path", str(_LOADER.parent)) if _LOADER else ()
# Its command line.
COMMAND = (*WRAPPER, str(_UNPACKED / "usr/bin/openssl"))

REASON = (
    "scripts/unpack-debian could not fetch OpenSSL 3.5" if not WRAPPER
    else "a sanitizer does not start by another loader" if os.environ.get("AEGIS_SANITIZER") else "")

needed = pytest.mark.skipif(bool(REASON), reason=REASON)

# How the gateway is run in a test that is for either version.
VERSIONS = [pytest.param((), id="the system's OpenSSL"), pytest.param(WRAPPER, id="OpenSSL 3.5", marks=needed)]
