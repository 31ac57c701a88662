/// The versions of HTTP/1 (RFC 9112 section 2.3).
public enum HTTPVersion: UInt8, Sendable {
    case http10
    /// HTTP/1.1, and any later minor version, which is treated as 1.1 (RFC 9110 section 2.5).
    case http11

    /// Reads a version of eight bytes, such as `HTTP/1.1`, at `start`. Throws `unsupportedVersion` for another major
    /// version than 1, and `badVersion` if the bytes are not a version.
    static func parse(_ head: Span<UInt8>, at start: Int) throws(HeadFault) -> HTTPVersion {
        guard start + 8 <= head.count else { throw .badVersion }
        switch PackedText(head, start, start + 8) {
        case "HTTP/1.1": return .http11
        case "HTTP/1.0": return .http10
        default: break
        }
        let isVersion =
            PackedText(head, start, start + 5) == "HTTP/" && head[start + 5].isDigit
            && head[start + 6] == .ascii(".") && head[start + 7].isDigit
        guard isVersion else { throw .badVersion }
        guard head[start + 5] == .ascii("1") else { throw .unsupportedVersion }
        return .http11
    }
}
