import ConfigModel
import PKI
import State

extension OwnedItems {
    /// What the admin API owns, to be put into a file.
    package struct Export {
        /// The sections of the file with what the API owns. Certificates refer to files by their names.
        package let sections: PlainValue
        package let certificates: [StoredCertificate]

        /// The names of the files that a certificate's entry refers to.
        package static func files(of certificate: String) -> (chain: String, key: String) {
            ("\(certificate).pem", "\(certificate).key")
        }
    }

    /// `directory` is the folder of the certificates' files as the file names it; nil for the file's own.
    package func export(filesIn directory: String?) throws(StateError) -> Export {
        func path(_ name: String) -> PlainValue {
            .map([("file", .string(directory.map { $0.hasSuffix("/") ? $0 + name : "\($0)/\(name)" } ?? name))])
        }
        var certificates: [StoredCertificate] = []
        try store.forEachCertificate { certificate in
            // A certificate that was made for a host is left out, since the host's settings are enough to obtain it.
            guard certificate.owner == .api, NamedCertificate(record: certificate.record) != nil else { return }
            certificates.append(certificate)
        }
        let entries = certificates.map { certificate -> (String, PlainValue) in
            let named = NamedCertificate(record: certificate.record)
            guard case .custom? = named?.source else { return (certificate.name, named?.record(.compact) ?? .null) }
            let files = Export.files(of: certificate.name)
            return (
                certificate.name,
                .map([("source", .string("custom")), ("cert", path(files.chain)), ("key", path(files.key))])
            )
        }
        let hosts = try store.items(of: .host).compactMap { _, item in
            item.owner == .api ? Host(record: item.record)?.record(.compact) : nil
        }
        let sections =
            (entries.isEmpty ? [] : [("certificates", PlainValue.map(entries))])
            + (hosts.isEmpty ? [] : [("hosts", PlainValue.list(hosts))])
        return Export(sections: .map(sections), certificates: certificates)
    }
}
