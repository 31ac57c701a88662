/// A part of the configuration that the state keeps separately, as a record in the file's language.
///
/// A compact record contains only values that differ from the defaults, and never a secret. In place of an inline
/// secret it contains the secret's fingerprint; a reference to a secret is kept as it is.
package protocol Recorded: Sendable {
    func record(_ style: RecordStyle) -> PlainValue

    /// Reads a compact record in JSON; nil when the bytes are no such record.
    init?(record: [UInt8])
}

extension GatewaySettings: Recorded {
    package func record(_ style: RecordStyle) -> PlainValue { Self.shape.write(self, style) }

    package init?(record: [UInt8]) {
        guard let value = Self.shape.shape.decode(record) else { return nil }
        self = value
    }
}

extension NodeSettings: Recorded {
    package func record(_ style: RecordStyle) -> PlainValue { Self.shape.write(self, style) }

    package init?(record: [UInt8]) {
        guard let value = Self.shape.shape.decode(record) else { return nil }
        self = value
    }
}

extension AlertSettings: Recorded {
    package func record(_ style: RecordStyle) -> PlainValue { Self.shape.write(self, style) }

    package init?(record: [UInt8]) {
        guard let value = Self.shape.shape.decode(record) else { return nil }
        self = value
    }
}

extension NamedIdentity: Recorded {
    /// The record, without the identity's name.
    package func record(_ style: RecordStyle) -> PlainValue { Self.shape.write(self, style) }

    /// Reads a record; the identity's name stays empty.
    package init?(record: [UInt8]) {
        guard let value = Self.shape.decode(record) else { return nil }
        self = value
    }
}

extension VaultServer: Recorded {
    /// The record, without the Vault's name.
    package func record(_ style: RecordStyle) -> PlainValue { Self.shape.write(self, style) }

    /// Reads a record; the Vault's name stays empty.
    package init?(record: [UInt8]) {
        guard let value = Self.shape.shape.decode(record) else { return nil }
        self = value
    }
}

extension Issuer: Recorded {
    /// The record, without the issuer's name.
    package func record(_ style: RecordStyle) -> PlainValue { Self.shape.write(self, style) }

    /// Reads a record; the issuer's name stays empty.
    package init?(record: [UInt8]) {
        guard let value = Self.shape.decode(record) else { return nil }
        self = value
    }
}

extension NamedCertificate: Recorded {
    /// The record, without the certificate's name.
    package func record(_ style: RecordStyle) -> PlainValue { Self.shape.write(self, style) }

    /// Reads a record; the certificate's name stays empty.
    package init?(record: [UInt8]) {
        guard let value = Self.shape.decode(record) else { return nil }
        self = value
    }
}

extension EdgeCertificate: Recorded {
    package func record(_ style: RecordStyle) -> PlainValue { Self.shape.write(self, style) }

    package init?(record: [UInt8]) {
        guard let value = Self.shape.shape.decode(record) else { return nil }
        self = value
    }
}

extension Host: Recorded {
    package func record(_ style: RecordStyle) -> PlainValue { Self.shape.write(self, style) }

    package init?(record: [UInt8]) {
        guard let value = Self.shape.shape.decode(record) else { return nil }
        self = value
    }
}

/// The certificate of a host with `ssl_mode: letsencrypt`. Its name is the host's domain.
package struct HostCertificate: Sendable, Equatable, Recorded {
    /// The ACME issuers, tried in order.
    package var issuers: [String] = []
    /// The certificate's names: the host's domain and aliases.
    package var domains: [DomainName] = []

    package init(for host: Host) {
        issuers = host.effectiveIssuers
        domains = host.names
    }

    private init() {}

    package func record(_ style: RecordStyle) -> PlainValue { Self.shape.write(self, style) }

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
    /// Reads a record with the same reader as the file, since JSON is valid YAML.
    fileprivate func decode(_ record: [UInt8]) -> Value? {
        guard let document = try? YAMLParser.parse(SourceText(name: "record", bytes: record)), let root = document.root
        else { return nil }
        var reader = ModelReader(document, readsRecords: true)
        let value = read(root, &reader)
        return reader.diagnostics.hasErrors ? nil : value
    }
}
