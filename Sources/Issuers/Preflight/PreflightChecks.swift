import ACME
import ConfigModel
import DNS
import PKI
import State
import Synchronization

// Preflight: asks other servers, before anything is ordered, what would keep a CA from issuing. Its findings are only
// warnings: a CA asks from other places and at another time. Preflight changes nothing, here or there. Judging
// (`CAAPolicy`, answers, directories, limits) is separate from asking.

/// The checks made before certificates are ordered from ACME CAs. Threads may share this object.
///
/// First the CAs are checked, then the names, in any order. Each call asks a few servers, and waits at most `timeout`
/// for each.
package final class PreflightChecks: Sendable {
    /// How long a server may take to answer.
    package static let timeout = Duration.seconds(5)
    /// After this many failed lookups in a row no more are made, since no server answers.
    private static let patience = 16

    /// How to reach other servers. Tests change the values.
    package struct Outside: Sendable {
        /// The name server to ask, as host:port; nil: those of the system.
        package var resolver: String?
        /// The port at which CAs request http-01's answers.
        package var httpPort = 80

        package init() {}
    }

    package struct CA: Sendable {
        let issuer: WantedCertificate.CA
        let findings: IssuerInspection.Findings
        package let warnings: [Diagnostic]
    }

    private let lookup: DNSLookup
    private let inspection: IssuerInspection
    private let store: (any StateStore)?
    private let now: Int64
    private let probe: ChallengeProbe?
    /// Answers the probe when no gateway does, as long as these checks exist.
    private let answerer: (any ChallengeAnswerer)?
    private let silence = Mutex((failures: 0, skipped: 0))
    /// Warnings about checks that can't be made.
    package let warnings: [Diagnostic]

    /// Prepares the checks for certificates that are needed.
    ///
    /// - Parameters:
    ///   - store: The state, which is only read; nil when there is none yet.
    ///   - now: Seconds since 1970.
    ///   - makeAnswerer: Answers http-01 instead of gateways. Called when no gateway is live and a CA would use
    ///     http-01.
    package init(
        for needs: [WantedCertificate], outside: Outside, secrets: SecretReader, store: (any StateStore)?, now: Int64,
        makeAnswerer: () throws(IssuanceFailure) -> any ChallengeAnswerer
    ) throws(IssuanceFailure) {
        do throws(DNSFailure) {
            // Each of the two tries gets half the time.
            lookup = DNSLookup(
                servers: try outside.resolver.map { (text) throws(DNSFailure) in [try DNSServer(text)] } ?? [],
                timeout: Self.timeout / 2, tries: 2)
        } catch {
            throw IssuanceFailure(error.reason, hint: error.hint)
        }
        inspection = IssuerInspection(secrets: secrets, store: store, system: lookup, timeout: Self.timeout)
        self.store = store
        self.now = now
        guard needs.contains(where: { $0.issuers.contains { $0.settings.challenge == .http01 } }) else {
            (probe, answerer, warnings) = (nil, nil, [])
            return
        }
        do throws(IssuanceFailure) {
            let ready = try Self.prepare(store, now: now, makeAnswerer)
            probe = ChallengeProbe(
                token: ready.token, answers: ready.answers, port: outside.httpPort, timeout: Self.timeout)
            (answerer, warnings) = (ready.answerer, [])
        } catch {
            (probe, answerer) = (nil, nil)
            warnings = [.warning(at: .none, "http-01 was not tried: \(error.reason)", hint: error.hint)]
        }
    }

    /// Prepares a token and the answers to it: those that the live gateways give, or else the one of this process.
    private static func prepare(
        _ store: (any StateStore)?, now: Int64, _ makeAnswerer: () throws(IssuanceFailure) -> any ChallengeAnswerer
    ) throws(IssuanceFailure) -> (token: String, answers: [[UInt8]], answerer: (any ChallengeAnswerer)?) {
        let token = GatewayProbe.makeToken()
        let nodes = ((try? store?.nodes()) ?? []).filter { $0.isServing(at: now) }
        func answer(_ identity: String) -> [UInt8] { GatewayProbe.answer(to: Array(token.utf8), from: identity) }
        guard nodes.isEmpty else { return (token, nodes.map { answer($0.id) }, nil) }
        let own = answer(GatewayNode.makeID())
        guard
            let challenge = ACMEChallenge(
                kind: .http01, token: token, keyAuthorization: "\(token).\(String(decoding: own, as: UTF8.self))",
                domain: "", createdAt: now)
        else { throw IssuanceFailure("the probe's token is none") }
        let answerer = try makeAnswerer()
        try answerer.answer([challenge])
        return (token, [Array(challenge.keyAuthorization.utf8)], answerer)
    }

    /// Checks a CA; nil for an issuer of another kind.
    package func look(at issuer: Issuer) -> CA? {
        guard case .acme(let settings) = issuer.kind else { return nil }
        let findings = inspection.inspect(settings)
        let warnings = findings.doubts.map { doubt in
            Diagnostic.warning(at: issuer.origin, "issuer '\(issuer.name)': \(doubt.reason)", hint: doubt.hint)
        }
        return CA(issuer: .init(name: issuer.name, settings: settings), findings: findings, warnings: warnings)
    }

    // MARK: Names

    /// Warnings about a name of a certificate that these CAs should issue. `origin` is the place where the name was
    /// written.
    package func check(_ name: String, at origin: SourceOrigin, with authorities: [CA]) -> [Diagnostic] {
        guard let subject = try? SubjectName(name) else { return [] }
        let looked: (addresses: [String], warnings: [Diagnostic]) =
            if case .dns = subject { lookUp(name, at: origin, authorities) } else { ([name], []) }
        guard let probe, authorities.contains(where: { $0.issuer.settings.challenge == .http01 }) else {
            return looked.warnings
        }
        return looked.warnings
            + probe.objections(to: name, at: looked.addresses).map { objection in
                .warning(at: origin, "http-01 of '\(name)': \(objection.text)", hint: objection.hint)
            }
    }

    /// The addresses of a name, and warnings about its DNS records.
    private func lookUp(
        _ name: String, at origin: SourceOrigin, _ authorities: [CA]
    ) -> (addresses: [String], warnings: [Diagnostic]) {
        let isAnswered = silence.withLock { silence in
            if silence.failures >= Self.patience { silence.skipped += 1 }
            return silence.failures < Self.patience
        }
        guard isAnswered else { return ([], []) }
        var (addresses, warnings): ([String], [Diagnostic]) = ([], [])
        do throws(DNSFailure) {
            if !name.hasPrefix("*.") {
                addresses = try lookup.addresses(name)
                if addresses.isEmpty { warnings.append(.warning(at: origin, "'\(name)' has no address in the DNS")) }
            }
            warnings += try caaWarnings(of: name, at: origin, authorities)
            silence.withLock { $0.failures = 0 }
        } catch {
            silence.withLock { $0.failures += 1 }
            warnings.append(
                .warning(
                    at: origin, "'\(name)' can't be looked up: \(error.reason)",
                    hint: error.hint ?? "a CA that can't look it up does not issue"))
        }
        return (addresses, warnings)
    }

    /// A note about the lookups that were not made.
    package var omissions: [Diagnostic] {
        let skipped = silence.withLock { $0.skipped }
        guard skipped > 0 else { return [] }
        return [.warning(at: .none, "\(skipped) more names were not looked up: no name server answers")]
    }

    private func caaWarnings(
        of name: String, at origin: SourceOrigin, _ authorities: [CA]
    ) throws(DNSFailure) -> [Diagnostic] {
        let isWildcard = name.hasPrefix("*.")
        guard let (owner, records) = try caaRecords(above: isWildcard ? String(name.dropFirst(2)) : name) else {
            return []
        }
        let policy = CAAPolicy(records: records)
        return authorities.compactMap { authority in
            // The CA's names for CAA records are in its directory.
            guard let directory = authority.findings.directory else { return nil }
            let issuance = CAAPolicy.Issuance(
                identities: directory.caaIdentities, account: authority.findings.account,
                method: authority.issuer.settings.challenge, isWildcard: isWildcard)
            return policy.objection(to: issuance).map { objection in
                .warning(
                    at: origin,
                    "'\(name)' and issuer '\(authority.issuer.name)': the CAA records of '\(owner)' \(objection)")
            }
        }
    }

    /// The CAA records that apply to a name, and their owner (RFC 8659 section 3); nil when there are none up to the
    /// root.
    private func caaRecords(above name: String) throws(DNSFailure) -> (String, [DNSLookup.CAARecord])? {
        var owner = name[...]
        while true {
            let records = try lookup.caa(String(owner))
            if !records.isEmpty { return (String(owner), records) }
            guard let dot = owner.firstIndex(of: ".") else { return nil }
            owner = owner[owner.index(after: dot)...]
        }
    }

    // MARK: Limits

    /// A warning for each certificate that a CA's limits would delay, if all these certificates are ordered one after
    /// the other.
    ///
    /// `isHad` marks certificates that exist already: a CA that recognizes renewals does not count them.
    package func limitWarnings(
        _ needs: [(need: WantedCertificate, origin: SourceOrigin, isHad: Bool)], with authorities: [CA]
    ) -> [Diagnostic] {
        let directories = Dictionary(authorities.map { ($0.issuer.name, $0.findings.directory) }) { first, _ in first }
        var ledgers: [String: RateLimitLedger?] = [:]
        return needs.compactMap { need, origin, isHad in
            guard let issuer = need.issuers.first, let names = try? need.names.map({ try SubjectName($0) }) else {
                return nil
            }
            if isHad, directories[issuer.name]??.renewalInfo != nil { return nil }
            // Limits apply to a directory, even if several issuers use it.
            let key = issuer.settings.directory.text
            if ledgers[key] == nil {
                ledgers[key] = .some(try? ACMELimits(issuer.settings, store: store).ledger(now: now))
            }
            guard case .some(.some(var ledger)) = ledgers[key] else { return nil }
            if case .from(let time, let limit) = ledger.permission(for: names, now: now) {
                let failure = ACMELimits.refusal(until: time, limit)
                return .warning(
                    at: origin, "certificate '\(need.name)', issuer '\(issuer.name)': \(failure.reason)",
                    hint: failure.hint)
            }
            ledger.note(.init(.order, at: now))
            ledger.note(.init(.certificate(names), at: now))
            ledgers[key] = ledger
            return nil
        }
    }
}
