import ACME
import ConfigModel
import DNS
import PKI
import State
import Synchronization

// Preflight: checks before an order whether something would prevent a CA from issuing. The results are only warnings,
// since a CA asks from other places and at another time. Preflight changes nothing here or on other servers.

/// The checks before certificates are ordered from ACME CAs. Threads may share this object.
///
/// Callers check the CAs first, and then the names. Each call asks a few servers and waits at most `timeout` for each.
package final class PreflightChecks: Sendable {
    /// The time limit for an answer from each server.
    package static let timeout = Duration.seconds(5)
    /// After so many failed lookups in a row, no more names are looked up, since probably no name server answers.
    private static let patience = 16

    /// The way to reach other servers. Tests change these values.
    package struct NetworkOverrides: Sendable {
        /// The name server to ask, as host:port. Nil means the system's name servers.
        package var resolver: String?
        /// The port to which CAs send http-01 requests.
        package var httpPort = 80

        package init() {}
    }

    package struct CA: Sendable {
        let issuer: ACMEAuthority
        let findings: IssuerInspection.Findings
        package let warnings: [Diagnostic]
    }

    private let lookup: DNSLookup
    private let inspection: IssuerInspection
    private let store: (any StateStore)?
    private let now: Int64
    private let probe: ChallengeProbe?
    /// Answers the probe's requests if no gateway is live. It stops when this object is freed.
    private let answerer: (any ChallengeAnswerer)?
    private let silence = Mutex((failures: 0, skipped: 0))
    /// Warnings about checks that can't be performed.
    package let warnings: [Diagnostic]

    /// Prepares the checks.
    ///
    /// - Parameters:
    ///   - needs: The certificates that will be ordered.
    ///   - store: The state. It is only read. Nil if there is no state yet.
    ///   - now: Seconds since 1970.
    ///   - makeAnswerer: Makes an object that answers http-01 in this process. It is called if no gateway is live and a
    ///     CA would use http-01.
    package init(
        for needs: [WantedCertificate], outside: NetworkOverrides, secrets: SecretReader, store: (any StateStore)?,
        now: Int64,
        makeAnswerer: () throws(IssuanceFailure) -> any ChallengeAnswerer
    ) throws(IssuanceFailure) {
        do throws(DNSFailure) {
            // There are two tries, so each gets half of the time.
            lookup = DNSLookup(
                servers: try outside.resolver.map { (text) throws(DNSFailure) in [try DNSServer(text)] } ?? [],
                timeout: Self.timeout / 2, tries: 2)
        } catch {
            throw IssuanceFailure(error.reason, hint: error.hint)
        }
        inspection = IssuerInspection(secrets: secrets, store: store, system: lookup, timeout: Self.timeout)
        self.store = store
        self.now = now
        guard needs.contains(where: { $0.authorities.contains { $0.settings.challenge == .http01 } }) else {
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

    /// Prepares a token and its correct answers. If gateways are live, the answers are theirs. If none is live, this
    /// process starts to answer.
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

    /// Checks a CA. Returns nil if the issuer is not an ACME CA.
    package func look(at issuer: Issuer) -> CA? {
        guard let authority = ACMEAuthority(issuer) else { return nil }
        let findings = inspection.inspect(authority.settings)
        let warnings = findings.doubts.map { doubt in
            Diagnostic.warning(at: issuer.origin, "issuer '\(issuer.name)': \(doubt.reason)", hint: doubt.hint)
        }
        return CA(issuer: authority, findings: findings, warnings: warnings)
    }

    /// Returns warnings about a name in a certificate. `authorities` are the CAs that may issue the certificate.
    /// `origin` is the place of the name in aegis.yaml.
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

    /// Looks up a name. Returns its addresses, and warnings about its DNS records.
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

    /// A warning with the number of names that were not looked up, if any.
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
            // The CA publishes its names for CAA records in its directory.
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

    /// Returns the CAA records that apply to a name, and the name to which the records belong (RFC 8659 section 3).
    /// Returns nil if neither the name nor any parent has CAA records.
    private func caaRecords(above name: String) throws(DNSFailure) -> (String, [DNSLookup.CAARecord])? {
        var owner = name[...]
        while true {
            let records = try lookup.caa(String(owner))
            if !records.isEmpty { return (String(owner), records) }
            guard let dot = owner.firstIndex(of: ".") else { return nil }
            owner = owner[owner.index(after: dot)...]
        }
    }

    /// Returns a warning for each certificate that a CA's rate limits would delay if all certificates are ordered in
    /// sequence.
    ///
    /// `isRenewal` marks renewals, which do not count if the CA recognizes them.
    package func limitWarnings(
        _ needs: [(need: WantedCertificate, origin: SourceOrigin, isRenewal: Bool)], with authorities: [CA]
    ) -> [Diagnostic] {
        let directories = Dictionary(authorities.map { ($0.issuer.name, $0.findings.directory) }) { first, _ in first }
        var ledgers: [String: RateLimitLedger?] = [:]
        return needs.compactMap { need, origin, isRenewal in
            guard let issuer = need.authorities.first, let names = try? need.names.map({ try SubjectName($0) }) else {
                return nil
            }
            if isRenewal, directories[issuer.name]??.renewalInfo != nil { return nil }
            // Rate limits apply per directory, even if several issuers use the same directory.
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
