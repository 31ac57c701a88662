"""Kills gateways during changes by the admin API, at one system call after another."""

import contextlib
import os
import sqlite3

import pytest

from admin_api import ask
from client import BrokenTransfer
from gateway import PATIENCE
from process import traced

LONG = bool(os.environ.get("AEGIS_LONG"))

# The system calls of a gateway at which it is killed: `every` is the distance between two places.
EACH_CALL = pytest.mark.parametrize("call, every", [("fdatasync", 1), ("pwrite64", 9)])


class Change:
    """A change that a gateway is killed in. `prepare` makes what it needs; `request` sends it with an Idempotency-Key;
    `holds` checks what must be true afterwards, whatever has happened."""

    # The item that it changes, as the list of events takes it; None while that is not known.
    item = None
    # Whether `holds` is false until the change was made.
    shows = True

    def __init__(self, gateway, name):
        self.gateway, self.name = gateway, name
        self.key = f"Idempotency-Key: {name}"
        self.prepare()

    def prepare(self):
        pass

    def is_about(self, event):
        """Whether an event of the change's action, by the test's token, may be this change's."""
        return event["item"] == self.item

    def lasting(self, answer):
        """The part of an answer that a repeated request gets too."""
        return answer.status, answer.body

    def count(self):
        """How often the change was made, by the events."""
        item = f"&item={self.item}" if self.item else ""
        events = ask(self.gateway, f"/api/v1/events?limit=1000{item}", self.gateway.writer).json["items"]
        return len([event for event in events if event["action"] == self.action and event["actor"] == "token:writer"
                    and self.is_about(event)])


def kill_during(gateway, kind, call, every):
    """Kills the gateway at each place of a change where it makes a system call. What was answered is there, and what was
    not is whole or absent. A client that repeats its request gets what it asked for, once. Returns how many changes were
    made."""
    kills = made = 0
    for place in range(1, 400, 1 if LONG else every):
        change = kind(gateway, f"k{place}.test")
        before = change.count()
        answer = None
        with traced(gateway.process.pid, "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={place}"):
            with contextlib.suppress(OSError, BrokenTransfer):
                answer = change.request()
        died = answer is None or not gateway.is_alive()
        if died:
            kills += 1
            gateway.process.wait(PATIENCE)
            gateway.start()
            # Either the whole change was made, with its event, or nothing of it.
            was_made = change.count() - before
            assert answer is None or was_made == 1
            assert was_made in (0, 1)
            if change.shows:
                assert bool(change.holds()) == bool(was_made)
        again = change.request()
        assert again.status == change.status, again.body
        assert answer is None or change.lasting(answer) == change.lasting(again)
        assert change.count() == before + 1 and change.holds()
        made += 1
        with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state:
            assert state.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if not died:
            break
    assert kills >= 2, "no place was reached"
    return made
