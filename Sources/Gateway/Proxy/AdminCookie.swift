import CLinux

/// The cookie of the admin page's sessions. Browsers send a cookie to every port of a host (RFC 6265 section 8.5), so
/// requests to sites under the name of this machine have it too. Upstreams must not get it.
package enum AdminCookie {
    package static let name = "__Host-aegis"

    private static var start: StaticString { "__Host-aegis=" }

    /// Whether the value of a Cookie field may contain the cookie.
    static func mayBe(in value: Bytes) -> Bool {
        let start = Bytes(start)
        // This is safe, since memmem only reads.
        return unsafe memmem(value.buffer.baseAddress, value.count, start.buffer.baseAddress, start.count) != nil
    }

    /// Calls `body` with each cookie in the value of a Cookie field but the session's.
    static func forEachOther(in value: Bytes, _ body: (Bytes) -> Void) {
        let name = Bytes(start)
        var at = 0
        while at < value.count {
            while at < value.count, value[at] == UInt8(ascii: " ") { at += 1 }
            let begin = at
            while at < value.count, value[at] != UInt8(ascii: ";") { at += 1 }
            let cookie = value[begin..<at]
            at += 1
            guard !cookie.isEmpty, cookie.count < name.count || !cookie[0..<name.count].equals(name) else { continue }
            body(cookie)
        }
    }
}
