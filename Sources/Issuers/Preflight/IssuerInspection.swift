import ACME
import ConfigModel
import DNS
import PKI
import State

/// Checks an ACME CA and its settings before certificates are ordered.
struct IssuerInspection: Sendable {
    struct Findings: Sendable {
        /// The CA's directory. Nil if it can't be read.
        var directory: ACMEDirectory?
        /// The URL of the account at the CA. Nil if there is no account yet.
        var account: String?
        /// Problems that may prevent issuance.
        var doubts: [IssuanceFailure] = []
    }

    let secrets: SecretReader
    let store: (any StateStore)?
    let system: DNSLookup
    /// The time limit for an answer from the CA and from each name server.
    let timeout: Duration

    func inspect(_ settings: ACMEIssuer) -> Findings {
        var findings = Findings()
        let account = try? store?.account(CAAccount.ID(settings))
        findings.account = account?.url
        do {
            let url = try ACMEURL(settings.directory.text, of: "directory")
            let connection = try ACMEConnection(settings, secrets: secrets, timeout: timeout)
            let directory = try ACMEDirectory(at: url, over: connection)
            findings.directory = directory
            findings.doubts = Self.doubts(of: settings, directory, hasAccount: account?.url != nil)
        } catch let failure as IssuanceFailure {
            findings.doubts.append(failure)
        } catch let failure as ACMEConnection.Failure {
            findings.doubts.append(IssuanceFailure(failure.failure.reason, hint: failure.failure.hint))
        } catch {
            findings.doubts.append(IssuanceFailure("\(error)"))
        }
        if settings.challenge == .dns01, let dns = settings.dns { findings.doubts += doubts(of: dns) }
        return findings
    }

    /// Returns conflicts between the CA's directory and the issuer's settings.
    static func doubts(of settings: ACMEIssuer, _ directory: ACMEDirectory, hasAccount: Bool) -> [IssuanceFailure] {
        var doubts = directory.oddities.map { IssuanceFailure($0) }
        if let profile = settings.profile, directory.profiles[profile] == nil {
            let error = ACMEError.unknownProfile(profile, offered: directory.profiles.keys.sorted())
            doubts.append(IssuanceFailure("\(error)"))
        }
        if directory.isExternalAccountRequired, settings.externalAccount == nil, !hasAccount {
            doubts.append(IssuanceFailure("\(ACMEError.externalAccountRequired)"))
        }
        return doubts
    }

    /// Checks whether records for dns-01 can be written. Webhooks are not called, since each call would write a record.
    private func doubts(of provider: DNSProvider) -> [IssuanceFailure] {
        switch provider.method {
        case .rfc2136(let settings): doubts(of: settings)
        case .webhook: []
        }
    }

    /// Checks whether name servers answer: the server to which records are written, and the servers that must see them.
    private func doubts(of settings: DNSProvider.RFC2136) -> [IssuanceFailure] {
        do throws(DNSFailure) {
            let server = try DNSServer(settings.server)
            let zone = try DNSLookup(servers: [server], timeout: timeout, tries: 1).zone(of: settings.zone)
            guard zone.name == settings.zone else {
                return [IssuanceFailure("\(server) does not know the zone '\(settings.zone)'")]
            }
            let propagation = DNSPropagation(
                settings.waiting, primary: .init(server: server, zone: settings.zone), now: { 0 }, wait: { _ in },
                system: system, port: DNSServer.defaultPort, timeout: timeout, tries: 1)
            return try propagation.silent(about: "_acme-challenge.\(settings.zone)").map { IssuanceFailure($0) }
        } catch {
            return [IssuanceFailure(error.reason, hint: error.hint)]
        }
    }
}
