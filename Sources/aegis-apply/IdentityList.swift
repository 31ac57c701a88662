import ConfigModel
import Gateway
import Glibc
import Issuers
import Materials
import PKI
import PeerNames
import PrivateFiles
import Reconciler
import SQLiteState
import State
import SystemPackage

/// The identities of a state, read on this machine in the same way as the gateway reads them. No file is created or
/// changed.
struct IdentityList {
    let identities: [LoadedIdentity]

    /// `obtained` are the identities that gateways have obtained from Vaults. Relative paths start at `directory`.
    private init(_ snapshot: StateSnapshot, _ obtained: [ObtainedIdentity], directory: FilePath, now: Int64) {
        let items = snapshot.items.filter { $0.key.kind == .identity }.sorted { $0.key < $1.key }
        guard !items.isEmpty else {
            identities = []
            return
        }
        let node = snapshot.items[ItemID(single: .node)].flatMap { NodeSettings(record: $0.record) }
        let stored = Dictionary(obtained.map { ($0.name, $0) }) { $1 }
        identities = items.map { id, item in
            var settings = NamedIdentity(record: item.record)
            settings?.name = id.name
            return LoadedIdentity(id.name, settings, node, stored[id.name], in: directory, now: now)
        }
    }

    init(_ store: SQLiteStateStore, _ snapshot: StateSnapshot) throws {
        let directory = FilePath(try store.directory() ?? ".")
        self.init(snapshot, try store.obtainedIdentities(), directory: directory, now: currentTime())
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

/// An identity of the state, as far as it can be read on this machine.
struct LoadedIdentity {
    /// Whether the identity can be used.
    enum Condition {
        case good
        /// No gateway can use the identity, for this reason.
        case unusable(String)
        /// The identity can't be read on this machine, for this reason. The gateway may still have it.
        case unread(String)
    }

    let name: String
    /// Nil if the record can't be read.
    let settings: NamedIdentity?
    /// Nil if the certificate or its key could not be read on this machine.
    private(set) var identity: Identity?
    private(set) var condition = Condition.unread("the gateway obtains it")
    /// The facts about the certificate and its chain; empty if the certificate could not be read.
    private(set) var chain: [PeerCertificate] = []
    /// The facts about the CAs that peers' certificates must come from.
    private(set) var authorities: [PeerCertificate] = []
    /// The identity that gateways have obtained from a Vault, with its key still sealed; nil if there is none.
    private(set) var obtained: ObtainedIdentity?
    private let now: Int64

    init(
        _ name: String, _ settings: NamedIdentity?, _ node: NodeSettings?, _ obtained: ObtainedIdentity? = nil,
        in directory: FilePath, now: Int64
    ) {
        (self.name, self.settings, self.now) = (name, settings, now)
        guard let settings else {
            condition = .unusable("its record can't be read")
            return
        }
        if case .vault = settings.source {
            if let obtained { take(obtained) }
            return
        }
        guard let source = try? settings.materials(of: node, machine: SystemName.machine, vaults: [:]).asItIs else {
            condition = .unusable("its settings can't be carried out")
            return
        }
        var files = WatchedFiles(directory: directory)
        let kept = KeptIdentity(source, &files, now: now)
        identity = kept.identity
        condition = kept.failure.map { Self.condition($0.reason, settings, source, files) } ?? .good
        chain = Self.facts(kept.identity?.chain.certificates.map(\.der) ?? [])
        authorities = Self.facts(kept.identity?.authorities ?? [])
    }

    private mutating func take(_ obtained: ObtainedIdentity) {
        self.obtained = obtained
        chain = Self.facts((try? PEM.certificates(in: obtained.chain)) ?? [])
        authorities = Self.facts((try? PEM.certificates(in: obtained.authorities)) ?? [])
        condition =
            obtained.notAfter <= now ? .unusable("it expired on \(UTCTime.text(obtained.notAfter))") : .good
    }

    private static func facts(_ certificates: [[UInt8]]) -> [PeerCertificate] {
        certificates.compactMap { try? PeerCertificate(der: $0) }
    }

    /// When the first certificate of the chain expires, in seconds since 1970; nil if it could not be read.
    var expiresAt: Int64? { chain.compactMap(\.notAfter).min() }

    private static func condition(
        _ reason: String, _ settings: NamedIdentity, _ source: IdentitySource, _ files: WatchedFiles
    ) -> Condition {
        switch (settings.source, source) {
        case (.environment(let variables), _):
            let isSet = [variables.certificateVariable, variables.keyVariable].allSatisfy {
                SecretBytes(variable: $0) != nil
            }
            return isSet ? .unusable(reason) : .unread("\(reason) here; the gateway has variables of its own")
        case (_, .files(let certificate, let key, let authorities)):
            let places = [certificate, key, authorities].compactMap(\.self).map { files.place(of: $0) }
            if case .development = settings.source, !(places.allSatisfy(\.exists)) {
                return .unread("it is not made yet; the gateway makes it")
            }
            return places.contains { $0.isDenied }
                ? .unread("\(reason); the gateway's user may read it") : .unusable(reason)
        default: return .unusable(reason)
        }
    }

    // MARK: Texts

    /// The kind of the identity's source, in the file's word.
    var source: String {
        switch settings?.source {
        case .files?: "file"
        case .environment?: "env"
        case .development?: "dev"
        case .vault?: "vault"
        case nil: ""
        }
    }

    /// `good`, or the reason why the identity is not good.
    var state: String {
        switch condition {
        case .good: "good"
        case .unusable(let reason): "can't be used: \(reason)"
        case .unread(let reason): "never read: \(reason)"
        }
    }

    /// Whether the identity is renewed without the operator.
    private var renewsItself: Bool {
        switch settings?.source {
        case .development?: true
        case .vault(let vault)?: vault.issued != nil
        default: false
        }
    }

    var isUnusable: Bool { if case .unusable = condition { true } else { false } }

    /// Why the identity is a problem now; nil if it is not.
    var problem: String? {
        if case .unusable(let reason) = condition { return "can't be used: \(reason)" }
        guard let expiresAt, !renewsItself, expiresAt - now < HostStatus.problemDays * 86_400 else {
            return nil
        }
        return "is about to expire, on \(UTCTime.text(expiresAt))"
    }

    /// A clause that the certificate expires within weeks. Nil if it does not, or if it is renewed without the
    /// operator.
    var expiry: String? {
        guard let expiresAt, !renewsItself, expiresAt - now < OwnCertificate.warningDays * 86_400 else {
            return nil
        }
        return "expires in \(timeLeft), on \(UTCTime.text(expiresAt))"
    }

    /// What will become a problem if the operator does nothing. Nil if nothing will, or if there is a problem already.
    var warning: String? {
        guard problem == nil else { return nil }
        let all = [expiry].compactMap(\.self) + (settings?.laxities ?? [])
        return all.isEmpty ? nil : all.joined(separator: ", ")
    }

    /// The time until the certificate expires, such as `5 days`; empty if it could not be read.
    var timeLeft: String {
        guard let end = expiresAt else { return "" }
        let days = (end - now) / 86_400
        return end <= now ? "expired" : days >= 2 ? "\(days) days" : "\((end - now) / 3600) hours"
    }

    /// The table for `status`; empty when there are no identities.
    static func text(_ all: [LoadedIdentity]) -> String {
        guard !all.isEmpty else { return "" }
        let rows = all.map { [$0.name, $0.source, $0.timeLeft, $0.problem ?? "", $0.warning ?? $0.reasonUnread ?? ""] }
        return "\n" + TextTable(["IDENTITY", "SOURCE", "ENDS IN", "PROBLEM", "NOTE"], rows).text
    }

    private var reasonUnread: String? { if case .unread(let reason) = condition { reason } else { nil } }

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

    private var stateWord: String {
        switch condition {
        case .good: "good"
        case .unusable: "unusable"
        case .unread: "unread"
        }
    }

    private var reason: String? {
        switch condition {
        case .good: nil
        case .unusable(let reason), .unread(let reason): reason
        }
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

extension FilePath {
    /// Whether the user of this process may not read the file or enter its directory.
    var isDenied: Bool {
        // This is safe, since access(2) reads the path only during the call.
        unsafe withPlatformString { unsafe access($0, R_OK) } != 0 && errno == EACCES
    }
}
