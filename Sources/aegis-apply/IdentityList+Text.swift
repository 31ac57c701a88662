import ConfigModel
import Gateway
import Operations
import PKI
import SQLiteState
import State
import SystemPackage

extension IdentityList {
    /// The identities of a state, read on this machine.
    init(_ store: SQLiteStateStore) throws {
        let snapshot = try store.snapshot()
        let gateways = FleetStatus(try store.nodes(), revision: snapshot.revision, now: currentTime())
        try self.init(
            store, snapshot, gateways, directory: FilePath(store.directory() ?? "."), machine: SystemName.machine,
            now: currentTime())
    }

    /// The identity with this name. Throws a CommandFailure if there is none.
    func required(_ name: String) throws -> LoadedIdentity {
        if let identity = identities.first(where: { $0.name == name }) { return identity }
        let near = Suggestion.nearest(to: name, in: identities.map(\.name))
        throw CommandFailure(
            message: "the state has no identity '\(name.printable)'",
            hint: near.map { "did you mean '\($0)'?" }
                ?? (identities.isEmpty
                    ? "it has none; an apply takes those of the file over"
                    : "'aegis-apply identities' lists them"))
    }
}

extension LoadedIdentity {
    /// The table for `status`; empty when there are no identities.
    static func text(_ all: [LoadedIdentity]) -> String {
        guard !all.isEmpty else { return "" }
        let rows = all.map { identity in
            let note = [identity.reasonUnread, identity.warning].compactMap(\.self).joined(separator: "; ")
            return [identity.name, identity.source, identity.timeLeft, identity.problem ?? "", note]
        }
        return "\n" + TextTable(["IDENTITY", "SOURCE", "ENDS IN", "PROBLEM", "NOTE"], rows).text
    }

    var value: PlainValue {
        let leaf = chain.first
        return .map([
            ("name", .string(name)), ("source", .string(source)),
            ("state", .string(stateWord)), ("reason", reason.map(PlainValue.string) ?? .null),
            ("subject", leaf.map { .string($0.subject) } ?? .null),
            ("sans", .list((leaf?.allNames ?? []).map(PlainValue.string))),
            ("not_after", leaf?.notAfter.map { .string(UTCTime.rfc3339($0)) } ?? .null),
            ("expires_at", expiresAt.map { .string(UTCTime.rfc3339($0)) } ?? .null),
            ("fingerprint", leaf.map { .string($0.fingerprint) } ?? .null),
            ("problem", problem.map(PlainValue.string) ?? .null),
            ("warning", warning.map(PlainValue.string) ?? .null),
        ])
    }
}

extension PeerCertificate {
    /// The names that are known, and the number of further names.
    var allNames: [String] { names + (namesLeftOut > 0 ? ["and \(namesLeftOut) more"] : []) }

    var value: PlainValue {
        .map([
            ("subject", .string(subject)), ("issuer", .string(issuer)), ("serial", .string(serial)),
            ("sans", .list(allNames.map(PlainValue.string))),
            ("not_after", notAfter.map { .string(UTCTime.rfc3339($0)) } ?? .null),
            ("fingerprint", .string(fingerprint)),
        ])
    }
}
