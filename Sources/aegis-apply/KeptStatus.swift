import ConfigModel
import State

/// The kept certificates of hosts that were deleted, as `status` lists them. They are not in force.
struct KeptStatus {
    /// The most certificates that one line of the output names.
    private static let named = 10

    private struct Entry {
        let name: String
        let kept: KeptCertificate

        /// Why the certificate can't be used again; nil when it can be.
        var loss: String? { kept.item.certificate?.loss }
    }

    private let certificates: [Entry]

    init(_ snapshot: StateSnapshot) {
        certificates = snapshot.kept.map { Entry(name: $0.key, kept: $0.value) }.sorted { $0.name < $1.name }
    }

    /// An empty line, then a line for the certificates that a host can use again and a line for the others. Empty when
    /// no certificate is kept.
    var text: String {
        let lost = certificates.filter { $0.loss != nil }
        let good = certificates.filter { $0.loss == nil }
        let lines =
            Self.line("kept for when they come back, not served", good) { "since \(UTCTime.text($0.kept.since))" }
            + Self.line("kept, not served and not used again", lost) { $0.loss ?? "" }
        return lines.isEmpty ? "" : "\n" + lines
    }

    private static func line(_ title: String, _ some: [Entry], _ remark: (Entry) -> String) -> String {
        guard !some.isEmpty else { return "" }
        let names = some.prefix(Self.named).map { "\($0.name) (\(remark($0)))" }
        let others = some.count - names.count
        return "\(title): " + names.joined(separator: ", ") + (others > 0 ? " and \(others) more" : "") + "\n"
    }

    /// The kept certificates for `--format json`.
    var value: PlainValue {
        .list(
            certificates.map { entry in
                .map([
                    ("certificate", .string(entry.name)), ("kept_since", .string(UTCTime.rfc3339(entry.kept.since))),
                    ("expires_at", entry.kept.item.certificate.map { .string(UTCTime.rfc3339($0.expiresAt)) } ?? .null),
                    ("problem", entry.loss.map(PlainValue.string) ?? .null),
                ])
            })
    }
}
