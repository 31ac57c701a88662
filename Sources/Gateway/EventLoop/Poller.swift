import CLinux
import Glibc

/// What has become possible on a descriptor.
struct Readiness: OptionSet {
    let rawValue: UInt32

    /// There is something to read, or the end of it.
    static let readable = Readiness(rawValue: aegis_epoll_readable)
    /// There is room to write.
    static let writable = Readiness(rawValue: aegis_epoll_writable)
    /// The other end will send nothing more: what there is to read comes before that.
    static let ended = Readiness(rawValue: aegis_epoll_ended)
    /// It is broken, or closed on both sides.
    static let hungUp = Readiness(rawValue: aegis_epoll_hung_up)

    func intersects(_ other: Readiness) -> Bool { rawValue & other.rawValue != 0 }
}

/// Waits for events of many descriptors by epoll(7), edge-triggered: an event tells of a change, once.
///
/// The seam to the kernel's readiness: another way of waiting would take this type's place. Confined to one thread.
@safe
struct Poller: ~Copyable {
    private static let batch = 512
    private let descriptor: Int32
    private let events: UnsafeMutablePointer<epoll_event>

    init() throws(SystemFailure) {
        descriptor = epoll_create1(aegis_epoll_cloexec)
        guard descriptor >= 0 else { throw SystemFailure("epoll_create1") }
        unsafe events = .allocate(capacity: Self.batch)
    }

    deinit {
        _ = close(descriptor)
        unsafe events.deallocate()
    }

    /// Watches a descriptor for reading and writing until it is closed.
    func add(_ watched: Int32, _ token: Token) throws(SystemFailure) {
        try add(watched, token, events: aegis_epoll_all)
    }

    /// Watches a descriptor for reading alone, again and again for as long as there is something (level-triggered).
    func addLevelTriggered(_ watched: Int32, _ token: Token) throws(SystemFailure) {
        try add(watched, token, events: aegis_epoll_exclusive)
    }

    private func add(_ watched: Int32, _ token: Token, events: UInt32) throws(SystemFailure) {
        var event = unsafe epoll_event()
        unsafe event.events = events
        unsafe event.data.u64 = token.raw
        // The kernel copies the event.
        guard unsafe epoll_ctl(descriptor, EPOLL_CTL_ADD, watched, &event) == 0 else {
            throw SystemFailure("epoll_ctl")
        }
    }

    /// Watches a descriptor no longer, though it stays open.
    func remove(_ watched: Int32) { _ = epoll_ctl(descriptor, EPOLL_CTL_DEL, watched, nil) }

    /// Waits at most so long (nil: for ever), and calls `body` for each event.
    func wait(milliseconds: Int64?, _ body: (Token, Readiness) -> Void) {
        let timeout = milliseconds.map { Int32(clamping: $0) } ?? -1
        // The kernel writes at most `batch` events. A signal just ends the wait.
        let count = unsafe epoll_wait(descriptor, events, Int32(Self.batch), timeout)
        guard count > 0 else { return }
        for index in 0..<Int(count) {
            let event = unsafe events[index]
            unsafe body(Token(raw: event.data.u64), Readiness(rawValue: event.events))
        }
    }
}
