import ConfigModel
import Issuers
import State

/// A certificate in force, with the hosts that it is for.
package struct CertificateUse {
    package let certificate: StoredCertificate
    /// The hosts whose certificate it is, sorted by domain. Some may be disabled.
    package let hosts: [(name: String, host: Host)]
    /// How it is renewed; nil when nobody renews it.
    package let renewed: ManagedCertificate?

    package init(of certificate: StoredCertificate, in store: any StateStore) throws(StateError) {
        self.certificate = certificate
        let found = try store.hosts(mentioning: certificate.name).compactMap { name, item in
            Host(record: item.record).map { (name: name, host: $0, record: item.record) }
        }.filter { $0.host.certificateName == certificate.name }
        hosts = found.map { ($0.name, $0.host) }
        let own = found.first { $0.name == certificate.name }
        renewed = own.flatMap { ManagedCertificate($0.host, record: $0.record) } ?? ManagedCertificate(certificate)
    }

    /// Why nobody renews it.
    var obstacle: OperationFailure {
        let isDisabled = hosts.contains { $0.name == certificate.name && !$0.host.enabled }
        return .notRenewed(certificate.name, certificate.facts, isHostDisabled: isDisabled)
    }
}
