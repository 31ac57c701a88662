"""TCP segments in the kernel: losing them, as a network might, and counting those in flight or unread."""

import ctypes
import pathlib
import socket
import struct

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27


class _Program(ctypes.Structure):
    _fields_ = [("count", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def lose(end, beyond):
    """Makes a socket drop segments with more than `beyond` bytes of data before they are acknowledged, so that they are
    sent again later. Sockets that a listener accepts do the same."""
    steps = [
        (0x30, 0, 0, 12), (0x54, 0, 0, 0xF0), (0x74, 0, 0, 2),  # the length of the header (RFC 9293 section 3.1)
        (0x04, 0, 0, beyond), (0x07, 0, 0, 0),
        (0x80, 0, 0, 0), (0x2D, 1, 0, 0),  # whether the segment is longer than the header and `beyond`
        (0x06, 0, 0, 0xFFFFFFFF), (0x06, 0, 0, 0),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    end.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(_Program(len(steps), ctypes.addressof(code))))


def hear(end):
    """Removes the filter of `lose`."""
    end.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)


def under_way(port):
    """How many bytes sent to a port of this machine are not acknowledged yet (proc_pid_net(5))."""
    total = 0
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, _, remote, _, queues, *_ = line.split()
        if int(remote.split(":")[1], 16) == port:
            total += int(queues.split(":")[0], 16)
    return total


def unread(connection):
    """How many bytes sent over a connection on this machine the peer's program has not read yet (proc_pid_net(5))."""
    ends = [connection.getpeername()[1], connection.getsockname()[1]]
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if [int(end.split(":")[1], 16) for end in (local, remote)] == ends:
            return int(queues.split(":")[1], 16)
    return 0
