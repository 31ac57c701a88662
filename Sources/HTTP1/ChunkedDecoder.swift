/// Finds the data and the trailers of a chunked body (RFC 9112 section 7.1). Both extensions and trailers are checked
/// and limited in size; extensions are dropped.
///
/// Servers in small devices write blanks after a chunk's size, and some servers write blanks before a trailer's colon.
/// The decoder accepts such blanks in responses and refuses them in requests.
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
    /// By how many bytes the chunk lines so far exceed an allowance of 16 bytes for each chunk and 2 for each byte of
    /// data.
    private var excess: Int32 = 0
    /// The limit of `excess`. A body with more framing would mainly keep its receiver busy (RFC 9112 section 7.1.1).
    private static let maxExcess = 16 << 10
    /// The rest of the current chunk's data, in bytes. While the size is being read, the value of the digits so far.
    private var left: UInt64 = 0
    /// The bytes so far of the current chunk's line, or of all trailer lines.
    private var lineBytes = 0

    /// Creates a decoder for one body. `kind` decides whether blanks are accepted.
    public init(of kind: MessageKind = .request, limits: BodyLimits = BodyLimits()) {
        self.kind = kind
        self.limits = limits
    }

    /// Whether the decoder has read the last chunk and the empty line after the trailers.
    public var isComplete: Bool { state == .end }

    /// The number of data bytes of the current chunk that are not yet returned.
    package var announced: UInt64 { state == .data ? left : 0 }

    /// Decodes the next part of the body in `bytes`, from `offset` on; `offset` is at most the count of `bytes`.
    public mutating func next(in bytes: Span<UInt8>, from offset: Int) -> BodyStep {
        var at = offset
        var trailersAt: Int?
        while state != .end {
            guard at < bytes.count else { return trailersAt.map { .trailers(start: $0, count: at - $0) } ?? .needMore }
            if state == .data {
                let count = Int(min(left, UInt64(bytes.count - at)))
                left -= UInt64(count)
                if left == 0 { state = .dataCR }
                return .data(start: at, count: count)
            }
            do throws(BodyFault) {
                if state.rawValue < State.trailerStart.rawValue {
                    try takeChunkByte(bytes[at])
                } else {
                    try takeTrailerByte(bytes[at])
                    if lineBytes > 0, trailersAt == nil { trailersAt = at }
                }
            } catch {
                return .malformed(error)
            }
            at += 1
        }
        return trailersAt.map { .trailers(start: $0, count: at - $0) } ?? .end(at)
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

    /// Handles a byte after a chunk's size: the CR of the line's end, the ";" of an extension, or a blank before
    /// either. In a request no blank may precede the CR.
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
