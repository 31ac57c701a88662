import COpenSSL

/// Reads the extensions of a certificate or a request, which must outlive the reader.
@unsafe
struct X509ExtensionReader {
    /// An `X509`, or the stack of a request's extensions.
    @unsafe private enum Source {
        case certificate(OpaquePointer)
        case list(OpaquePointer)
    }

    private let source: Source
    /// "certificate" or "request", for messages.
    let owner: String

    init(certificate: OpaquePointer) {
        unsafe source = .certificate(certificate)
        unsafe owner = "certificate"
    }

    init(requestList list: OpaquePointer) {
        unsafe source = .list(list)
        unsafe owner = "request"
    }

    /// OpenSSL's stack of an extension's values, which the caller owns; nil when there is no such extension.
    func stack(_ identifier: Int32, _ name: String) throws(PKIError) -> OpaquePointer? {
        var status: Int32 = 0
        ERR_clear_error()
        let value =
            switch unsafe source {
            case .certificate(let certificate): unsafe X509_get_ext_d2i(certificate, identifier, &status, nil)
            case .list(let list): unsafe X509V3_get_d2i(list, identifier, &status, nil)
            }
        if let value = unsafe value { return OpaquePointer(value) }
        // A status of -1 means that there is no such extension, -2 that there are several; any other status that it
        // can't be read.
        guard status == -1 else { throw unsafe .malformed(owner, reason: "its \(name) can't be read") }
        return nil
    }
}

enum SubjectNameReader {
    /// The most names that a certificate may have; more are refused.
    static let maximumNames = 1000

    /// A name of any kind. `kind` is one of OpenSSL's `GEN_` numbers; `bytes` is empty for kinds other than host names,
    /// addresses, URIs and e-mail.
    struct Content {
        let kind: Int32
        let bytes: [UInt8]
    }

    /// All subject alternative names, unchecked; empty when the extension is absent.
    static func contents(of reader: X509ExtensionReader) throws(PKIError) -> [Content] {
        let what = "subject alternative names"
        guard let stack = try unsafe reader.stack(NID_subject_alt_name, what) else { return [] }
        defer { unsafe GENERAL_NAMES_free(stack) }
        let count = unsafe OPENSSL_sk_num(stack)
        guard count <= maximumNames else { throw .tooLarge(what, limit: "\(maximumNames)") }
        var contents: [Content] = []
        for index in 0..<count {
            // Elements are GENERAL_NAMEs of the stack, which lives until this function returns.
            guard let element = unsafe OPENSSL_sk_value(stack, index)?.assumingMemoryBound(to: GENERAL_NAME.self) else {
                continue
            }
            var kind: Int32 = 0
            let value = unsafe GENERAL_NAME_get0_value(element, &kind)
            // These kinds hold an ASN1_STRING.
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
            return .ip(SubjectName.addressText(bytes))
        case GEN_DNS:
            guard !bytes.isEmpty, bytes.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                throw .malformed(owner, reason: "a host name among its names is empty or not plain ASCII")
            }
            return .dns(SubjectName.lowercased(String(decoding: bytes, as: UTF8.self)))
        default: return nil
        }
    }
}

extension OpenSSL {
    static func bytes(of string: UnsafePointer<ASN1_STRING>) -> [UInt8] {
        // Data and length both belong to the string, which the caller keeps alive.
        let length = unsafe Int(ASN1_STRING_length(string))
        return unsafe Array(UnsafeBufferPointer(start: ASN1_STRING_get0_data(string), count: length))
    }
}
