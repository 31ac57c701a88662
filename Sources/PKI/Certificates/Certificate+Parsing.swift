import COpenSSL

extension Certificate {
    /// The largest certificate that is read, 64 KiB.
    package static let maximumBytes = 64 << 10

    /// Reads a certificate. Throws if bytes follow it, if an extension can't be read, or if a host name has characters
    /// other than visible ASCII. A NUL in a host name is dangerous: some programs take the part before it for the whole
    /// name.
    package init(der: [UInt8]) throws(PKIError) {
        let certificate = try unsafe Self.decode(der)
        defer { unsafe X509_free(certificate) }
        // The call makes OpenSSL parse all extensions. OpenSSL sets EXFLAG_INVALID if it can't read one of them.
        guard unsafe X509_get_extension_flags(certificate) & UInt32(EXFLAG_INVALID) == 0 else {
            throw Self.malformed("an extension can't be read")
        }
        guard let key = unsafe X509_get_X509_PUBKEY(certificate) else { throw Self.malformed("it has no public key") }
        self.der = der
        names = try unsafe SubjectNameReader.names(of: X509ExtensionReader(certificate: certificate))
        subjectCommonName = unsafe Self.commonName(of: X509_get_subject_name(certificate))
        issuerCommonName = unsafe Self.commonName(of: X509_get_issuer_name(certificate))
        notBefore = try unsafe Self.seconds(X509_get0_notBefore(certificate))
        notAfter = try unsafe Self.seconds(X509_get0_notAfter(certificate))
        serial = try unsafe Self.serial(of: certificate)
        fingerprint = Hex.text(OpenSSL.sha256(der.span))
        let usage = unsafe X509_get_key_usage(certificate)
        keyUsage = usage == UInt32.max ? nil : KeyUsage(rawValue: usage)
        extendedKeyUsages = try unsafe Self.extendedKeyUsages(of: certificate)
        isCA = unsafe X509_get_extension_flags(certificate) & UInt32(EXFLAG_CA) != 0
        let length = unsafe X509_get_pathlen(certificate)
        pathLength = length < 0 ? nil : Int(length)
        authorityKeyIdentifier = unsafe X509_get0_authority_key_id(certificate).map { unsafe OpenSSL.bytes(of: $0) }
        subjectKeyIdentifier = unsafe X509_get0_subject_key_id(certificate).map { unsafe OpenSSL.bytes(of: $0) }
        let places = unsafe Self.issuerPlaces(certificate)
        locatesIssuer = !places.isEmpty
        issuerAddress = places.lazy.compactMap(Self.webAddress).first
        publicKeyDER = try unsafe OpenSSL.encode("reading a public key") { output in unsafe i2d_X509_PUBKEY(key, output)
        }
        ERR_clear_error()
        publicKeyKindValue = unsafe X509_get0_pubkey(certificate).map { unsafe KeyKind(of: $0) } ?? .other("unknown")
        isSelfIssued =
            unsafe X509_NAME_cmp(X509_get_subject_name(certificate), X509_get_issuer_name(certificate)) == 0
        var bits: Int32 = 0
        let isKnown = unsafe X509_get_signature_info(certificate, nil, nil, &bits, nil) == 1
        signatureSecurityBits = isKnown ? Int(bits) : 0
        ERR_clear_error()
    }

    /// Decodes DER into an `X509`. The caller must free it.
    static func decode(_ der: [UInt8]) throws(PKIError) -> OpaquePointer {
        guard der.count <= maximumBytes else { throw .tooLarge("certificate", limit: "64 KiB") }
        let certificate = unsafe OpenSSL.decode(der.span, free: X509_free) { position, count in
            unsafe d2i_X509(nil, position, count)
        }
        guard let certificate = unsafe certificate else {
            throw malformed(OpenSSL.drainReasons().first ?? "bytes follow it")
        }
        return unsafe certificate
    }

    /// Whether `issuer` has issued this certificate. Checks the issuer's name, its key identifier, its right to sign
    /// certificates, and the signature.
    package func isIssued(by issuer: Certificate) -> Bool {
        guard let child = unsafe try? Self.decode(der) else { return false }
        defer { unsafe X509_free(child) }
        guard let parent = unsafe try? Self.decode(issuer.der) else { return false }
        defer { unsafe X509_free(parent) }
        ERR_clear_error()
        defer { ERR_clear_error() }
        guard unsafe X509_check_issued(parent, child) == X509_V_OK, unsafe X509_check_ca(parent) > 0,
            let key = unsafe X509_get0_pubkey(parent)
        else { return false }
        return unsafe X509_verify(child, key) == 1
    }

    private static func malformed(_ reason: String) -> PKIError { .malformed("certificate", reason: reason) }

    private static func commonName(of name: OpaquePointer?) -> String? {
        let index = unsafe X509_NAME_get_index_by_NID(name, NID_commonName, -1)
        guard index >= 0, let entry = unsafe X509_NAME_get_entry(name, index),
            let value = unsafe X509_NAME_ENTRY_get_data(entry)
        else { return nil }
        var text: UnsafeMutablePointer<UInt8>?
        // This is safe, since the call allocates `text`, and `aegis_free` frees it below.
        let length = unsafe ASN1_STRING_to_UTF8(&text, value)
        guard length > 0, let start = unsafe text else { return nil }
        defer { unsafe aegis_free(start) }
        return unsafe String(decoding: UnsafeBufferPointer(start: start, count: Int(length)), as: UTF8.self).oneLine
    }

    /// The validity of a certificate in DER, in seconds since 1970. Much cheaper than `init(der:)`, which reads all
    /// fields. Nil if it can't be read.
    package static func validity(of der: [UInt8]) -> (notBefore: Int64, notAfter: Int64)? {
        guard let certificate = try? CertificateHandle(der: der) else { return nil }
        defer { extendLifetime(certificate) }
        guard
            let notBefore = unsafe OpenSSL.seconds(X509_get0_notBefore(certificate.handle)),
            let notAfter = unsafe OpenSSL.seconds(X509_get0_notAfter(certificate.handle))
        else { return nil }
        return (notBefore, notAfter)
    }

    private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) throws(PKIError) -> Int64 {
        guard let seconds = unsafe OpenSSL.seconds(time) else { throw malformed("a time can't be read") }
        return seconds
    }

    private static func serial(of certificate: OpaquePointer) throws(PKIError) -> String {
        guard let number = unsafe X509_get0_serialNumber(certificate) else { throw malformed("it has no serial") }
        let der = try unsafe OpenSSL.encode("reading a serial") { output in unsafe i2d_ASN1_INTEGER(number, output) }
        // The DER consists of a tag (1 byte), the length (1 byte if it is below 128) and the number. RFC 5280 allows
        // numbers of 20 bytes, but some CAs use longer numbers, so up to 127 bytes are read.
        guard der.count > 2, der[1] < 0x80 else { throw malformed("its serial is too long") }
        return Hex.text(der.dropFirst(2))
    }

    /// Reads where the issuer's certificate can be downloaded (authority information access). A location that is not a
    /// URI is nil in the result.
    private static func issuerPlaces(_ certificate: OpaquePointer) -> [[UInt8]?] {
        let reader = unsafe X509ExtensionReader(certificate: certificate)
        // An unreadable extension counts as a missing one, since other programs accept such a certificate too.
        guard let stack = unsafe try? reader.stack(NID_info_access, "authority information access") else { return [] }
        defer { unsafe AUTHORITY_INFO_ACCESS_free(stack) }
        var places: [[UInt8]?] = []
        for index in 0..<(unsafe OPENSSL_sk_num(stack)) {
            // This is safe, since the stack owns its elements, which are ACCESS_DESCRIPTIONs, and is freed only when
            // this function returns.
            guard let element = unsafe OPENSSL_sk_value(stack, index)?.assumingMemoryBound(to: ACCESS_DESCRIPTION.self),
                unsafe OBJ_obj2nid(element.pointee.method) == NID_ad_ca_issuers
            else { continue }
            var kind: Int32 = 0
            let value = unsafe GENERAL_NAME_get0_value(element.pointee.location, &kind)
            let text = unsafe kind == GEN_URI ? value?.assumingMemoryBound(to: ASN1_STRING.self) : nil
            places.append(unsafe text.map { unsafe OpenSSL.bytes(of: $0) })
        }
        return places
    }

    /// Returns the URI as text if its scheme is http or https and it has at most 300 bytes, all visible ASCII.
    /// Otherwise returns nil.
    private static func webAddress(_ uri: [UInt8]?) -> String? {
        guard let uri, uri.count <= 300, uri.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
        let text = String(decoding: uri, as: UTF8.self)
        return ["http://", "https://"].contains(where: text.lowercased().hasPrefix) ? text : nil
    }

    private static func extendedKeyUsages(of certificate: OpaquePointer) throws(PKIError) -> [String] {
        let reader = unsafe X509ExtensionReader(certificate: certificate)
        guard let stack = try unsafe reader.stack(NID_ext_key_usage, "extended key usage") else { return [] }
        defer { unsafe EXTENDED_KEY_USAGE_free(stack) }
        var result: [String] = []
        for index in 0..<(unsafe OPENSSL_sk_num(stack)) {
            var text = [CChar](repeating: 0, count: 128)
            // This is safe, since the stack owns its elements, which are ASN1_OBJECTs, and OBJ_obj2txt writes at most
            // `text.count` bytes, including a NUL.
            let length = unsafe OBJ_obj2txt(&text, Int32(text.count), OpaquePointer(OPENSSL_sk_value(stack, index)), 1)
            guard length > 0, length < text.count else { throw malformed("an extended key usage can't be read") }
            result.append(String(decoding: text.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        return result
    }
}
