import ConfigModel
import Issuers
import State

/// A host and its certificate, as a line of `status`.
package struct HostStatus: Sendable {
    package let name: String
    package let aliases: [DomainName]
    /// Whether the host is enabled. Gateways serve only enabled hosts.
    package let isEnabled: Bool
    /// The name of the stored certificate that clients of the host get: its own certificate, else another one that
    /// covers the host's domain. Nil for the fallback certificate.
    package let certificate: String?
    /// The name of the host's own certificate, whether or not it is in force; nil if the host has none.
    package let ownCertificate: String?
    /// The common name of the certificate's issuer.
    package let issuer: String?
    /// When the certificate expires, in seconds since 1970.
    package let expiresAt: Int64?
    /// Whole days until `expiresAt`; negative afterwards.
    package let daysLeft: Int?
    /// What is wrong with the host now; nil if nothing is, or if the host is disabled.
    package let problem: String?
    /// A fault that will occur if nobody acts, or that only some clients notice. Left out if `problem` is set. The
    /// warning also says if the host accepts expired certificates of clients. Nil if there is nothing to warn about, or
    /// if the host is disabled.
    package let warning: String?
    /// For a disabled host: that it is disabled, and what is wrong with its certificate.
    package let note: String?

    /// A certificate that expires within this many days is a problem if nothing renews it or its renewal is overdue.
    package static let problemDays: Int64 = 7

    /// The settings of a host on which its status depends. They are few, so that a gateway can keep them in memory for
    /// very many hosts.
    package struct Settings: Sendable {
        fileprivate let isEnabled: Bool
        fileprivate let domain: DomainName
        fileprivate let aliases: [DomainName]
        package let certificateName: String?
        fileprivate let sslMode: Host.SSLMode
        fileprivate let allowsExpired: Bool
        /// The files of CAs that it verifies its peers by.
        package let authorityFiles: [AuthorityFile]
        /// Whether the host uses files of revocation lists.
        package let usesRevocationLists: Bool

        fileprivate var names: [DomainName] { [domain] + aliases }

        /// Nil for a record that can't be read.
        package init?(record: [UInt8]) {
            guard let host = Host(record: record) else { return nil }
            isEnabled = host.enabled
            domain = host.domain
            aliases = host.aliases
            certificateName = host.certificateName
            sslMode = host.sslMode
            allowsExpired = host.clientAuth?.allowsExpired == true
            usesRevocationLists = host.clientAuth?.revocationLists.isEmpty == false
            authorityFiles = [
                ("client_auth.ca_file", host.clientAuth?.caFile), ("upstream_tls.ca_file", host.upstreamTLS?.caFile),
            ].compactMap { key, path in path.map { AuthorityFile(key: key, path: $0) } }
        }

        package struct AuthorityFile: Sendable {
            fileprivate let key: String
            package let path: String
        }
    }

    /// What is wrong with certificates and files that hosts use, as far as the records of a state do not say it.
    package struct Findings: Sendable {
        /// Why all clients refuse the chains of certificates, by certificate name.
        package var chainFaults: [String: String]
        /// Why some clients refuse the chains of certificates, or all clients will refuse them later.
        package var chainDoubts: [String: String]
        /// The paths of the files that can't be used as lists of CAs.
        package var unusableFiles: Set<String>

        package init(
            chainFaults: [String: String] = [:], chainDoubts: [String: String] = [:], unusableFiles: Set<String> = []
        ) {
            self.chainFaults = chainFaults
            self.chainDoubts = chainDoubts
            self.unusableFiles = unusableFiles
        }
    }

    /// All hosts of a state, sorted by name.
    package static func all(in snapshot: StateSnapshot, _ findings: Findings = Findings(), now: Int64) -> [HostStatus] {
        let hosts = snapshot.items.filter { $0.key.kind == .host }
        let others = CertificatesByDomain(snapshot)
        return hosts.sorted { $0.key < $1.key }.map { id, item in
            HostStatus(id.name, Settings(record: item.record), snapshot, others, findings, now)
        }
    }

    /// `host` is nil for a record that can't be read. `others` are the certificates of `snapshot`.
    package init(
        _ name: String, _ host: Settings?, _ snapshot: StateSnapshot, _ others: CertificatesByDomain,
        _ findings: Findings, _ now: Int64
    ) {
        func facts(_ name: String) -> CertificateFacts? { snapshot.items[ItemID(.certificate, name)]?.certificate }
        self.name = name
        aliases = host?.aliases ?? []
        isEnabled = host?.isEnabled ?? false
        let wanted = host?.certificateName
        ownCertificate = wanted
        let own = wanted.flatMap(facts)
        let served = own == nil ? host.flatMap { others.certificate(for: $0.domain) } : wanted
        let shown = own ?? served.flatMap(facts)
        certificate = served
        issuer = shown?.issuerCommonName
        expiresAt = shown?.expiresAt
        daysLeft = shown.map { Int(($0.expiresAt - now) / 86_400) }
        if let host, !host.isEnabled {
            problem = nil
            warning = nil
            note = "disabled" + Self.trouble(of: own, host, now)
            return
        }
        note = nil
        let condition = own.map {
            CertificateCondition(of: $0, chainFault: wanted.flatMap { findings.chainFaults[$0] }, now: now)
        }
        let ofCertificate =
            switch (host, wanted, own) {
            case (nil, _, _): "its record can't be read"
            case (let host?, let wanted?, nil):
                "certificate '\(wanted)' is missing" + others.standIn(for: host)
            case (let host?, _, let own?) where !own.covers(host.names):
                "its certificate does not cover all its names"
            case (_?, _, _): condition?.problem.map { "its certificate \($0)" }
            }
        let ofFiles = (host?.authorityFiles ?? []).filter { findings.unusableFiles.contains($0.path) }.map { file in
            "'\(file.path)' of \(file.key) can't be used as a list of CAs"
        }
        let problems = [ofCertificate].compactMap(\.self) + ofFiles
        problem = problems.isEmpty ? nil : problems.joined(separator: "; ")
        let doubt = condition?.warning ?? wanted.flatMap { findings.chainDoubts[$0] }
        let lax = host?.allowsExpired == true ? "accepts expired certificates of clients" : nil
        let fault = problem == nil ? doubt.map { "its certificate \($0)" } : nil
        let warnings = [fault, lax].compactMap(\.self)
        warning = warnings.isEmpty ? nil : warnings.joined(separator: "; it ")
    }

    /// Why the certificate of a disabled host can't be used, and whether enabling the host obtains another certificate.
    private static func trouble(of own: CertificateFacts?, _ host: Settings, _ now: Int64) -> String {
        guard let own, let fault = own.loss ?? (own.expiresAt <= now ? "has expired" : nil) else { return "" }
        let isReplaced = host.sslMode == .letsencrypt
        return "; its certificate \(fault)" + (isReplaced ? " and is replaced when the host is enabled" : "")
    }
}

/// The stored certificates by the names that they cover. A gateway serves one of them when a host's own certificate is
/// missing.
package struct CertificatesByDomain: Sendable {
    private var names: [String: String] = [:]

    package init(_ snapshot: StateSnapshot) {
        for (id, item) in snapshot.items {
            for domain in item.certificate?.domains ?? [] {
                // If several certificates cover a name, gateways may serve any of them. The status always names the
                // same certificate.
                names[domain] = min(names[domain] ?? id.name, id.name)
            }
        }
    }

    /// The text to append to "its certificate is missing": the certificate that is served instead, for the host's
    /// domain or else for aliases. Empty when there is none.
    fileprivate func standIn(for host: HostStatus.Settings) -> String {
        if let name = certificate(for: host.domain) { return ", '\(name)' stands in" }
        let standIns = host.aliases.map(certificate)
        guard let name = standIns.lazy.compactMap(\.self).first else { return "" }
        return ", '\(name)' stands in for "
            + (standIns.allSatisfy { $0 == name } ? "its aliases" : "some of its aliases")
    }

    fileprivate func certificate(for domain: DomainName) -> String? {
        names[domain.text] ?? (domain.isWildcard ? nil : names["*.\(domain.parent)"])
    }
}
