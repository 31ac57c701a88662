import COpenSSL
import PeerNames

/// An extension that Aegis writes into a certificate or a request (RFC 5280 section 4.2.1).
struct CertificateExtension {
    /// The object identifier in dotted form.
    let identifier: String
    let isCritical: Bool
    let value: [UInt8]

    static func authority(pathLength: UInt8) -> CertificateExtension {
        let value = DER.sequence([DER.isTrue, DER.integer(pathLength)])
        return CertificateExtension(identifier: "2.5.29.19", isCritical: true, value: value)
    }

    static let endEntity = CertificateExtension(
        identifier: "2.5.29.19", isCritical: true, value: DER.sequence([]))

    /// The extended key usage of servers. With `ofClients`, also that of clients.
    static func authentication(ofClients: Bool) -> CertificateExtension {
        // The object identifiers 1.3.6.1.5.5.7.3.1 (id-kp-serverAuth) and 1.3.6.1.5.5.7.3.2 (id-kp-clientAuth).
        let usages = (ofClients ? [1, 2] : [1]).map { (usage: UInt8) in
            DER.value(tag: 0x06, [0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, usage])
        }
        return CertificateExtension(identifier: "2.5.29.37", isCritical: false, value: DER.sequence(usages))
    }

    static func usage(_ usage: KeyUsage) -> CertificateExtension {
        let value = DER.namedBits(UInt8(truncatingIfNeeded: usage.rawValue))
        return CertificateExtension(identifier: "2.5.29.15", isCritical: true, value: value)
    }

    static func subjectKey(_ identifier: [UInt8]) -> CertificateExtension {
        CertificateExtension(
            identifier: "2.5.29.14", isCritical: false, value: DER.octetString(identifier))
    }

    static func authorityKey(_ identifier: [UInt8]) -> CertificateExtension {
        let value = DER.sequence([DER.context(0, identifier)])
        return CertificateExtension(identifier: "2.5.29.35", isCritical: false, value: value)
    }

    /// The extension for a tls-alpn-01 challenge (RFC 8737 section 3). `digest` is the SHA-256 of the key
    /// authorization.
    static func acmeIdentifier(_ digest: [UInt8]) -> CertificateExtension {
        CertificateExtension(
            identifier: "1.3.6.1.5.5.7.1.31", isCritical: true, value: DER.octetString(digest))
    }

    /// The subject alternative names. The extension must be critical if the certificate's subject is empty (RFC 5280
    /// section 4.2.1.6). Only the URIs in `uris` are used.
    static func names(
        _ names: [SubjectName], uris: [PeerName] = [], isCritical: Bool
    ) throws(PKIError) -> CertificateExtension {
        guard !names.isEmpty || !uris.isEmpty else { throw .badName("", reason: "there is no name at all") }
        guard names.count + uris.count <= SubjectNameReader.maximumNames else {
            throw .tooLarge("list of names", limit: "\(SubjectNameReader.maximumNames)")
        }
        var parts: [[UInt8]] = []
        for name in names { parts.append(try name.der()) }
        for case .uri(let uri) in uris { parts.append(DER.context(6, Array(uri.utf8))) }
        return CertificateExtension(
            identifier: "2.5.29.17", isCritical: isCritical, value: DER.sequence(parts))
    }

    /// Makes an `X509_EXTENSION`. The caller must free it.
    func make() throws(PKIError) -> OpaquePointer {
        let action = "making an extension"
        let content = try unsafe OpenSSL.require(action, ASN1_OCTET_STRING_new())
        defer { unsafe ASN1_OCTET_STRING_free(content) }
        try unsafe OpenSSL.check(action, ASN1_OCTET_STRING_set(content, value, Int32(value.count)))
        let object = try unsafe OpenSSL.require(action, OBJ_txt2obj(identifier, 1))
        defer { unsafe ASN1_OBJECT_free(object) }
        // This is safe, since the new extension has its own copies of `object` and `content`, which are freed here.
        return try unsafe OpenSSL.require(
            action, X509_EXTENSION_create_by_OBJ(nil, object, isCritical ? 1 : 0, content))
    }
}

extension SubjectName {
    /// The longest common name that RFC 5280 allows (ub-common-name).
    static let maximumCommonNameCharacters = 64

    /// The common name for a certificate with these names: the first name, or nil if the first name is too long.
    static func commonName(for names: [SubjectName]) -> String? {
        names.first.map(\.text).flatMap { $0.utf8.count <= maximumCommonNameCharacters ? $0 : nil }
    }

    /// Adds a common name to an `X509_NAME`.
    static func add(commonName: String, to name: OpaquePointer?) throws(PKIError) {
        let bytes = Array(commonName.utf8)
        try unsafe OpenSSL.check(
            "writing a subject",
            X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, bytes, Int32(bytes.count), -1, 0))
    }
}
