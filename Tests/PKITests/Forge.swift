import COpenSSL

@testable import PKI

/// Makes keys, certificates and revocation lists of any kind, as faulty CAs and attackers do. PKI itself makes only
/// good ones.
enum Forge {
    enum Kind: Hashable {
        case rsa(Int)
        case ec(String)
        case ed25519

        static let p256 = Kind.ec("P-256")
    }

    /// A hash for signatures.
    enum Hash: String, CaseIterable {
        case md5 = "MD5"
        case sha1 = "SHA-1"
        case sha224 = "SHA-224"
        case sha256 = "SHA-256"

        /// The `EVP_MD`, which lives as long as the program. Nil for a key that includes its own hash.
        func algorithm(for key: Key) -> OpaquePointer? {
            if unsafe EVP_PKEY_is_a(key.handle, "ED25519") == 1 { return nil }
            return switch self {
            case .md5: unsafe EVP_md5()
            case .sha1: unsafe EVP_sha1()
            case .sha224: unsafe EVP_sha224()
            case .sha256: unsafe EVP_sha256()
            }
        }
    }

    /// A key, an `EVP_PKEY`.
    @safe
    final class Key: Sendable {
        // Sharing the pointer is safe: the key does not change after init, and OpenSSL counts references atomically.
        nonisolated(unsafe) let handle: OpaquePointer

        init(_ kind: Kind) throws {
            switch kind {
            case .rsa(let bits): unsafe handle = try OpenSSL.require("making a key", aegis_generate_rsa(bits))
            case .ec(let curve): unsafe handle = try OpenSSL.require("making a key", aegis_generate_ec(curve))
            case .ed25519: unsafe handle = try Self.ed25519()
            }
        }

        deinit { unsafe EVP_PKEY_free(handle) }

        /// The key as a `PrivateKey`, which refuses weak keys.
        func privateKey() throws -> PrivateKey {
            let der = try unsafe OpenSSL.encode("writing a key") { output in unsafe i2d_PrivateKey(handle, output) }
            return try PrivateKey(der: SecretBytes(der))
        }

        private static func ed25519() throws -> OpaquePointer {
            let context = try unsafe OpenSSL.require("making a key", EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, nil))
            defer { unsafe EVP_PKEY_CTX_free(context) }
            var key: OpaquePointer?
            try unsafe OpenSSL.check("making a key", EVP_PKEY_keygen_init(context))
            try unsafe OpenSSL.check("making a key", EVP_PKEY_keygen(context, &key))
            return try unsafe OpenSSL.require("making a key", key)
        }
    }

    /// An extension: by OpenSSL's number and a text in OpenSSL's configuration syntax, or as raw bytes.
    enum Extension {
        case text(Int32, String)
        case raw(CertificateExtension)

        static let authority = Extension.text(NID_basic_constraints, "critical,CA:TRUE")
        static let endEntity = Extension.text(NID_basic_constraints, "critical,CA:FALSE")
        static let signsCertificates = Extension.text(NID_key_usage, "critical,keyCertSign,cRLSign")
        static let signsHandshakes = Extension.text(NID_key_usage, "critical,digitalSignature")
        static let forClients = Extension.text(NID_ext_key_usage, "clientAuth")
        static let forServers = Extension.text(NID_ext_key_usage, "serverAuth")
        static func names(_ text: String) -> Extension { .text(NID_subject_alt_name, text) }
        /// An extension with names as bytes, each with the number of its kind.
        static func names(_ names: [(UInt8, [UInt8])]) -> Extension {
            .raw(
                CertificateExtension(
                    identifier: "2.5.29.17", isCritical: false,
                    value: DER.sequence(names.map { DER.context($0.0, $0.1) })))
        }
    }

    /// A certificate that was made here, with its key.
    @safe
    final class Made: Sendable {
        // Sharing the pointer is safe: the certificate does not change after init, and OpenSSL counts references
        // atomically.
        nonisolated(unsafe) let handle: OpaquePointer
        let key: Key
        let name: String
        let serial: Int
        let der: [UInt8]

        init(handle: OpaquePointer, key: Key, name: String, serial: Int) throws {
            unsafe self.handle = handle
            (self.key, self.name, self.serial) = (key, name, serial)
            der = try unsafe OpenSSL.encode("making a certificate") { output in unsafe i2d_X509(handle, output) }
        }

        deinit { unsafe X509_free(handle) }

        var pem: String { PEM.text("CERTIFICATE", der) }
    }

    /// Makes a certificate. Without `issuer` it is self-signed. Days are from `testNow`.
    static func certificate(
        _ name: String, key: Key, from issuer: Made? = nil, signer: Key? = nil,
        days: (from: Int64, to: Int64) = (-10, 90),
        serial: Int, hash: Hash = .sha256, _ extensions: [Extension], identifiers: Bool = true
    ) throws -> Made {
        let action = "making the certificate \(serial) of \(name)"
        let certificate = try unsafe OpenSSL.require(action, X509_new())
        try unsafe OpenSSL.check(action, X509_set_version(certificate, 2))
        try unsafe OpenSSL.check(action, ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial))
        if !name.isEmpty { try unsafe SubjectName.add(commonName: name, to: X509_get_subject_name(certificate)) }
        let parent = unsafe issuer?.handle ?? certificate
        try unsafe OpenSSL.check(action, X509_set_issuer_name(certificate, X509_get_subject_name(parent)))
        let (begin, end) = (Int(testNow + days.from * 86400), Int(testNow + days.to * 86400))
        try unsafe OpenSSL.require(action, ASN1_TIME_set(X509_getm_notBefore(certificate), begin))
        try unsafe OpenSSL.require(action, ASN1_TIME_set(X509_getm_notAfter(certificate), end))
        try unsafe OpenSSL.check(action, X509_set_pubkey(certificate, key.handle))
        let identifying: [Extension] = [
            .text(NID_subject_key_identifier, "hash"), .text(NID_authority_key_identifier, "keyid"),
        ]
        for item in (identifiers ? identifying : []) + extensions {
            let made = try unsafe make(item, subject: certificate, issuer: parent)
            defer { unsafe X509_EXTENSION_free(made) }
            try unsafe OpenSSL.check(action, X509_add_ext(certificate, made, -1))
        }
        let signing = signer ?? issuer?.key ?? key
        try unsafe OpenSSL.check(
            "signing the certificate \(serial) of \(name)",
            X509_sign(certificate, signing.handle, hash.algorithm(for: signing)))
        return try unsafe Made(handle: certificate, key: key, name: name, serial: serial)
    }

    private static func make(
        _ item: Extension, subject: OpaquePointer, issuer: OpaquePointer
    ) throws -> OpaquePointer {
        switch item {
        case .raw(let item): return try unsafe item.make()
        case .text(let number, let value):
            var context = unsafe X509V3_CTX()
            unsafe X509V3_set_ctx(&context, issuer, subject, nil, nil, 0)
            return try unsafe OpenSSL.require("making an extension", X509V3_EXT_conf_nid(nil, &context, number, value))
        }
    }

    /// Makes a revocation list in DER. Days are from `testNow`. Without an end, it has no next update.
    static func list(
        of issuer: Made, signer: Key? = nil, revoking serials: [Int], days: (from: Int64, to: Int64?) = (-1, 7),
        hash: Hash = .sha256, hasKeyIdentifier: Bool = true, _ extensions: [Extension] = [],
        entries: [Extension] = []
    ) throws -> [UInt8] {
        let action = "making a list"
        let list = try unsafe OpenSSL.require(action, X509_CRL_new())
        defer { unsafe X509_CRL_free(list) }
        try unsafe OpenSSL.check(action, X509_CRL_set_version(list, 1))
        try unsafe OpenSSL.check(action, X509_CRL_set_issuer_name(list, X509_get_subject_name(issuer.handle)))
        let begin = try unsafe OpenSSL.require(action, ASN1_TIME_set(nil, Int(testNow + days.from * 86400)))
        defer { unsafe ASN1_TIME_free(begin) }
        try unsafe OpenSSL.check(action, X509_CRL_set1_lastUpdate(list, begin))
        if let to = days.to {
            let end = try unsafe OpenSSL.require(action, ASN1_TIME_set(nil, Int(testNow + to * 86400)))
            defer { unsafe ASN1_TIME_free(end) }
            try unsafe OpenSSL.check(action, X509_CRL_set1_nextUpdate(list, end))
        }
        for serial in serials {
            let entry = try unsafe OpenSSL.require(action, X509_REVOKED_new())
            let number = try unsafe OpenSSL.require(action, ASN1_INTEGER_new())
            defer { unsafe ASN1_INTEGER_free(number) }
            try unsafe OpenSSL.check(action, ASN1_INTEGER_set(number, serial))
            try unsafe OpenSSL.check(action, X509_REVOKED_set_serialNumber(entry, number))
            try unsafe OpenSSL.check(action, X509_REVOKED_set_revocationDate(entry, begin))
            for item in entries {
                let made = try unsafe make(item, subject: issuer.handle, issuer: issuer.handle)
                defer { unsafe X509_EXTENSION_free(made) }
                try unsafe OpenSSL.check(action, X509_REVOKED_add_ext(entry, made, -1))
            }
            // The list takes ownership of the entry.
            try unsafe OpenSSL.check(action, X509_CRL_add0_revoked(list, entry))
        }
        for item in (hasKeyIdentifier ? [.text(NID_authority_key_identifier, "keyid")] : []) + extensions {
            let made = try unsafe make(item, subject: issuer.handle, issuer: issuer.handle)
            defer { unsafe X509_EXTENSION_free(made) }
            try unsafe OpenSSL.check(action, X509_CRL_add_ext(list, made, -1))
        }
        let signing = signer ?? issuer.key
        try unsafe OpenSSL.check(action, X509_CRL_sign(list, signing.handle, hash.algorithm(for: signing)))
        return try unsafe OpenSSL.encode(action) { output in unsafe i2d_X509_CRL(list, output) }
    }
}
