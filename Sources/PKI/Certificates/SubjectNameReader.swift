import COpenSSL
import PeerNames

/// Reads the extensions of a certificate or a request. The certificate or request must outlive the reader.
@unsafe
struct X509ExtensionReader {
    /// An `X509`, or OpenSSL's stack of a request's extensions.
    @unsafe private enum Source {
        case certificate(OpaquePointer)
        case list(OpaquePointer)
    }

    private let source: Source
    /// The word for messages: "certificate" or "request".
    let owner: String

    init(certificate: OpaquePointer) {
        unsafe source = .certificate(certificate)
        unsafe owner = "certificate"
    }

    init(requestList list: OpaquePointer) {
        unsafe source = .list(list)
        unsafe owner = "request"
    }

    /// Reads an extension as OpenSSL's stack of values. The caller must free the stack. Returns nil if the extension is
    /// missing.
    func stack(_ identifier: Int32, _ name: String) throws(PKIError) -> OpaquePointer? {
        var status: Int32 = 0
        ERR_clear_error()
        let value =
            switch unsafe source {
            case .certificate(let certificate): unsafe X509_get_ext_d2i(certificate, identifier, &status, nil)
            case .list(let list): unsafe X509V3_get_d2i(list, identifier, &status, nil)
            }
        if let value = unsafe value { return OpaquePointer(value) }
        // The status is -1 if the extension is missing, -2 if it occurs twice, and another value if it can't be read.
        guard status == -1 else { throw unsafe .malformed(owner, reason: "its \(name) can't be read") }
        return nil
    }
}

enum SubjectNameReader {
    /// A certificate with more names is rejected.
    static let maximumNames = 1000

    /// A subject alternative name of any kind. `kind` is one of OpenSSL's `GEN_` constants. `bytes` has the content of
    /// host names, IP addresses, URIs and e-mail addresses, and is empty for other kinds.
    struct Content {
        let kind: Int32
        let bytes: [UInt8]
    }

    /// Reads all subject alternative names without checking them. Returns an empty list if the extension is missing.
    static func contents(of reader: X509ExtensionReader) throws(PKIError) -> [Content] {
        let what = "subject alternative names"
        guard let stack = try unsafe reader.stack(NID_subject_alt_name, what) else { return [] }
        defer { unsafe GENERAL_NAMES_free(stack) }
        let count = unsafe OPENSSL_sk_num(stack)
        guard count <= maximumNames else { throw .tooLarge(what, limit: "\(maximumNames)") }
        var contents: [Content] = []
        for index in 0..<count {
            // This is safe, since the stack owns its elements, which are GENERAL_NAMEs, and is freed only when this
            // function returns.
            guard let element = unsafe OPENSSL_sk_value(stack, index)?.assumingMemoryBound(to: GENERAL_NAME.self) else {
                continue
            }
            var kind: Int32 = 0
            let value = unsafe GENERAL_NAME_get0_value(element, &kind)
            // For these four kinds, OpenSSL stores the value as an ASN1_STRING.
            let text =
                [GEN_DNS, GEN_IPADD, GEN_URI, GEN_EMAIL].contains(kind)
                ? unsafe value?.assumingMemoryBound(to: ASN1_STRING.self) : nil
            contents.append(Content(kind: kind, bytes: unsafe text.map { unsafe OpenSSL.bytes(of: $0) } ?? []))
        }
        return contents
    }

    static func names(of reader: X509ExtensionReader) throws(PKIError) -> [SubjectName] {
        var names: [SubjectName] = []
        for content in try unsafe contents(of: reader) {
            if let name = try unsafe name(content, of: reader.owner) { names.append(name) }
        }
        return names
    }

    private static func name(_ content: Content, of owner: String) throws(PKIError) -> SubjectName? {
        let bytes = content.bytes
        switch content.kind {
        case GEN_IPADD:
            guard bytes.count == 4 || bytes.count == 16 else {
                throw .malformed(owner, reason: "an address among its names has \(bytes.count) bytes")
            }
            return .ip(AddressText.text(of: bytes))
        case GEN_DNS:
            guard !bytes.isEmpty, bytes.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                throw .malformed(owner, reason: "a host name among its names is empty or not plain ASCII")
            }
            return .dns(AddressText.lowercased(String(decoding: bytes, as: UTF8.self)))
        default: return nil
        }
    }
}

extension OpenSSL {
    static func bytes(of string: UnsafePointer<ASN1_STRING>) -> [UInt8] {
        // This is safe, since the string owns the `length` bytes at the pointer, and the caller keeps the string alive.
        let length = unsafe Int(ASN1_STRING_length(string))
        return unsafe Array(UnsafeBufferPointer(start: ASN1_STRING_get0_data(string), count: length))
    }
}
