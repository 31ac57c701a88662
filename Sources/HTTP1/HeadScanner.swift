/// Finds the end of a head in bytes that arrive piece by piece (RFC 9112 section 2). The scanner refuses at once bytes
/// that no head may contain: CR or LF alone, control bytes, and HTAB in a request line.
///
/// The scanner remembers the offset it has reached, so scanning costs the same however the head is split. Each
/// connection has a scanner of its own.
public struct HeadScanner: Sendable {
    /// The result of a scan.
    public enum Progress: Equatable, Sendable {
        /// The head's end has not arrived.
        case incomplete
        /// The head is complete and has this many bytes, including its empty line.
        case complete(headBytes: Int)
        /// The bytes can't become a valid head; scanning must stop.
        case malformed(HeadFault)
    }

    private var position: UInt32 = 0
    private var lineStart: UInt32 = 0
    private let isRequest: Bool
    private var isInFirstLine = true

    private init(isRequest: Bool) { self.isRequest = isRequest }

    /// Creates a scanner for a request's head. One empty line before the request line counts as part of the head.
    public static var request: HeadScanner { HeadScanner(isRequest: true) }
    /// Creates a scanner for a response's head. One empty line before the status line counts as part of the head.
    public static var response: HeadScanner { HeadScanner(isRequest: false) }

    /// Whether a byte of the head has arrived. An empty line before it, or the first byte of one, does not count.
    public var hasBegun: Bool { !isInFirstLine || position > lineStart }

    /// Scans the bytes that have arrived since the last call.
    ///
    /// `bytes` holds all bytes since the head's first byte, also those of earlier calls. Bytes after the head may
    /// follow.
    public mutating func scan(_ bytes: Span<UInt8>, limits: HeadLimits) -> Progress {
        // Bytes beyond the limit are not read, so the result is the same however the head is split.
        let bytes = bytes.extracting(first: limits.maxHeadBytes)
        var at = Int(position)
        while true {
            at = bytes.firstControl(from: at)
            guard at < bytes.count else { break }
            switch bytes[at] {
            case .tab where !(isRequest && isInFirstLine):
                at += 1
            case .cr:
                guard at + 1 < bytes.count else { return pause(at, bytes.count, limits) }
                guard bytes[at + 1] == .lf else { return .malformed(.bareCR) }
                at += 2
                if let end = endLine(at) { return end }
            case .lf:
                return .malformed(.bareLF)
            default:
                return .malformed(.controlByte)
            }
        }
        return pause(at, bytes.count, limits)
    }

    /// Handles a line that ends before offset `next`. Returns the result of the scan if the line ends the head or must
    /// not be there; nil if the scan goes on.
    private mutating func endLine(_ next: Int) -> Progress? {
        let isEmpty = next - Int(lineStart) == 2
        lineStart = UInt32(next)
        if !isEmpty {
            isInFirstLine = false
            return nil
        }
        if !isInFirstLine { return .complete(headBytes: next) }
        // RFC 9112 section 2.2: a server should ignore at least one empty line before a request. Some servers send one
        // before a response.
        return next == 2 ? nil : .malformed(isRequest ? .badRequestLine : .badStatusLine)
    }

    private mutating func pause(_ at: Int, _ count: Int, _ limits: HeadLimits) -> Progress {
        position = UInt32(at)
        guard count >= limits.maxHeadBytes else { return .incomplete }
        return .malformed(isRequest && isInFirstLine ? .targetTooLong : .headTooLarge)
    }
}
