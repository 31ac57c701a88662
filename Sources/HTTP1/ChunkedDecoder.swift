/// Finds the data of a chunked body (RFC 9112 section 7.1). Extensions and trailers are checked, bounded and dropped.
///
/// Servers of small devices write blanks behind a chunk's size, and some servers before a trailer's colon. A response may
/// have them, a request may not.
public struct ChunkedDecoder: Sendable {
    private enum State: UInt8, Sendable {
        case sizeStart, size, sizeBlank, chunkExtension, sizeLF
        case data, dataCR, dataLF
        case trailerStart, trailerName, trailerBlank, trailerValue, trailerLF, lastLF
        case end
    }

    private let limits: BodyLimits
    private let kind: MessageKind
    private var state = State.sizeStart
    /// How many bytes there are of chunks' lines beyond 16 for each and two for each byte of data.
    private var excess: Int32 = 0
    /// The most that `excess` may be: a body with more only keeps its receiver busy (RFC 9112 section 7.1.1).
    private static let maxExcess = 16 << 10
    /// What is left of a chunk's data; the size while it is read.
    private var left: UInt64 = 0
    /// The bytes of this chunk's line, or of all trailer lines, that have been seen.
    private var lineBytes = 0

    /// A decoder of one body.
    public init(of kind: MessageKind = .request, limits: BodyLimits = BodyLimits()) {
        self.kind = kind
        self.limits = limits
    }

    /// Whether the last chunk and the empty line after the trailers have been seen.
    public var isComplete: Bool { state == .end }

    /// How many bytes of a chunk's data are announced and not yet given.
    package var announced: UInt64 { state == .data ? left : 0 }

    /// What comes next in `bytes` from `offset` on; `offset` is at most their count.
    public mutating func next(in bytes: Span<UInt8>, from offset: Int) -> BodyStep {
        var at = offset
        while state != .end {
            guard at < bytes.count else { return .needMore }
            if state == .data {
                let count = Int(min(left, UInt64(bytes.count - at)))
                left -= UInt64(count)
                if left == 0 { state = .dataCR }
                return .data(start: at, count: count)
            }
            do throws(BodyFault) {
                try state.rawValue < State.trailerStart.rawValue ? takeChunkByte(bytes[at]) : takeTrailerByte(bytes[at])
            } catch {
                return .malformed(error)
            }
            at += 1
        }
        return .end(at)
    }

    private mutating func takeChunkByte(_ byte: UInt8) throws(BodyFault) {
        switch state {
        case .sizeStart, .size:
            if let digit = byte.hexValue {
                guard left &>> 60 == 0 else { throw .badChunkSize }
                left = left &<< 4 | UInt64(digit)
                state = .size
                try countLineByte(limits.maxChunkLineBytes, .chunkLineTooLong)
            } else {
                guard state == .size else { throw .badChunkSize }
                try endSize(byte)
            }
        case .sizeBlank: try endSize(byte)
        case .chunkExtension:
            if byte == .cr {
                state = .sizeLF
            } else {
                guard byte.isFieldText else { throw .badExtension }
                try countLineByte(limits.maxChunkLineBytes, .chunkLineTooLong)
            }
        case .sizeLF:
            try expect(.lf, byte)
            let excess = Int(excess) + lineBytes - 16 - 2 * Int(min(left, 1 << 20))
            guard excess <= Self.maxExcess else { throw .tooMuchFraming }
            self.excess = Int32(max(0, excess))
            state = left == 0 ? .trailerStart : .data
            lineBytes = 0
        case .dataCR:
            try expect(.cr, byte)
            state = .dataLF
        default:
            try expect(.lf, byte)
            state = .sizeStart
        }
    }

    /// Takes what follows a size: blanks may stand before an extension.
    private mutating func endSize(_ byte: UInt8) throws(BodyFault) {
        switch byte {
        case .cr where state == .size || kind == .response:
            state = .sizeLF
            return
        case .ascii(";"): state = .chunkExtension
        case .space, .tab: state = .sizeBlank
        default: throw .badChunkSize
        }
        try countLineByte(limits.maxChunkLineBytes, .chunkLineTooLong)
    }

    private mutating func takeTrailerByte(_ byte: UInt8) throws(BodyFault) {
        switch state {
        case .trailerLF:
            try expect(.lf, byte)
            state = .trailerStart
            return
        case .lastLF:
            try expect(.lf, byte)
            state = .end
            return
        case .trailerStart where byte == .cr:
            state = .lastLF
            return
        case .trailerValue where byte == .cr:
            state = .trailerLF
            return
        case .trailerName where byte == .ascii(":"), .trailerBlank where byte == .ascii(":"):
            state = .trailerValue
        case .trailerName where byte.isBlank && kind == .response:
            state = .trailerBlank
        case .trailerBlank:
            guard byte.isBlank else { throw .badTrailer }
        case .trailerValue:
            guard byte.isFieldText else { throw .badTrailer }
        default:
            guard ByteSet.token.contains(byte) else { throw .badTrailer }
            state = .trailerName
        }
        try countLineByte(limits.maxTrailerBytes, .trailersTooLarge)
    }

    private mutating func countLineByte(_ limit: Int, _ fault: BodyFault) throws(BodyFault) {
        lineBytes += 1
        guard lineBytes <= limit else { throw fault }
    }

    private func expect(_ expected: UInt8, _ byte: UInt8) throws(BodyFault) {
        guard byte == expected else { throw .badLineEnd }
    }
}
