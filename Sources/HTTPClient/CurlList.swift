import CCurl
import PKI

/// A linked list of texts for curl. The deinitializer frees it, and curl's memory functions wipe it (see CCurl's
/// shim.h).
@safe
struct CurlList: ~Copyable {
    private(set) var list: UnsafeMutablePointer<curl_slist>?

    /// curl adds these fields to requests by default. Aegis sends them only if the caller sets them.
    private static let unwanted = ["Accept", "Content-Type", "Expect"]

    /// The header fields of a request. curl itself adds Host, User-Agent and Content-Length.
    init(fieldsOf request: HTTPRequest) throws(HTTPFailure) {
        unsafe list = nil
        for field in request.fields { try append(field.name, SecretBytes(Array(field.value.utf8))) }
        if let secret = request.authorization { try append(secret.name, secret.value) }
        let names = Set(request.fields.map { $0.name.lowercased() })
        for name in Self.unwanted where !names.contains(name.lowercased()) { try append(SecretBytes(text: "\(name):")) }
    }

    /// The fixed addresses of host names, as CURLOPT_RESOLVE expects them.
    init(_ resolutions: [HTTPClient.Resolution]) throws(HTTPFailure) {
        unsafe list = nil
        for entry in resolutions {
            try append(SecretBytes(text: "\(entry.host):\(entry.port):\(entry.address)"))
        }
    }

    deinit { unsafe curl_slist_free_all(list) }

    private mutating func append(_ name: String, _ value: SecretBytes) throws(HTTPFailure) {
        guard HTTPField.isName(name), value.withBytes({ HTTPField.isValue($0) }) else {
            throw HTTPFailure(
                "the header field \(HTTPField.isName(name) ? name : "") has characters that none may have",
                hint: "is there a line end or a control character in a token?", mayHaveArrived: false)
        }
        // curl reads `Name;` as a field with an empty value, and `Name:` as a field to leave out.
        let separator = value.count == 0 ? ";" : ": "
        try append(SecretBytes(joining: [SecretBytes(text: name + separator), value]))
    }

    private mutating func append(_ text: SecretBytes) throws(HTTPFailure) {
        let terminated = SecretBytes(joining: [text, SecretBytes([0])])
        let longer = unsafe terminated.withBytes { bytes in
            unsafe bytes.withUnsafeBytes { bytes in
                // This is safe, since the text ends with NUL, and curl copies it.
                unsafe curl_slist_append(list, bytes.baseAddress?.assumingMemoryBound(to: CChar.self))
            }
        }
        guard let longer = unsafe longer else { throw HTTPFailure("there is no memory left", mayHaveArrived: false) }
        unsafe list = unsafe longer
    }
}

extension SecretBytes {
    fileprivate convenience init(text: String) { self.init(Array(text.utf8)) }
}
