/// A request's method (RFC 9110 section 9, RFC 5789); methods are case-sensitive.
public enum Method: UInt8, Sendable {
    case get, head, post, put, delete, options, patch, trace, connect
    /// Any other method name. `RequestHead.methodName` has its text.
    case other

    static func parse(_ head: Span<UInt8>, _ start: Int, _ end: Int) throws(HeadFault) -> Method {
        switch PackedText(head, start, end) {
        case "GET": return .get
        case "POST": return .post
        case "HEAD": return .head
        case "PUT": return .put
        case "DELETE": return .delete
        case "OPTIONS": return .options
        case "PATCH": return .patch
        case "TRACE": return .trace
        case "CONNECT": return .connect
        default:
            guard head.isMade(of: .token, start, end) else { throw .badMethod }
            return .other
        }
    }
}
