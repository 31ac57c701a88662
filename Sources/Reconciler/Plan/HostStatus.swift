import ConfigModel
import State

/// A host as it is served, in a line.
public struct HostStatus: Sendable {
    /// Its domain.
    public let name: String
    /// Whether it is served at all.
    public let isEnabled: Bool
    /// The name of its certificate; nil for the fallback.
    public let certificate: String?
    /// The common name of the certificate's issuer.
    public let issuer: String?
    /// When the certificate ends, in seconds since 1970.
    public let expiresAt: Int64?
    /// Whole days until then; negative when it is over.
    public let daysLeft: Int?
    /// What is wrong with it.
    public let problem: String?

    /// All hosts of a state, by name.
    public static func all(in snapshot: StateSnapshot, now: Int64) -> [HostStatus] {
        snapshot.items.filter { $0.key.kind == .host }.sorted { $0.key < $1.key }
            .map { HostStatus($0.key.name, Host(record: $0.value.record), snapshot, now) }
    }

    private init(_ name: String, _ host: Host?, _ snapshot: StateSnapshot, _ now: Int64) {
        self.name = name
        isEnabled = host?.enabled ?? false
        let wanted = host?.sslMode == .letsencrypt ? name : host?.certificate
        let facts = wanted.flatMap { snapshot.items[ItemID(.certificate, $0)]?.certificate }
        certificate = facts == nil ? nil : wanted
        issuer = facts?.issuerCommonName
        expiresAt = facts?.expiresAt
        daysLeft = facts.map { Int(($0.expiresAt - now) / 86_400) }
        problem =
            switch (host, wanted, facts) {
            case (nil, _, _): "its record can't be read"
            case (_?, let wanted?, nil): "certificate '\(wanted)' is missing"
            case (let host?, _, let facts?) where !facts.covers(host.names):
                "its certificate does not cover all its names"
            case (_?, _, let facts?) where facts.expiresAt <= now: "its certificate has expired"
            case (_?, _, let facts?) where facts.expiresAt - now < 7 * 86_400: "its certificate expires soon"
            case (let host?, _, _): host.enabled ? nil : "disabled"
            }
    }
}
