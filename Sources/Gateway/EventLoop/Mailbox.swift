import CLinux
import Glibc
import Synchronization

/// Messages from any thread to one that waits in its event loop. Each burst costs one write to an eventfd(2).
final class Mailbox<Message: Sendable>: Sendable {
    /// Becomes readable when there is something in the box.
    let descriptor: Int32
    private let messages = Mutex<[Message]>([])

    init() throws(SystemFailure) {
        descriptor = eventfd(0, aegis_eventfd_flags)
        guard descriptor >= 0 else { throw SystemFailure("eventfd") }
    }

    deinit { _ = close(descriptor) }

    /// Puts a message into the box.
    func post(_ message: Message) {
        let wasEmpty = messages.withLock { messages in
            messages.append(message)
            return messages.count == 1
        }
        // Adding 1 fails only when 2^64 - 2 were added and nobody has read.
        if wasEmpty { _ = eventfd_write(descriptor, 1) }
    }

    /// Takes all messages out, in the order in which they came.
    func take() -> [Message] {
        var value: eventfd_t = 0
        _ = unsafe eventfd_read(descriptor, &value)
        return messages.withLock { messages in
            let taken = messages
            messages = []
            return taken
        }
    }
}
