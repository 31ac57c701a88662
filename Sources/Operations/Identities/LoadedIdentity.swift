import ConfigModel
import Issuers
import Materials
import PKI
import PrivateFiles
import Reconciler
import State
import SystemPackage

/// An identity of the state, as far as it can be read on this machine.
package struct LoadedIdentity: Sendable {
    /// Whether the identity can be used.
    package enum Condition: Sendable {
        case good
        /// No gateway can use the identity, for this reason.
        case unusable(String)
        /// The identity can't be read on this machine, for this reason. The gateway may still have it.
        case unread(String)
    }

    package let name: String
    /// Nil if the record can't be read.
    package let settings: NamedIdentity?
    /// Nil if the certificate or its key could not be read on this machine.
    package private(set) var identity: Identity?
    package private(set) var condition = Condition.unread("the gateway obtains it from its Vault")
    /// The facts about the certificate and its chain; empty if the certificate could not be read.
    package private(set) var chain: [PeerCertificate] = []
    /// The facts about the CAs that peers' certificates must come from.
    package private(set) var authorities: [PeerCertificate] = []
    /// Why the identity has no CAs, although it could be read; nil if it has some or could not be read.
    package private(set) var lackOfAuthorities: String?
    /// Why upstreams would refuse the identity; nil if they would not, or if it could not be read.
    package private(set) var reasonAgainstUpstreams: String?
    /// The identity that gateways have obtained from a Vault, with its key still sealed; nil if there is none.
    package private(set) var obtained: ObtainedIdentity?
    /// What is wrong at running gateways, although the identity is good here; nil if they report nothing.
    package private(set) var report: String?
    private let now: Int64

    /// Relative paths start at `directory`. `machine` is this machine's name, `now` is in seconds since 1970.
    package init(
        _ name: String, _ settings: NamedIdentity?, _ node: NodeSettings?, _ obtained: ObtainedIdentity? = nil,
        in directory: FilePath, machine: String, now: Int64
    ) {
        (self.name, self.settings, self.now) = (name, settings, now)
        guard let settings else {
            condition = .unusable("its record can't be read")
            return
        }
        if case .vault = settings.source {
            if let obtained { add(obtained) }
            return
        }
        guard let source = try? settings.materials(of: node, machine: machine, vaults: [:]).asItIs else {
            condition = .unusable("its settings can't be carried out")
            return
        }
        var files = WatchedFiles(directory: directory)
        let kept = KeptIdentity(source, &files, now: now)
        identity = kept.identity
        condition = kept.failure.map { Self.condition($0.reason, settings, source, files) } ?? .good
        chain = Self.facts(kept.identity?.chain.certificates.map(\.der) ?? [])
        authorities = Self.facts(kept.identity?.authorities ?? [])
        reasonAgainstUpstreams = kept.identity?.reasonAgainstUpstreams
        if kept.identity?.authorities.isEmpty == true { lackOfAuthorities = source.reasonForLackOfAuthorities }
    }

    /// Adds what running gateways report of the identity.
    package mutating func note(_ reports: [String], haveGateways: Bool) {
        let report = reports.isEmpty ? nil : reports.joined(separator: "; ")
        switch (condition, report) {
        case (.good, _): self.report = report
        case (.unusable(let reason), let report?): condition = .unusable("\(reason); \(report)")
        case (.unread, let report?): condition = .unusable(report)
        case (.unread(let reason), nil):
            let rest =
                haveGateways
                ? "no running gateway reports a problem with it; its log says more" : "no gateway is running"
            condition = .unread("\(reason); \(rest)")
        case (.unusable, nil): break
        }
    }

    private mutating func add(_ obtained: ObtainedIdentity) {
        self.obtained = obtained
        chain = Self.facts((try? PEM.certificates(in: obtained.chain)) ?? [])
        authorities = Self.facts((try? PEM.certificates(in: obtained.authorities)) ?? [])
        condition =
            obtained.notAfter <= now ? .unusable("it expired on \(UTCTime.text(obtained.notAfter))") : .good
    }

    private static func facts(_ certificates: [[UInt8]]) -> [PeerCertificate] {
        certificates.compactMap { try? PeerCertificate(der: $0) }
    }

    /// The earliest expiry among the chain's certificates, in seconds since 1970; nil if the chain could not be read.
    package var expiresAt: Int64? { chain.compactMap(\.notAfter).min() }

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
            if case .development = settings.source, !(places.allSatisfy { (try? $0.stat()) != nil }) {
                return .unread("it is not made yet; the gateway makes it")
            }
            return places.contains { $0.isDenied }
                ? .unread("\(reason); the gateway's user may read it") : .unusable(reason)
        default: return .unusable(reason)
        }
    }

    // MARK: Texts

    /// The kind of the identity's source, as the file writes it; empty if the record can't be read.
    package var source: String {
        switch settings?.source {
        case .files?: "file"
        case .environment?: "env"
        case .development?: "dev"
        case .vault?: "vault"
        case nil: ""
        }
    }

    /// `good`, or the reason why the identity is not good.
    package var state: String {
        switch condition {
        case .good: report.map { "good here; \($0)" } ?? (isForDevelopment ? "good, for development alone" : "good")
        case .unusable(let reason): "can't be used: \(reason)"
        case .unread(let reason): "not read here: \(reason)"
        }
    }

    /// Whether Aegis makes the identity itself, with a CA whose key lies beside it.
    package var isForDevelopment: Bool { if case .development? = settings?.source { true } else { false } }

    /// Continues the sentence "identity 'x' …".
    package static let developmentClause = "is for development alone: anybody who can read its directory can take it"

    /// Whether the identity is renewed without the operator.
    private var renewsItself: Bool {
        switch settings?.source {
        case .development?: true
        case .vault(let vault)?: vault.issued != nil
        default: false
        }
    }

    package var isUnusable: Bool { if case .unusable = condition { true } else { false } }

    /// Why the identity is a problem now; nil if it is not.
    package var problem: String? {
        if case .unusable(let reason) = condition { return "can't be used: \(reason)" }
        if let report { return report }
        guard let expiresAt, !renewsItself, expiresAt - now < HostStatus.problemDays * 86_400 else {
            return nil
        }
        return "is about to expire, on \(UTCTime.text(expiresAt))"
    }

    /// A clause that the certificate expires within weeks. Nil if it does not, or if it is renewed without the
    /// operator.
    package var expiry: String? {
        guard let expiresAt, !renewsItself, expiresAt - now < OwnCertificate.warningDays * 86_400 else {
            return nil
        }
        return "expires in \(timeLeft), on \(UTCTime.text(expiresAt))"
    }

    /// What will become a problem if the operator does nothing. Nil if nothing will, or if there is a problem already.
    package var warning: String? {
        guard problem == nil else { return nil }
        let development = isForDevelopment ? Self.developmentClause : nil
        let all = [development, expiry].compactMap(\.self) + (settings?.laxities ?? [])
        return all.isEmpty ? nil : all.joined(separator: ", ")
    }

    package var hasExpired: Bool { expiresAt.map { $0 <= now } ?? false }

    /// The time until the certificate expires, such as `5 days` or `20 hours`. `expired` if it has expired, and empty if
    /// it could not be read.
    package var timeLeft: String {
        guard let end = expiresAt else { return "" }
        let days = (end - now) / 86_400
        return hasExpired ? "expired" : days >= 2 ? "\(days) days" : "\((end - now) / 3600) hours"
    }

    /// Why the identity can't be read on this machine; nil if it can.
    package var reasonUnread: String? { if case .unread(let reason) = condition { reason } else { nil } }

    /// `good`, `unusable` or `unread`.
    package var stateWord: String {
        switch condition {
        case .good: "good"
        case .unusable: "unusable"
        case .unread: "unread"
        }
    }

    /// Why the identity is not good; nil if it is.
    package var reason: String? {
        switch condition {
        case .good: report
        case .unusable(let reason), .unread(let reason): reason
        }
    }
}
