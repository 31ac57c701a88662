import Glibc
import Materials

/// Parses revocation lists on a thread of its own, since a list of 16 MiB would hold up the control side.
final class ListReader: Sendable {
    private let inbox: Mailbox<ListFiles.Request>

    /// Starts the thread. It reports to `events`.
    init(_ events: Mailbox<ControlEvent>) throws(SystemFailure) {
        inbox = try Mailbox()
        let inbox = inbox
        NamedThread("lists") {
            while true {
                var descriptors = [pollfd(fd: inbox.descriptor, events: Int16(POLLIN), revents: 0)]
                Poll.wait(for: &descriptors, milliseconds: -1)
                for request in inbox.drain() { events.post(.listsRead(request.read())) }
            }
        }.start()
    }

    func read(_ request: ListFiles.Request) { inbox.post(request) }
}
