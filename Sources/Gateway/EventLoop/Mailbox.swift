import CLinux
import Glibc
import Synchronization

/// Passes messages from any thread to one thread that waits in its event loop. A burst of messages costs one write to
/// an eventfd(2).
final class Mailbox<Message: Sendable>: Sendable {
    /// Becomes readable when the mailbox has messages.
    let descriptor: Int32
    private let messages = Mutex<[Message]>([])

    init() throws(SystemFailure) {
        descriptor = eventfd(0, aegis_eventfd_flags)
        guard descriptor >= 0 else { throw SystemFailure("eventfd") }
    }

    deinit { _ = close(descriptor) }

    /// Any thread may call this.
    func post(_ message: Message) {
        let wasEmpty = messages.withLock { messages in
            messages.append(message)
            return messages.count == 1
        }
        // A write of 1 fails only if the unread counter is near 2^64, which can't happen here.
        if wasEmpty { _ = eventfd_write(descriptor, 1) }
    }

    /// Removes and returns all messages, in the order in which they were posted.
    func drain() -> [Message] {
        var value: eventfd_t = 0
        // This is safe, since `eventfd_read` writes one number into `value`.
        _ = unsafe eventfd_read(descriptor, &value)
        return messages.withLock { messages in
            defer { messages = [] }
            return messages
        }
    }
}
