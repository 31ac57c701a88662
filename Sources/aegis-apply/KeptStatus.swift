import ConfigModel
import State

/// The certificates of hosts that were taken out, as `status` lists them: they are not in force.
struct KeptStatus {
    /// How many are named in the line.
    private static let named = 10

    private let certificates: [(name: String, kept: KeptCertificate)]

    init(_ snapshot: StateSnapshot) {
        certificates = snapshot.kept.map { ($0.key, $0.value) }.sorted { $0.name < $1.name }
    }

    /// One line behind an empty one; nothing when there is none.
    var text: String {
        guard !certificates.isEmpty else { return "" }
        let names = certificates.prefix(Self.named).map { "\($0.name) (since \(UTCTime.text($0.kept.since)))" }
        let others = certificates.count - names.count
        return "\nkept for when they come back, not served: " + names.joined(separator: ", ")
            + (others > 0 ? " and \(others) more" : "") + "\n"
    }

    /// All of them as data.
    var value: PlainValue {
        .list(
            certificates.map { name, kept in
                .map([
                    ("certificate", .string(name)), ("kept_since", .string(UTCTime.rfc3339(kept.since))),
                    ("expires_at", kept.item.certificate.map { .string(UTCTime.rfc3339($0.expiresAt)) } ?? .null),
                ])
            })
    }
}
