import ConfigModel
import State

/// A certificate that can be issued or renewed from the state alone, with what that takes.
package struct ManagedCertificate: Sendable {
    /// Its declaration: the item that it follows from, with the record that must still be there when it is stored.
    package enum Declaration: Sendable {
        /// A host with `ssl_mode: letsencrypt`.
        case host(HostCertificate)
        /// An entry under `certificates`, which is in the state once it was issued.
        case named(NamedCertificate)
    }

    /// Its name in the state.
    package let name: String
    /// What it follows from.
    package let declaration: Declaration
    /// The record of the item that it follows from.
    let itemRecord: [UInt8]

    /// Of a host; nil when none is to be made for it.
    package init?(_ host: Host, record: [UInt8]) {
        guard host.sslMode == .letsencrypt, host.enabled else { return nil }
        name = host.domain.text
        declaration = .host(HostCertificate(for: host))
        itemRecord = record
    }

    /// Of a stored certificate; nil for those of hosts, the operator's own, and those that are not renewed.
    package init?(_ stored: StoredCertificate) {
        self.init(
            named: stored.name, record: stored.record, autoRenew: stored.facts.autoRenew, source: stored.facts.source)
    }

    /// The same by what it takes of it.
    package init?(named name: String, record: [UInt8], autoRenew: Bool, source: CertificateFacts.Source) {
        guard autoRenew, source != .custom, var certificate = NamedCertificate(record: record),
            case .issued = certificate.source
        else { return nil }
        certificate.name = name
        self.name = name
        declaration = .named(certificate)
        itemRecord = record
    }

    /// What it is to be.
    package var value: any Recorded {
        switch declaration {
        case .host(let certificate): certificate
        case .named(let certificate): certificate
        }
    }

    /// The record that it is stored with.
    var record: [UInt8] {
        switch declaration {
        case .host(let certificate): certificate.record(.compact).json()
        case .named: itemRecord
        }
    }

    /// What must still be so when it is stored.
    var requirement: StateMutation {
        switch declaration {
        case .host: .require(ItemID(.host, name), record: itemRecord)
        case .named: .require(ItemID(.certificate, name), record: itemRecord)
        }
    }

    /// The names it is to be for.
    var names: [String] {
        switch declaration {
        case .host(let certificate): return certificate.domains.map(\.text)
        case .named(let certificate):
            guard case .issued(let issued) = certificate.source else { return [] }
            return issued.domains.map(\.text)
        }
    }

    /// The issuers it may come from, by name.
    package var issuers: [String] {
        switch declaration {
        case .host(let certificate): certificate.issuers
        case .named(let certificate):
            if case .issued(let issued) = certificate.source { [issued.issuer] } else { [] }
        }
    }
}
