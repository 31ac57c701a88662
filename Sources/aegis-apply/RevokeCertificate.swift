import ACME
import ArgumentParser
import ConfigModel
import Issuers
import PKI
import SQLiteState
import State

struct RevokeCertificate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Have the CA revoke a certificate. This can't be taken back.",
        discussion: """
            It is served on until another takes its place: have one with 'aegis-apply renew NAME --force' first, unless the \
            key is in wrong hands.
            """)

    /// Why, as RFC 5280 section 5.3.1 names it.
    enum Reason: String, ExpressibleByArgument, CaseIterable {
        case unspecified
        case keyCompromise = "key-compromise"
        case superseded
        case cessationOfOperation = "cessation-of-operation"

        var code: ACMERevocationReason {
            switch self {
            case .unspecified: .unspecified
            case .keyCompromise: .keyCompromise
            case .superseded: .superseded
            case .cessationOfOperation: .cessationOfOperation
            }
        }
    }

    @Argument(help: "Its name.")
    var name: String

    @Option(help: "Why: unspecified, key-compromise, superseded or cessation-of-operation.")
    var reason: Reason

    @OptionGroup var options: StateOptions

    func run() throws {
        try reporting {
            let access = try IssuerAccess(options)
            defer { access.store.close() }
            let certificate = try access.store.required(name)
            if certificate.facts.source == .cloudflareOrigin { return try revoke(certificate, access) }
            guard certificate.facts.source == .letsencrypt, let managed = access.state.certificates[name] else {
                throw CommandFailure(message: "the certificate '\(name)' is of no CA that Aegis can ask to revoke it")
            }
            let leaf = try CertificateChain(pem: certificate.chain).leaf
            let orders = access.state.orders(access.tools)
            let key = try? PrivateKey(der: certificate.openKey(access.tools.sealer))
            let all = try managed.issuers.map { ($0, try access.state.acmeIssuer(named: $0)) }
            let issued = all.filter { $0.1.directory.text == certificate.facts.directory }
            // Where it is not known which of several has issued it, that one takes it.
            var failures: [String] = []
            for (issuer, settings) in issued.isEmpty ? all : issued {
                do {
                    try orders.revoke(leaf.der, reason: reason.code, by: settings, key: key)
                    try access.store.record(events: [event()])
                    return try Terminal.print(
                        "Revoked '\(name)', serial \(leaf.serial).\n"
                            + "It is served on until another takes its place: aegis-apply renew \(name) --force\n")
                } catch let failure as IssuanceFailure {
                    failures.append("\(issuer): \(failure.reason)")
                }
            }
            throw CommandFailure(message: "'\(name)' is not revoked: \(failures.joined(separator: "; "))")
        }
    }

    /// Cloudflare asks for no reason.
    private func revoke(_ certificate: StoredCertificate, _ access: IssuerAccess) throws {
        guard let remote = certificate.remote, let issuer = certificate.issuerName,
            case .cloudflareOrigin(let settings)? = access.state.issuers[issuer]?.kind
        else { throw CommandFailure(message: "the issuer of '\(name)' is not in the state any more") }
        do throws(IssuanceFailure) {
            try OriginRevocations(access.tools).revoke(remote.id, settings)
        } catch {
            throw CommandFailure(message: "'\(name)' is not revoked: \(error.reason)", hint: error.hint)
        }
        try access.store.record(events: [event()])
        try Terminal.print(
            "Revoked '\(name)', \(remote.id) at Cloudflare.\n"
                + "It is served on until another takes its place: aegis-apply renew \(name) --force\n")
    }

    private func event() -> AuditEvent {
        AuditEvent(
            at: currentTime(), actor: LeaseHolder.current().actor, action: "revoke", item: ItemID(.certificate, name))
    }
}
