import ConfigModel
import State

/// A certificate that can be issued or renewed with the state as the only input.
package struct ManagedCertificate: Sendable {
    /// The item that declares the certificate. It must be unchanged when the certificate is stored.
    package enum Declaration: Sendable {
        /// A host with `ssl_mode: letsencrypt`.
        case host(HostCertificate)
        /// An entry under `certificates`. It is in the state only after it was issued.
        case named(NamedCertificate)
    }

    /// The certificate's name in the state.
    package let name: String
    package let declaration: Declaration
    /// The record of the declaring item.
    let itemRecord: [UInt8]

    /// Makes the certificate of a host; nil when the host needs none.
    package init?(_ host: Host, record: [UInt8]) {
        guard host.sslMode == .letsencrypt, host.enabled else { return nil }
        name = host.domain.text
        declaration = .host(HostCertificate(for: host))
        itemRecord = record
    }

    /// Reads a stored certificate; nil for a host's, for the operator's own, and for one that is not renewed.
    package init?(_ stored: StoredCertificate) {
        self.init(
            named: stored.name, record: stored.record, autoRenew: stored.facts.autoRenew, source: stored.facts.source)
    }

    /// The same as `init(_:)`, from the parts of a stored certificate that it needs.
    package init?(named name: String, record: [UInt8], autoRenew: Bool, source: CertificateFacts.Source) {
        guard autoRenew, source != .custom, var certificate = NamedCertificate(record: record),
            case .issued = certificate.source
        else { return nil }
        certificate.name = name
        self.name = name
        declaration = .named(certificate)
        itemRecord = record
    }

    /// The certificate as the configuration file declares it.
    package var value: any Recorded {
        switch declaration {
        case .host(let certificate): certificate
        case .named(let certificate): certificate
        }
    }

    /// The record of the declaration, which is stored with the certificate.
    var record: [UInt8] {
        switch declaration {
        case .host(let certificate): certificate.record(.compact).json()
        case .named: itemRecord
        }
    }

    /// The condition for storing the certificate: the declaring item is unchanged.
    var requirement: StateMutation {
        switch declaration {
        case .host: .require(ItemID(.host, name), record: itemRecord)
        case .named: .require(ItemID(.certificate, name), record: itemRecord)
        }
    }

    /// The names that the certificate should have.
    var names: [String] {
        switch declaration {
        case .host(let certificate): return certificate.domains.map(\.text)
        case .named(let certificate):
            guard case .issued(let issued) = certificate.source else { return [] }
            return issued.domains.map(\.text)
        }
    }

    /// The names of the issuers that the certificate may come from.
    package var issuers: [String] {
        switch declaration {
        case .host(let certificate): certificate.issuers
        case .named(let certificate):
            if case .issued(let issued) = certificate.source { [issued.issuer] } else { [] }
        }
    }
}
