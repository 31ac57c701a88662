/// Who holds a lease: a process of a machine, told apart from a later one with the same number.
public struct LeaseHolder: Sendable, Equatable {
    /// The machine's name.
    public let machine: String
    /// The process's number.
    public let process: Int
    /// When the process started, in ticks since the machine did (proc(5), field 22 of `stat`).
    public let startTicks: UInt64
    /// Who runs it.
    public let user: String

    /// A holder.
    public init(machine: String, process: Int, startTicks: UInt64, user: String) {
        self.machine = machine
        self.process = process
        self.startTicks = startTicks
        self.user = user
    }

    /// The holder as one text, which `init(text:)` reads.
    public var text: String { "\(machine) \(process) \(startTicks) \(user)" }

    /// The holder of a text; nil when it is none.
    public init?(text: String) {
        let parts = text.split(separator: " ", maxSplits: 3).map(String.init)
        guard parts.count == 4, let process = Int(parts[1]), let ticks = UInt64(parts[2]) else { return nil }
        self.init(machine: parts[0], process: process, startTicks: ticks, user: parts[3])
    }
}

/// The right to do something alone, for a time.
public struct Lease: Sendable, Equatable {
    /// How long a lease holds without being renewed, in seconds.
    public static let seconds: Int64 = 30
    /// How often its holder renews it, in seconds.
    public static let renewalSeconds: Int64 = 10

    /// Who holds it.
    public let holder: LeaseHolder
    /// Since when, in seconds since 1970.
    public let since: Int64
    /// When it ends unless renewed, in seconds since 1970.
    public let expiresAt: Int64

    /// A lease.
    public init(holder: LeaseHolder, since: Int64, expiresAt: Int64) {
        self.holder = holder
        self.since = since
        self.expiresAt = expiresAt
    }

    /// Whether another may take it: it has run out, or its holder, on this machine, is dead.
    public func isFree(at now: Int64, on machine: String, isAlive: (LeaseHolder) -> Bool) -> Bool {
        expiresAt <= now || (holder.machine == machine && !isAlive(holder))
    }
}
