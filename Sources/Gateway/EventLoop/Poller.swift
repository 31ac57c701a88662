import CLinux
import Glibc

struct Readiness: OptionSet {
    let rawValue: UInt32

    /// There are bytes to read, or the stream has ended.
    static let readable = Readiness(rawValue: aegis_epoll_readable)
    static let writable = Readiness(rawValue: aegis_epoll_writable)
    /// The peer will send no more bytes. Bytes that have arrived can still be read.
    static let ended = Readiness(rawValue: aegis_epoll_ended)
    /// The connection is broken, or closed in both directions.
    static let hungUp = Readiness(rawValue: aegis_epoll_hung_up)

    func intersects(_ other: Readiness) -> Bool { rawValue & other.rawValue != 0 }
}

/// Waits for events of many descriptors with epoll(7), edge-triggered: each change is reported once.
///
/// Only this type uses epoll, so that another mechanism could replace epoll here. Only one thread may use a poller.
@safe
struct Poller: ~Copyable {
    private static let batch = 512
    private let descriptor: Int32
    /// Memory for one batch of events. This is safe, since only this poller uses the memory, and `deinit` frees the
    /// memory.
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

    /// Watches a descriptor for reading and writing, until the descriptor is closed.
    func add(_ watched: Int32, _ token: Token) throws(SystemFailure) {
        try add(watched, token, events: aegis_epoll_all)
    }

    /// Watches a descriptor for reading only. The event repeats as long as there is something to read
    /// (level-triggered). If several pollers watch the same socket, the kernel need not wake all of them
    /// (EPOLLEXCLUSIVE).
    func addLevelTriggered(_ watched: Int32, _ token: Token) throws(SystemFailure) {
        try add(watched, token, events: aegis_epoll_exclusive)
    }

    private func add(_ watched: Int32, _ token: Token, events: UInt32) throws(SystemFailure) {
        // This is safe, since the kernel copies the event during the call. Of the union `data`, only the member `u64`
        // is ever used.
        var event = unsafe epoll_event(events: events, data: epoll_data_t(u64: token.raw))
        guard unsafe epoll_ctl(descriptor, EPOLL_CTL_ADD, watched, &event) == 0 else {
            throw SystemFailure("epoll_ctl")
        }
    }

    /// Needed only for a descriptor that stays open. When a descriptor is closed, the kernel stops watching it.
    func remove(_ watched: Int32) { _ = epoll_ctl(descriptor, EPOLL_CTL_DEL, watched, nil) }

    /// Waits for events and calls `body` for each event. If `milliseconds` is nil, the wait has no time limit.
    func wait(milliseconds: Int64?, _ body: (Token, Readiness) -> Void) {
        let timeout = milliseconds.map { Int32(clamping: $0) } ?? -1
        // This is safe, since the kernel writes at most `batch` events. If a signal ends the wait, there are no events.
        let count = unsafe epoll_wait(descriptor, events, Int32(Self.batch), timeout)
        guard count > 0 else { return }
        for index in 0..<Int(count) {
            let event = unsafe events[index]
            unsafe body(Token(raw: event.data.u64), Readiness(rawValue: event.events))
        }
    }
}
