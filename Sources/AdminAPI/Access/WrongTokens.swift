/// Counts wrong tokens by network, so that nobody can try many. A network with too many must wait.
struct WrongTokens: Sendable {
    /// How many wrong tokens a network may send in a minute.
    static let allowed = 10
    static let windowSeconds: Int64 = 60
    /// The most networks that are remembered. When there are more, the network whose window ends first is forgotten.
    static let mostNetworks = 1000

    private struct Window {
        var count: Int
        /// In seconds since 1970.
        var end: Int64
    }

    private var windows: [UInt64: Window] = [:]

    /// How many networks are remembered.
    var count: Int { windows.count }

    /// How many seconds a network must wait before it may send a token; nil if it need not wait.
    func wait(of network: UInt64, now: Int64) -> Int64? {
        guard let window = windows[network], window.count >= Self.allowed, now < window.end else { return nil }
        // A clock that was set back must not make anybody wait for longer.
        return min(window.end - now, Self.windowSeconds)
    }

    mutating func note(_ network: UInt64, now: Int64) {
        if var window = windows[network], now < window.end, window.end - now <= Self.windowSeconds {
            window.count += 1
            windows[network] = window
            return
        }
        if windows.count >= Self.mostNetworks { makeRoom(now) }
        windows[network] = Window(count: 1, end: now + Self.windowSeconds)
    }

    private mutating func makeRoom(_ now: Int64) {
        windows = windows.filter { now < $0.value.end }
        guard windows.count >= Self.mostNetworks, let oldest = windows.min(by: { $0.value.end < $1.value.end }) else {
            return
        }
        windows[oldest.key] = nil
    }
}
