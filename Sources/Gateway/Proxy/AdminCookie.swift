/// The cookie of the admin page's sessions. Browsers send a cookie to every port of a host (RFC 6265 section 8.5), so
/// requests to sites under the name of this machine have it too. Upstreams must not get it.
package enum AdminCookie {
    package static let name = "__Host-aegis"

    private static var start: StaticString { "__Host-aegis=" }

    /// Whether the cookie is in the value of a Cookie field.
    static func isIn(_ value: Bytes) -> Bool {
        var at = 0
        while at < value.count {
            while at < value.count, value[at] == UInt8(ascii: " ") { at += 1 }
            if startsCookie(value.from(at)) { return true }
            guard let end = value.from(at).firstIndex(of: UInt8(ascii: ";")) else { return false }
            at += end + 1
        }
        return false
    }

    private static func startsCookie(_ rest: Bytes) -> Bool {
        let start = Bytes(start)
        return rest.count >= start.count && rest[0..<start.count].equals(start)
    }

    /// Calls `body` with each cookie in the value of a Cookie field, except the session's cookie.
    static func forEachOther(in value: Bytes, _ body: (Bytes) -> Void) {
        var at = 0
        while at < value.count {
            while at < value.count, value[at] == UInt8(ascii: " ") { at += 1 }
            let begin = at
            while at < value.count, value[at] != UInt8(ascii: ";") { at += 1 }
            let cookie = value[begin..<at]
            at += 1
            guard !cookie.isEmpty, !startsCookie(cookie) else { continue }
            body(cookie)
        }
    }
}
