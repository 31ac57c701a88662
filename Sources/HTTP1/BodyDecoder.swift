/// How large the parts of a chunked body may be that are not its data.
public struct BodyLimits: Equatable, Sendable {
    /// The bytes of a chunk's first line with its extensions, without CRLF.
    public let maxChunkLineBytes: Int
    /// The bytes of all trailer lines, without the CRLF of each.
    public let maxTrailerBytes: Int

    /// Limits, up to 2^31 - 1 each.
    public init(maxChunkLineBytes: Int = 256, maxTrailerBytes: Int = 8 << 10) {
        self.maxChunkLineBytes = min(maxChunkLineBytes, Int(Int32.max))
        self.maxTrailerBytes = min(maxTrailerBytes, Int(Int32.max))
    }
}

/// What is wrong with a body. The connection it came on is to be closed.
public enum BodyFault: UInt8, Error, CaseIterable, Sendable {
    /// A chunk's size is no hexadecimal number, or does not fit 64 bits.
    case badChunkSize
    /// A chunk's line is longer than `maxChunkLineBytes`.
    case chunkLineTooLong
    /// The chunks' lines are much larger than their data.
    case tooMuchFraming
    /// A chunk's extension holds a control byte.
    case badExtension
    /// A line does not end with CRLF, or a chunk's data not with its size.
    case badLineEnd
    /// A trailer line is no field line.
    case badTrailer
    /// The trailer lines are larger than `maxTrailerBytes`.
    case trailersTooLarge

    /// The status that a request with this fault is answered with; a response with it has no end.
    public var status: Int { self == .trailersTooLarge ? 431 : 400 }

    /// A few words for the log.
    public var reason: StaticString {
        switch self {
        case .badChunkSize: "malformed chunk size"
        case .chunkLineTooLong: "chunk line too long"
        case .tooMuchFraming: "more framing than data in chunks"
        case .badExtension: "control byte in a chunk extension"
        case .badLineEnd: "chunk without its CRLF"
        case .badTrailer: "malformed trailer"
        case .trailersTooLarge: "trailers too large"
        }
    }
}

/// What comes next in a body.
public enum BodyStep: Equatable, Sendable {
    /// Bytes of the body: `count` of them, at least one, at offset `start`. Go on from `start + count`.
    case data(start: Int, count: Int)
    /// All bytes were taken; go on with the next ones to arrive.
    case needMore
    /// The body has ended; what follows it begins at this offset.
    case end(Int)
    /// This is no body; it is not to be decoded further.
    case malformed(BodyFault)
}

/// Finds a body's data, whatever its framing, in bytes that arrive piece by piece. One lives in each exchange.
public struct BodyDecoder: Sendable {
    private enum State: Sendable {
        case length(UInt64)
        case chunked(ChunkedDecoder)
        case untilClose
    }

    private var state: State

    /// A decoder of one message's body.
    public init(_ framing: BodyFraming, of kind: MessageKind = .request, limits: BodyLimits = BodyLimits()) {
        state =
            switch framing {
            case .none: .length(0)
            case .length(let count): .length(count)
            case .chunked: .chunked(ChunkedDecoder(of: kind, limits: limits))
            case .untilClose: .untilClose
            }
    }

    /// Whether the body may end here: an end of the stream before that means that some of it is missing.
    public var isComplete: Bool {
        switch state {
        case .length(let left): left == 0
        case .chunked(let decoder): decoder.isComplete
        case .untilClose: true
        }
    }

    /// How many bytes of data are announced and not yet given: what is left of the length, or of the chunk whose first
    /// line has been read. 0 when nothing is known.
    package var announced: UInt64 {
        switch state {
        case .length(let left): left
        case .chunked(let decoder): decoder.announced
        case .untilClose: 0
        }
    }

    /// What comes next in `bytes` from `offset` on; `offset` is at most their count.
    public mutating func next(in bytes: Span<UInt8>, from offset: Int) -> BodyStep {
        switch state {
        case .length(let left):
            guard left > 0 else { return .end(offset) }
            let count = Int(min(left, UInt64(bytes.count - offset)))
            guard count > 0 else { return .needMore }
            state = .length(left - UInt64(count))
            return .data(start: offset, count: count)
        case .chunked(var decoder):
            let step = decoder.next(in: bytes, from: offset)
            state = .chunked(decoder)
            return step
        case .untilClose:
            guard offset < bytes.count else { return .needMore }
            return .data(start: offset, count: bytes.count - offset)
        }
    }
}
