/// A part of the configuration that the state keeps on its own, as a record in the language of the file.
///
/// A compact record has only what differs from the defaults and never a secret: inline ones are kept as a fingerprint,
/// references as they are.
package protocol Recorded: Sendable {
    /// The record.
    func record(_ style: RecordStyle) -> PlainValue

    /// The value that a compact record in JSON was made of; nil when it is none.
    init?(record: [UInt8])
}

extension GatewaySettings: Recorded {
    /// The record of how the gateway is set up.
    package func record(_ style: RecordStyle) -> PlainValue { Self.shape.write(self, style) }

    /// The settings of a record.
    package init?(record: [UInt8]) {
        guard let value = Self.shape.shape.decode(record) else { return nil }
        self = value
    }
}

extension Issuer: Recorded {
    /// The record of an issuer, without its name.
    package func record(_ style: RecordStyle) -> PlainValue { Self.shape.write(self, style) }

    /// The issuer of a record, without its name.
    package init?(record: [UInt8]) {
        guard let value = Self.shape.decode(record) else { return nil }
        self = value
    }
}

extension NamedCertificate: Recorded {
    /// The record of a certificate, without its name.
    package func record(_ style: RecordStyle) -> PlainValue { Self.shape.write(self, style) }

    /// The certificate of a record, without its name.
    package init?(record: [UInt8]) {
        guard let value = Self.shape.decode(record) else { return nil }
        self = value
    }
}

extension EdgeCertificate: Recorded {
    /// The record of an edge certificate.
    package func record(_ style: RecordStyle) -> PlainValue { Self.shape.write(self, style) }

    /// The edge certificate of a record.
    package init?(record: [UInt8]) {
        guard let value = Self.shape.shape.decode(record) else { return nil }
        self = value
    }
}

extension Host: Recorded {
    /// The record of a host.
    package func record(_ style: RecordStyle) -> PlainValue { Self.shape.write(self, style) }

    /// The host of a record.
    package init?(record: [UInt8]) {
        guard let value = Self.shape.shape.decode(record) else { return nil }
        self = value
    }
}

/// The certificate that is made for a host with `ssl_mode: letsencrypt`; it is named as the host's domain.
package struct HostCertificate: Sendable, Equatable, Recorded {
    /// The ACME issuers to try in order.
    package var issuers: [String] = []
    /// The names it is for: the host's domain and aliases.
    package var domains: [DomainName] = []

    /// The certificate of a host with `ssl_mode: letsencrypt`.
    package init(for host: Host) {
        issuers = host.effectiveIssuers
        domains = host.names
    }

    private init() {}

    /// The record of the certificate.
    package func record(_ style: RecordStyle) -> PlainValue { Self.shape.write(self, style) }

    /// The certificate of a record.
    package init?(record: [UInt8]) {
        guard let value = Self.shape.shape.decode(record) else { return nil }
        self = value
    }

    private static let shape = ObjectShape<HostCertificate>(
        "a host's certificate", "The certificate made for a host", initial: HostCertificate(),
        fields: [
            .required("issuers", \.issuers, .list(of: .name, "issuers"), "The ACME issuers to try in order"),
            .required("domains", \.domains, .list(of: .domain, "names"), "The names it is for"),
        ])
}

extension ValueShape {
    /// Reads a record back: JSON is YAML, so the file's own reader serves.
    fileprivate func decode(_ record: [UInt8]) -> Value? {
        guard let document = try? YAMLParser.parse(SourceText(name: "record", bytes: record)), let root = document.root
        else { return nil }
        var reader = ModelReader(document, readsRecords: true)
        let value = read(root, &reader)
        return reader.diagnostics.hasErrors ? nil : value
    }
}
