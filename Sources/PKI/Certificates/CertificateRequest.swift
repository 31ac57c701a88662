import COpenSSL
import PeerNames

/// A certificate signing request (PKCS#10, RFC 2986). Its signature has been verified.
package struct CertificateRequest: Sendable, Hashable {
    package let der: [UInt8]
    /// The subject alternative names in the request.
    package let names: [SubjectName]
    /// The public key in DER, as a SubjectPublicKeyInfo.
    package let publicKeyDER: [UInt8]
    let keyKind: KeyKind

    /// The key's algorithm and size for messages, such as "ECDSA P-256" or "RSA 2048".
    package var publicKeyKind: String { keyKind.description }
    package var pem: String { PEM.text("CERTIFICATE REQUEST", der) }

    /// The largest request that is read, 64 KiB.
    package static let maximumBytes = 64 << 10

    /// Makes and signs a request for 1 to 1000 names. The first name is also the common name, unless it is longer than
    /// 64 bytes. `uris` are further alternative names, such as SPIFFE IDs. A request with only URIs has no common name.
    package init(key: PrivateKey, names: [SubjectName], uris: [PeerName] = []) throws(PKIError) {
        let action = "making a request"
        let request = try unsafe OpenSSL.require(action, X509_REQ_new())
        defer { unsafe X509_REQ_free(request) }
        try unsafe OpenSSL.check(action, X509_REQ_set_version(request, 0))
        let commonName = SubjectName.commonName(for: names)
        if let commonName {
            try unsafe SubjectName.add(commonName: commonName, to: X509_REQ_get_subject_name(request))
        }
        let alternatives = try CertificateExtension.names(names, uris: uris, isCritical: commonName == nil)
        let list = try unsafe OpenSSL.require(action, OPENSSL_sk_new_null())
        // aegis_extensions_free frees the list and its extensions.
        defer { unsafe aegis_extensions_free(list) }
        let item = try unsafe alternatives.make()
        guard unsafe OPENSSL_sk_push(list, UnsafeRawPointer(item)) > 0 else {
            unsafe X509_EXTENSION_free(item)
            throw .openSSL(action, reasons: [])
        }
        try unsafe OpenSSL.check(action, X509_REQ_add_extensions(request, list))
        try unsafe key.sign(request: request)
        try self.init(der: unsafe OpenSSL.encode(action) { output in unsafe i2d_X509_REQ(request, output) })
    }

    /// Reads a request in DER. Throws if the request is not signed with its own key, or if that key is weak.
    package init(der: [UInt8]) throws(PKIError) {
        guard der.count <= Self.maximumBytes else { throw .tooLarge("request", limit: "64 KiB") }
        let decoded = unsafe OpenSSL.decode(der.span, free: X509_REQ_free) { position, count in
            unsafe d2i_X509_REQ(nil, position, count)
        }
        guard let request = unsafe decoded else { throw .malformed("request", reason: "it is no PKCS#10") }
        defer { unsafe X509_REQ_free(request) }
        ERR_clear_error()
        guard let key = unsafe X509_REQ_get0_pubkey(request) else {
            throw .malformed("request", reason: "its public key can't be read")
        }
        keyKind = unsafe KeyKind(of: key)
        try keyKind.checkStrength()
        guard unsafe X509_REQ_verify(request, key) == 1 else {
            throw .malformed("request", reason: "it is not signed with its own key")
        }
        self.der = der
        publicKeyDER = try unsafe OpenSSL.encode("reading a public key") { output in unsafe i2d_PUBKEY(key, output) }
        if let list = unsafe X509_REQ_get_extensions(request) {
            defer { unsafe aegis_extensions_free(list) }
            names = try unsafe SubjectNameReader.names(of: X509ExtensionReader(requestList: list))
        } else {
            names = []
        }
        ERR_clear_error()
    }

    /// Reads the first request in a PEM text of at most 1 MiB.
    package init(pem: [UInt8]) throws(PKIError) {
        let labels = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"]
        guard let block = try PEM.blocks(in: pem.span).first(where: { labels.contains($0.label) }) else {
            throw .malformed("request", reason: "there is no CERTIFICATE REQUEST block")
        }
        let der = try PEM.content(of: block, in: pem.span).plainCopy()
        try self.init(der: der)
    }
}
