import CLinux
import Glibc

/// A POSIX thread with a name that tools such as `top` show.
struct NamedThread {
    private final class Start {
        let name: String
        let body: () -> Void

        init(_ name: String, _ body: @escaping () -> Void) {
            self.name = name
            self.body = body
        }
    }

    private let content: Start

    init(_ name: String, _ body: @escaping @Sendable () -> Void) { content = Start(name, body) }

    /// The thread ends when `body` returns. The thread is detached, since nobody waits for its end.
    func start() {
        // This is safe, since the attributes are initialized, used and destroyed within this function.
        var thread = pthread_t()
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        // This is safe, since the new thread takes over the retained reference and releases it.
        let context = unsafe Unmanaged.passRetained(content).toOpaque()
        let result = unsafe pthread_create(
            &thread, &attributes,
            { context in
                guard let context = unsafe context else { return nil }
                let start = unsafe Unmanaged<Start>.fromOpaque(context).takeRetainedValue()
                _ = unsafe pthread_setname_np(pthread_self(), String(start.name.prefix(15)))
                start.body()
                return nil
            }, context)
        unsafe pthread_attr_destroy(&attributes)
        precondition(result == 0, "no thread can be started")
    }
}
