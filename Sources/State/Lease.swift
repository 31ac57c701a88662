/// Who holds a lease: a process of a machine, told apart from a later one with the same number.
package struct LeaseHolder: Sendable, Equatable {
    /// The machine's name.
    package let machine: String
    /// The process's number.
    package let process: Int
    /// When the process started, in ticks since the machine did (proc(5), field 22 of `stat`).
    package let startTicks: UInt64
    /// Where process numbers mean the same: one boot of one machine, one PID namespace.
    package let scope: String
    /// Who runs it.
    package let user: String

    /// A holder.
    package init(machine: String, scope: String, process: Int, startTicks: UInt64, user: String) {
        self.machine = machine
        self.scope = scope
        self.process = process
        self.startTicks = startTicks
        self.user = user
    }

    /// The holder as one text, which `init(text:)` reads.
    package var text: String { "\(machine) \(scope) \(process) \(startTicks) \(user)" }

    /// Who is named in events: user and machine.
    package var actor: String { "\(user)@\(machine)" }

    /// The holder of a text; nil when it is none.
    package init?(text: String) {
        let parts = text.split(separator: " ", maxSplits: 4).map(String.init)
        guard parts.count == 5, let process = Int(parts[2]), let ticks = UInt64(parts[3]) else { return nil }
        self.init(machine: parts[0], scope: parts[1], process: process, startTicks: ticks, user: parts[4])
    }
}

/// The right to do something alone, for a time.
package struct Lease: Sendable, Equatable {
    /// What it is the right to do.
    package struct Name: Sendable, Hashable {
        /// The name in the state.
        package let text: String

        /// To apply a file.
        package static let apply = Name(text: "apply")
        /// To renew what is due.
        package static let maintenance = Name(text: "maintenance")
        /// To have a certificate from a CA.
        package static func certificate(_ name: String) -> Name { Name(text: "certificate \(name)") }
        /// To order a certificate pack, and to follow it.
        package static func edgeCertificate(_ name: String) -> Name { Name(text: "edge certificate \(name)") }
    }

    /// How long a lease holds without being renewed, in seconds.
    package static let seconds: Int64 = 30
    /// How often its holder renews it, in seconds.
    package static let renewalSeconds: Int64 = 10

    /// Who holds it.
    package let holder: LeaseHolder
    /// Since when, in seconds since 1970.
    package let since: Int64
    /// When it ends unless renewed, in seconds since 1970.
    package let expiresAt: Int64

    /// A lease.
    package init(holder: LeaseHolder, since: Int64, expiresAt: Int64) {
        self.holder = holder
        self.since = since
        self.expiresAt = expiresAt
    }

    /// Whether another may take it: it has run out, was taken when the clock was far ahead, or its holder, in the same scope,
    /// is dead.
    package func isFree(at now: Int64, in scope: String, isAlive: (LeaseHolder) -> Bool) -> Bool {
        expiresAt <= now || expiresAt - now > 10 * Self.seconds || (holder.scope == scope && !isAlive(holder))
    }
}
