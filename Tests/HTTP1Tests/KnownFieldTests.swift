import HTTP1
import Testing

@Suite struct KnownFieldTests {
    /// The name of a field, derived from the name of its case.
    private static func name(_ field: KnownField) -> String {
        switch field {
        case .cfConnectingIP: return "CF-Connecting-IP"
        case .etag: return "ETag"
        case .http2Settings: return "HTTP2-Settings"
        case .secWebSocketAccept, .secWebSocketExtensions, .secWebSocketKey, .secWebSocketProtocol,
            .secWebSocketVersion:
            return "Sec-WebSocket-" + "\(field)".dropFirst("secWebSocket".count)
        case .te: return "TE"
        case .wwwAuthenticate: return "WWW-Authenticate"
        case .xRealIP: return "X-Real-IP"
        case .xRequestID: return "X-Request-ID"
        default: return "\(field)".reduce(into: "") { $0 += $1.isUppercase ? "-\($1)" : "\($1)" }
        }
    }

    private static func ids(_ names: [String]) -> [KnownField]? {
        let text = names.map { "\($0):\r\n" }.joined()
        return readResponse("HTTP/1.1 200 OK\r\n\(text)Transfer-Encoding: chunked\r\n\r\n".latin1).head?.fields
            .dropLast()
            .map(\.id)
    }

    @Test("Each known field is recognised in any case, and no similar name", arguments: KnownField.allCases)
    func known(_ field: KnownField) {
        // These two fields need a valid value. Other tests use their names.
        guard field != .contentLength, field != .transferEncoding, field != .other else { return }
        let name = Self.name(field)
        #expect(Self.ids([name, name.lowercased(), name.uppercased()]) == [field, field, field])
        let isForwarded = name.lowercased().hasPrefix("x-forwarded-")
        let beside: KnownField = isForwarded ? .xForwardedOther : .other
        #expect(Self.ids([name + "x", name + "-", name.dropLast() + "!"]) == [beside, beside, beside])
        #expect(Self.ids(["x" + name, "_" + name.dropFirst()]) == [.other, .other])
    }

    @Test("The fields that end at this hop are the standard ones")
    func hopByHop() {
        let names = KnownField.allCases.filter(\.isHopByHop).map { Self.name($0).lowercased() }
        #expect(
            names == [
                "connection", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-authentication-info",
                "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
            ])
    }

    @Test("Other forwarding fields are recognised by their prefix, at any length")
    func forwarded() {
        let long = "x-forwarded-" + String(repeating: "a", count: 300)
        #expect(
            Self.ids(["X-Forwarded-User", "X-FORWARDED-", long, "X-Forwarded", "X-Forwarded_For"]) == [
                .xForwardedOther, .xForwardedOther, .xForwardedOther, .other, .other,
            ])
    }

    @Test("A forwarding field's name must be a token, and underscores in it are noticed")
    func forwardedNames() {
        for name in ["X-Forwarded-For ", "X-Forwarded-a b", "X-Forwarded-\u{E9}", "X-Forwarded-a/b", "X-Forwarded-/"] {
            #expect(readRequest("GET / HTTP/1.1\r\nHost: a\r\n\(name): 1\r\n\r\n").fault?.status == 400)
        }
        let head = readRequest("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-A_b:\r\nX-Forwarded-!:\r\n\r\n").head
        #expect(head?.fields.map(\.hasUnderscore) == [false, true, false])
        #expect(head?.fields.map(\.id) == [.host, .xForwardedOther, .xForwardedOther])
        let response = readResponse("HTTP/1.1 200 OK\r\nX-Forwarded-For : 1\r\n\r\n".latin1).head
        #expect(response?.fields.map(\.id) == [.xForwardedFor])
    }

    @Test("A name longer than 32 bytes is not mistaken for its prefix")
    func long() {
        let name = "strict-transport-security"
        #expect(
            Self.ids([name, name + "-------", name + "--------", name + "---------"]) == [
                .strictTransportSecurity, .other, .other, .other,
            ])
    }
}
