/// Limits for the parts of a chunked body that are not data.
public struct BodyLimits: Equatable, Sendable {
    /// The most bytes of a chunk's first line, extensions included, without its CRLF.
    public let maxChunkLineBytes: Int
    /// The most bytes of all trailer lines together, without the CRLF of each.
    public let maxTrailerBytes: Int

    /// Creates the limits. A limit above 2^31 - 1 becomes 2^31 - 1.
    public init(maxChunkLineBytes: Int = 256, maxTrailerBytes: Int = 8 << 10) {
        self.maxChunkLineBytes = min(maxChunkLineBytes, Int(Int32.max))
        self.maxTrailerBytes = min(maxTrailerBytes, Int(Int32.max))
    }
}

/// Why a body is malformed. The caller must close the connection that carried the body.
public enum BodyFault: UInt8, Error, CaseIterable, Sendable {
    /// A chunk's size is not a hexadecimal number, or does not fit 64 bits.
    case badChunkSize
    /// A chunk's line is longer than `maxChunkLineBytes`.
    case chunkLineTooLong
    /// The chunk lines are much larger than the data of the chunks.
    case tooMuchFraming
    /// A chunk's extension holds a control byte.
    case badExtension
    /// A line does not end with CRLF, or a chunk's data is not followed by CRLF.
    case badLineEnd
    /// A trailer line is not a field line.
    case badTrailer
    /// The trailer lines are larger than `maxTrailerBytes`.
    case trailersTooLarge

    /// The status of the answer to a request with this fault. A response with this fault is cut off, or replaced by an
    /// error if none of it was sent yet.
    public var status: Int { self == .trailersTooLarge ? 431 : 400 }

    /// A short text for the log.
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

/// The result of one decoding step.
public enum BodyStep: Equatable, Sendable {
    /// `count` bytes of the body (at least one) begin at offset `start`. The next step begins at `start + count`.
    case data(start: Int, count: Int)
    /// `count` bytes of the trailer section begin at offset `start`. These are pieces of its field lines and of the
    /// empty line at the end, in order.
    case trailers(start: Int, count: Int)
    /// All bytes were consumed. The next step needs bytes that have not arrived yet.
    case needMore
    /// The body has ended. The value is the offset of the first byte after the body.
    case end(Int)
    /// The bytes are not a valid body; decoding must stop.
    case malformed(BodyFault)
}

/// Finds the data of a body, whatever its framing, in bytes that arrive piece by piece. Each exchange has a decoder of
/// its own.
public struct BodyDecoder: Sendable {
    private enum State: Sendable {
        case length(UInt64)
        case chunked(ChunkedDecoder)
        case untilClose
    }

    private var state: State

    /// Creates a decoder for the body of one message. `kind` and `limits` matter only for a chunked body.
    public init(_ framing: BodyFraming, of kind: MessageKind = .request, limits: BodyLimits = BodyLimits()) {
        state =
            switch framing {
            case .none: .length(0)
            case .length(let count): .length(count)
            case .chunked: .chunked(ChunkedDecoder(of: kind, limits: limits))
            case .untilClose: .untilClose
            }
    }

    /// Whether the body may end here. When the stream ends while this is false, a part of the body is missing.
    public var isComplete: Bool {
        switch state {
        case .length(let left): left == 0
        case .chunked(let decoder): decoder.isComplete
        case .untilClose: true
        }
    }

    /// The number of data bytes that are announced and not yet returned: the rest of Content-Length, or of the current
    /// chunk. 0 when no number is known.
    package var announced: UInt64 {
        switch state {
        case .length(let left): left
        case .chunked(let decoder): decoder.announced
        case .untilClose: 0
        }
    }

    /// Decodes the next part of the body in `bytes`, from `offset` on; `offset` is at most the count of `bytes`.
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
