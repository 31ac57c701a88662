import ConfigModel
import State

/// A certificate that Aegis can issue or renew from the state alone, without aegis.yaml.
package struct ManagedCertificate: Sendable {
    /// The item in the state that declares the certificate. If the item changes before the certificate is issued, the
    /// certificate is not stored.
    package enum Declaration: Sendable {
        /// A host with `ssl_mode: letsencrypt`.
        case host(HostCertificate)
        /// An entry under `certificates`. The state contains it only after the certificate was first issued.
        case named(NamedCertificate)
    }

    /// The certificate's name in the state.
    package let name: String
    package let declaration: Declaration
    /// The record of the item that declares the certificate.
    let itemRecord: [UInt8]

    /// Makes the managed certificate of a host. Returns nil if the host is disabled or has another `ssl_mode`.
    package init?(_ host: Host, record: [UInt8]) {
        guard host.sslMode == .letsencrypt, host.enabled else { return nil }
        name = host.domain.text
        declaration = .host(HostCertificate(for: host))
        itemRecord = record
    }

    /// Makes a managed certificate from a stored certificate. Returns nil if it is a host's certificate or the
    /// operator's own, or if `auto_renew` is off.
    package init?(_ stored: StoredCertificate) {
        self.init(
            named: stored.name, record: stored.record, autoRenew: stored.facts.autoRenew, source: stored.facts.source)
    }

    /// Makes a managed certificate as `init(_:)` does, for callers that have only these parts of a stored certificate.
    package init?(named name: String, record: [UInt8], autoRenew: Bool, source: CertificateFacts.Source) {
        guard autoRenew, source != .custom, var certificate = NamedCertificate(record: record),
            case .issued = certificate.source
        else { return nil }
        certificate.name = name
        self.name = name
        declaration = .named(certificate)
        itemRecord = record
    }

    /// The certificate's declaration in aegis.yaml.
    package var value: any Recorded {
        switch declaration {
        case .host(let certificate): certificate
        case .named(let certificate): certificate
        }
    }

    /// The record of the declaration. The state stores it with the certificate.
    var record: [UInt8] {
        switch declaration {
        case .host(let certificate): certificate.record(.compact).json()
        case .named: itemRecord
        }
    }

    /// A condition for the commit that stores the certificate: the item that declares it is unchanged.
    var requirement: StateMutation {
        switch declaration {
        case .host: .require(ItemID(.host, name), record: itemRecord)
        case .named: .require(ItemID(.certificate, name), record: itemRecord)
        }
    }

    /// The host names and IP addresses in the certificate.
    var names: [String] {
        switch declaration {
        case .host(let certificate): return certificate.domains.map(\.text)
        case .named(let certificate):
            guard case .issued(let issued) = certificate.source else { return [] }
            return issued.domains.map(\.text)
        }
    }

    /// The names of the issuers to try, in this order.
    package var issuers: [String] {
        switch declaration {
        case .host(let certificate): certificate.issuers
        case .named(let certificate):
            if case .issued(let issued) = certificate.source { [issued.issuer] } else { [] }
        }
    }
}
