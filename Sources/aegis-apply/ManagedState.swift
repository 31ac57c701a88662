import ACME
import ConfigModel
import Gateway
import Issuers
import PKI
import SQLiteState
import State
import SystemPackage

/// What of a state concerns having certificates.
struct ManagedState {
    private var settings = GatewaySettings()
    private(set) var issuers: [String: Issuer] = [:]
    private(set) var certificates: [String: ManagedCertificate] = [:]
    private var stored: [String: CertificateFacts] = [:]

    init(_ store: SQLiteStateStore) throws {
        try store.readChanges(since: 0) { change in
            switch change {
            case .item(let id, let item):
                switch id.kind {
                case .gateway: settings = GatewaySettings(record: item.record) ?? settings
                case .issuer:
                    guard var issuer = Issuer(record: item.record) else { return }
                    issuer.name = id.name
                    issuers[id.name] = issuer
                case .host:
                    guard let host = Host(record: item.record) else { return }
                    if let certificate = ManagedCertificate(host, record: item.record) {
                        certificates[id.name] = certificate
                    }
                default: break
                }
            case .certificate(let certificate):
                stored[certificate.name] = certificate.facts
                if certificates[certificate.name] == nil {
                    certificates[certificate.name] = ManagedCertificate(certificate)
                }
            default: break
            }
        }
    }

    /// Those of these names, or all; ends the program at a name that is none.
    func select(_ names: [String]) throws -> [ManagedCertificate] {
        if names.isEmpty { return certificates.values.sorted { $0.name < $1.name } }
        return try names.map { name in
            if let certificate = certificates[name] { return certificate }
            if stored[name] != nil {
                throw CommandFailure(
                    message: "the certificate '\(name)' is not renewed by Aegis",
                    hint: "your own certificates are replaced by an apply; auto_renew: false keeps others out")
            }
            let near = Suggestion.nearest(to: name, in: certificates.keys.sorted().prefix(10_000))
            throw CommandFailure(
                message: "there is no certificate '\(name)'",
                hint: near.map { "did you mean '\($0)'?" } ?? "'aegis-apply certificates' lists them")
        }
    }

    func isDue(_ name: String, now: Int64) -> Bool {
        guard let facts = stored[name] else { return true }
        return now >= RenewalScheduler.dueAt(notBefore: facts.notBefore, notAfter: facts.expiresAt)
    }

    /// What has certificates from CAs, for this process.
    func orders(_ store: SQLiteStateStore, _ sealer: Sealer, _ reader: SecretReader) -> ACMEOrders {
        let holder = LeaseHolder.current()
        let board = ChallengeBoard(store: store, holder: holder) { [settings] () throws(IssuanceFailure) in
            try ChallengeResponder(settings)
        }
        return ACMEOrders(
            store: store, holder: holder, sealer: sealer, secrets: reader, board: board, now: currentTime)
    }

    func jobs(
        _ wanted: [ManagedCertificate], _ store: SQLiteStateStore, _ sealer: Sealer, _ directory: FilePath
    ) -> [(name: String, job: CertificateJob)] {
        let reader = SecretReader(directory: directory, store: store, sealer: sealer)
        let cache =
            Terminal.environment("AEGIS_SSL_CACHE_DIR").map { FilePath($0) }
            ?? directory.pushing(FilePath(settings.cacheDirectory))
        let sources = CertificateSources(
            own: OwnCertificate(reader),
            local: Result { () throws(IssuanceFailure) in try LocalAuthority(directory: cache, now: currentTime()) },
            orders: orders(store, sealer, reader), now: currentTime)
        let holder = LeaseHolder.current()
        return wanted.map { certificate in
            let job = CertificateJob(
                certificate, issuers: Array(issuers.values), store: store, sealer: sealer, sources: sources,
                actor: "\(holder.user)@\(holder.machine)")
            return (certificate.name, job)
        }
    }

    /// An ACME issuer; ends the program when there is none of that name.
    func acmeIssuer(named name: String) throws -> ACMEIssuer {
        if case .acme(let settings) = issuers[name]?.kind { return settings }
        let names = issuers.values.filter { $0.typeName == "acme" }.map(\.name).sorted()
        throw CommandFailure(
            message: "there is no ACME issuer '\(name)' in the state",
            hint: names.isEmpty ? "aegis-apply puts them there" : "there are: \(names.joined(separator: ", "))")
    }
}
