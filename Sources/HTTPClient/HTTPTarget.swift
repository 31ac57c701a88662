import CCurl

/// The URL of a call. curl itself parses it, so that curl connects to the same host that Aegis has checked.
struct HTTPTarget {
    /// The URL after curl has normalized it.
    let url: String
    let isEncrypted: Bool
    /// The host in lower case. An IPv6 address is in brackets.
    let host: String
    /// The host, and the port if it is not the scheme's default.
    let place: String
    private let port: String

    /// Reads a URL. Throws if the URL has a user name or password, or a scheme other than https (or http, where allowed).
    init(_ text: String, _ plainHTTP: HTTPClient.PlainHTTP) throws(HTTPFailure) {
        guard !text.utf8.contains(0), let parser = unsafe curl_url() else { throw Self.failure("it is malformed") }
        // `parser` is not used after this scope, so it is freed only once.
        defer { unsafe curl_url_cleanup(parser) }
        switch unsafe curl_url_set(parser, CURLUPART_URL, text, UInt32(CURLU_DISALLOW_USER)) {
        case CURLUE_OK: break
        case CURLUE_USER_NOT_ALLOWED: throw Self.failure("it has a user name or password")
        case CURLUE_UNSUPPORTED_SCHEME: throw Self.failure("its scheme is not https")
        default: throw Self.failure("it is malformed")
        }
        func part(_ part: CURLUPart, _ flags: Int32 = 0) -> String {
            var value: UnsafeMutablePointer<CChar>?
            // On success, curl allocates the text, and the caller must free it.
            guard unsafe curl_url_get(parser, part, &value, UInt32(flags)) == CURLUE_OK, let value = unsafe value else {
                return ""
            }
            defer { unsafe curl_free(value) }
            return unsafe String(cString: value)
        }
        let scheme = part(CURLUPART_SCHEME).lowercased()
        guard scheme == "https" || scheme == "http" else { throw Self.failure("its scheme is not https") }
        isEncrypted = scheme == "https"
        url = part(CURLUPART_URL)
        host = part(CURLUPART_HOST).lowercased()
        port = part(CURLUPART_PORT, CURLU_DEFAULT_PORT)
        let hasOwnPort = port == (isEncrypted ? "443" : "80")
        place = hasOwnPort ? host : "\(host):\(port)"
        guard isEncrypted || plainHTTP == .everywhere || plainHTTP == .thisMachine && isLoopback else {
            throw Self.failure("http is not encrypted: https is needed")
        }
    }

    /// Whether both URLs have the same scheme, host and port, and so the same origin (RFC 6454 section 5).
    func hasSameOrigin(as other: HTTPTarget) -> Bool {
        isEncrypted == other.isEncrypted && host == other.host && port == other.port
    }

    /// Whether the host is this machine itself (RFC 6761 section 6.3), which a proxy can't reach.
    var isLoopback: Bool {
        let isAddress = host.utf8.allSatisfy { $0 == UInt8(ascii: ".") || (0x30...0x39).contains($0) }
        return host == "localhost" || host.hasSuffix(".localhost") || host == "[::1]"
            || isAddress && host.hasPrefix("127.")
    }

    // The message leaves out the URL, since its path or query may be secret.
    private static func failure(_ reason: String) -> HTTPFailure {
        HTTPFailure("bad URL: \(reason)", mayHaveArrived: false)
    }
}
