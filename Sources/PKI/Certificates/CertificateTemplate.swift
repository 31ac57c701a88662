import COpenSSL

/// The contents of a certificate before it is signed.
struct CertificateTemplate {
    var commonName: String?
    /// The certificate of the issuing CA. Nil for a root, which issues itself.
    var issuer: Certificate?
    var publicKeyDER: [UInt8]
    /// The start of the validity, in seconds since 1970. `notAfter` is in the same unit.
    var notBefore: Int64
    var notAfter: Int64
    var extensions: [CertificateExtension]

    /// Makes and signs the certificate. Its serial number is random and has 128 bits.
    func signed(by key: PrivateKey) throws(PKIError) -> Certificate {
        let action = "making a certificate"
        let certificate = try unsafe OpenSSL.require(action, X509_new())
        defer { unsafe X509_free(certificate) }
        // X.509 counts versions from zero, so 2 means version 3.
        try unsafe OpenSSL.check(action, X509_set_version(certificate, 2))
        try unsafe setSerial(of: certificate)
        try unsafe setNames(of: certificate)
        try unsafe OpenSSL.require(action, ASN1_TIME_set(X509_getm_notBefore(certificate), Int(notBefore)))
        try unsafe OpenSSL.require(action, ASN1_TIME_set(X509_getm_notAfter(certificate), Int(notAfter)))
        try unsafe setPublicKey(of: certificate)
        var extensions = extensions
        let identifier = try unsafe keyIdentifier(of: certificate)
        extensions.append(.subjectKey(identifier))
        let issuerIdentifier = issuer.map(\.subjectKeyIdentifier) ?? identifier
        if let issuerIdentifier { extensions.append(.authorityKey(issuerIdentifier)) }
        for item in extensions {
            let item = try unsafe item.make()
            defer { unsafe X509_EXTENSION_free(item) }
            // X509_add_ext adds a copy, so `item` is freed here.
            try unsafe OpenSSL.check(action, X509_add_ext(certificate, item, -1))
        }
        try unsafe key.sign(certificate: certificate)
        return try Certificate(der: unsafe OpenSSL.encode(action) { output in unsafe i2d_X509(certificate, output) })
    }

    private func setSerial(of certificate: OpaquePointer) throws(PKIError) {
        let action = "making a serial"
        let bytes = try OpenSSL.randomBytes(16)
        let number = try unsafe OpenSSL.require(action, BN_bin2bn(bytes, Int32(bytes.count), nil))
        defer { unsafe BN_free(number) }
        try unsafe OpenSSL.require(action, BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)))
    }

    private func setNames(of certificate: OpaquePointer) throws(PKIError) {
        let subject = unsafe X509_get_subject_name(certificate)
        if let commonName { try unsafe SubjectName.add(commonName: commonName, to: subject) }
        guard let issuer else {
            return try unsafe OpenSSL.check("writing an issuer", X509_set_issuer_name(certificate, subject))
        }
        let parent = try unsafe Certificate.decode(issuer.der)
        defer { unsafe X509_free(parent) }
        // X509_set_issuer_name copies the name, so `parent` may be freed.
        try unsafe OpenSSL.check("writing an issuer", X509_set_issuer_name(certificate, X509_get_subject_name(parent)))
    }

    private func setPublicKey(of certificate: OpaquePointer) throws(PKIError) {
        let decoded = unsafe OpenSSL.decode(publicKeyDER.span, free: EVP_PKEY_free) { position, count in
            unsafe d2i_PUBKEY(nil, position, count)
        }
        guard let publicKey = unsafe decoded else { throw .malformed("public key", reason: "it can't be read") }
        defer { unsafe EVP_PKEY_free(publicKey) }
        try unsafe OpenSSL.check("setting a public key", X509_set_pubkey(certificate, publicKey))
    }

    /// The first 160 bits of the SHA-256 of the public key's bits (RFC 7093 section 2, method 1).
    private func keyIdentifier(of certificate: OpaquePointer) throws(PKIError) -> [UInt8] {
        let bits = try unsafe OpenSSL.require("reading a public key", X509_get0_pubkey_bitstr(certificate))
        return unsafe Array(OpenSSL.sha256(OpenSSL.bytes(of: bits).span).prefix(20))
    }
}
