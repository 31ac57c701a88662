/// Finds the end of a head in bytes that arrive piece by piece (RFC 9112 section 2), and refuses at once what no head may
/// hold: CR or LF alone, control bytes, HTAB in a request's line.
///
/// It remembers how far it has looked, so that a head costs the same however it is cut. One lives in each connection.
public struct HeadScanner: Sendable {
    /// How far a scan has come.
    public enum Progress: Equatable, Sendable {
        /// The head's end has not arrived.
        case incomplete
        /// The head takes this many bytes: from the first, through its empty line.
        case complete(headBytes: Int)
        /// This is no head, whatever follows; it is not to be scanned further.
        case malformed(HeadFault)
    }

    private var position: UInt32 = 0
    private var lineStart: UInt32 = 0
    private let isRequest: Bool
    private var isInFirstLine = true

    private init(isRequest: Bool) { self.isRequest = isRequest }

    /// For a request's head; one empty line before it is part of it.
    public static var request: HeadScanner { HeadScanner(isRequest: true) }
    /// For a response's head; one empty line before it is part of it.
    public static var response: HeadScanner { HeadScanner(isRequest: false) }

    /// Looks at what has arrived since the last call.
    ///
    /// `bytes` are all the bytes from the head's first on; those of the last call must still be at its beginning. What
    /// follows the head may be among them.
    public mutating func scan(_ bytes: Span<UInt8>, limits: HeadLimits) -> Progress {
        // What lies beyond the limit is not looked at, so that the answer is the same however the bytes are cut.
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

    /// Takes a line that ends before `next`; gives what an empty one means.
    private mutating func endLine(_ next: Int) -> Progress? {
        let isEmpty = next - Int(lineStart) == 2
        lineStart = UInt32(next)
        if !isEmpty {
            isInFirstLine = false
            return nil
        }
        if !isInFirstLine { return .complete(headBytes: next) }
        // RFC 9112 section 2.2: at least one empty line before a request is to be ignored. Some servers send one, too.
        return next == 2 ? nil : .malformed(isRequest ? .badRequestLine : .badStatusLine)
    }

    private mutating func pause(_ at: Int, _ count: Int, _ limits: HeadLimits) -> Progress {
        position = UInt32(at)
        guard count >= limits.maxHeadBytes else { return .incomplete }
        return .malformed(isRequest && isInFirstLine ? .targetTooLong : .headTooLarge)
    }
}
