/// Why a head is refused. The caller must close the connection that carried the head.
public enum HeadFault: UInt8, Error, CaseIterable, Sendable {
    // Faults in single bytes, line ends, or the size of the head.
    case bareCR, bareLF, controlByte, incompleteHead, headTooLarge
    // Faults in the request line.
    case badRequestLine, badMethod, badTarget, targetTooLong, badVersion, unsupportedVersion, connectMethod
    // Faults in the status line.
    case badStatusLine
    // Faults in header fields.
    case foldedLine, missingColon, spaceBeforeColon, badFieldName, tooManyFields, badConnection
    // Faults in Host, or in the authority of the target.
    case missingHost, repeatedHost, badHost
    // Faults in the fields that say where the body ends.
    case badContentLength, repeatedContentLength, lengthAndTransferEncoding, badTransferEncoding
    case transferEncodingInHTTP10, unsupportedTransferCoding
    // An Expect field that asks for anything but 100-continue.
    case unmetExpectation

    /// The status of the answer to a request with this fault (RFC 9110 section 15). After a response with any fault the
    /// gateway answers 502.
    public var status: Int {
        switch self {
        case .targetTooLong: 414
        case .unmetExpectation: 417
        case .headTooLarge, .tooManyFields: 431
        case .connectMethod, .unsupportedTransferCoding: 501
        case .badStatusLine: 502
        case .unsupportedVersion: 505
        default: 400
        }
    }

    /// A short text for the log. The text never contains bytes of the peer.
    public var reason: StaticString {
        switch self {
        case .bareCR: "CR without LF"
        case .bareLF: "LF without CR"
        case .controlByte: "control byte in the head"
        case .incompleteHead: "the head has no end, or bytes after its end"
        case .headTooLarge: "head too large"
        case .badRequestLine: "malformed request line"
        case .badMethod: "method is no token"
        case .badTarget: "malformed request target"
        case .targetTooLong: "request target too long"
        case .badVersion: "malformed HTTP version"
        case .unsupportedVersion: "unsupported HTTP version"
        case .connectMethod: "CONNECT is not served"
        case .badStatusLine: "malformed status line"
        case .foldedLine: "line begins with white space"
        case .missingColon: "field without colon"
        case .spaceBeforeColon: "white space before a colon"
        case .badFieldName: "field name is no token"
        case .tooManyFields: "too many fields"
        case .badConnection: "malformed Connection"
        case .missingHost: "Host is missing"
        case .repeatedHost: "repeated Host"
        case .badHost: "malformed host"
        case .badContentLength: "malformed Content-Length"
        case .repeatedContentLength: "repeated Content-Length"
        case .lengthAndTransferEncoding: "both Content-Length and Transfer-Encoding"
        case .badTransferEncoding: "malformed Transfer-Encoding, or chunked is not its last"
        case .transferEncodingInHTTP10: "Transfer-Encoding in HTTP/1.0"
        case .unsupportedTransferCoding: "unsupported transfer coding"
        case .unmetExpectation: "unknown expectation"
        }
    }
}
