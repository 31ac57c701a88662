"""OpenSSL 3.5 of Debian 13, used in place of the system's by programs that a test runs. scripts/unpack-debian fetches
it."""

import os
import pathlib

import pytest

_UNPACKED = pathlib.Path(".build/openssl-trixie").resolve()
_LOADER = next(_UNPACKED.glob("usr/lib/*/ld-linux-*.so.*"), None)

# The command that runs a program with OpenSSL 3.5: the loader of the newer C library that OpenSSL 3.5 needs.
WRAPPER = (str(_LOADER), "--library-path", str(_LOADER.parent)) if _LOADER else ()
# The command line tool of OpenSSL 3.5.
COMMAND = (*WRAPPER, str(_UNPACKED / "usr/bin/openssl"))

REASON = (
    "scripts/unpack-debian could not fetch OpenSSL 3.5" if not WRAPPER
    else "a sanitizer does not start by another loader" if os.environ.get("AEGIS_SANITIZER") else "")

needed = pytest.mark.skipif(bool(REASON), reason=REASON)

# The commands that run the gateway, in a test of both versions.
VERSIONS = [pytest.param((), id="the system's OpenSSL"), pytest.param(WRAPPER, id="OpenSSL 3.5", marks=needed)]
