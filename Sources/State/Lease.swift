/// The process that holds a lease. A later process with the same process ID is another holder.
package struct LeaseHolder: Sendable, Equatable {
    package let machine: String
    /// The process ID.
    package let process: Int
    /// When the process started, in clock ticks since boot (proc(5), field 22 of `stat`).
    package let startTicks: UInt64
    /// The boot and the PID namespace, within which process IDs are unique.
    package let scope: String
    /// The name of the user that runs the process.
    package let user: String

    package init(machine: String, scope: String, process: Int, startTicks: UInt64, user: String) {
        self.machine = machine
        self.scope = scope
        self.process = process
        self.startTicks = startTicks
        self.user = user
    }

    /// The holder as text, for `init(text:)`.
    package var text: String { "\(machine) \(scope) \(process) \(startTicks) \(user)" }

    /// The name that events record for the holder: user and machine.
    package var actor: String { "\(user)@\(machine)" }

    /// Parses `text`; nil when it is malformed.
    package init?(text: String) {
        let parts = text.split(separator: " ", maxSplits: 4).map(String.init)
        guard parts.count == 5, let process = Int(parts[2]), let ticks = UInt64(parts[3]) else { return nil }
        self.init(machine: parts[0], scope: parts[1], process: process, startTicks: ticks, user: parts[4])
    }
}

/// An exclusive right that ends by itself unless it is renewed.
package struct Lease: Sendable, Equatable {
    /// The name of a lease, which says what the lease protects.
    package struct Name: Sendable, Hashable {
        package let text: String

        /// Held by an apply, and by a rekey.
        package static let apply = Name(text: "apply")
        /// Held by the gateway that renews due certificates.
        package static let maintenance = Name(text: "maintenance")
        /// Held by the process that obtains the certificate.
        package static func certificate(_ name: String) -> Name { Name(text: "certificate \(name)") }
        /// Held by the gateway that obtains the identity from a Vault.
        package static func identity(_ name: String) -> Name { Name(text: "identity \(name)") }
        /// Held by the process that orders and follows the certificate's packs.
        package static func edgeCertificate(_ name: String) -> Name { Name(text: "edge certificate \(name)") }
    }

    /// How long a lease lasts without renewal, in seconds.
    package static let seconds: Int64 = 30
    /// How often the holder renews the lease, in seconds.
    package static let renewalSeconds: Int64 = 10

    package let holder: LeaseHolder
    /// When the holder took the lease, in seconds since 1970.
    package let since: Int64
    /// When the lease ends unless the holder renews it, in seconds since 1970.
    package let expiresAt: Int64

    package init(holder: LeaseHolder, since: Int64, expiresAt: Int64) {
        self.holder = holder
        self.since = since
        self.expiresAt = expiresAt
    }

    /// Whether another process may take the lease: it has expired, it was taken when the clock was far ahead, or its
    /// holder in the same scope is dead.
    package func isFree(at now: Int64, in scope: String, isAlive: (LeaseHolder) -> Bool) -> Bool {
        expiresAt <= now || expiresAt - now > 10 * Self.seconds || (holder.scope == scope && !isAlive(holder))
    }
}
