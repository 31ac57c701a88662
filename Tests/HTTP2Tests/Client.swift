import CNghttp2

@testable import HTTP2

/// A frame (RFC 9113 section 4.1).
struct Frame: Equatable {
    enum Kind: UInt8 {
        case data, headers, priority, reset, settings, pushPromise, ping, goAway, windowUpdate, continuation
        case priorityUpdate = 0x10
        case unknown = 0x77
    }

    static let endStream: UInt8 = 1
    static let acknowledgement: UInt8 = 1
    static let endHeaders: UInt8 = 4

    var kind: Kind
    var flags: UInt8 = 0
    var stream: Int32 = 0
    var payload: [UInt8] = []

    var bytes: [UInt8] {
        let count = payload.count
        return [UInt8(count >> 16), UInt8(count >> 8 & 255), UInt8(count & 255), kind.rawValue, flags]
            + Self.big(UInt32(bitPattern: stream)) + payload
    }

    static func big(_ number: UInt32) -> [UInt8] {
        [UInt8(number >> 24), UInt8(number >> 16 & 255), UInt8(number >> 8 & 255), UInt8(number & 255)]
    }

    /// The number in four bytes of the payload.
    func number(at offset: Int) -> UInt32 { payload[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) } }

    static func windowUpdate(_ stream: Int32, by count: UInt32) -> Frame {
        Frame(kind: .windowUpdate, stream: stream, payload: big(count))
    }

    static func reset(_ stream: Int32) -> Frame { Frame(kind: .reset, stream: stream, payload: big(8)) }
}

/// An `HTTP2Event`, with the number of its stream.
enum Event: Equatable {
    case head(stream: Int32, Range<Int>, isComplete: Bool)
    case oversizedHead(stream: Int32, isComplete: Bool)
    case body(stream: Int32, Range<Int>)
    case trailers(stream: Int32, Range<Int>)
    case end(stream: Int32)
    case taken(stream: Int32)
    case closed(stream: Int32, HTTP2Code)

    init(_ event: HTTP2Event) {
        self =
            switch event {
            case .head(let stream, let range): .head(stream: stream.id, range, isComplete: !stream.hasBody)
            case .oversizedHead(let stream): .oversizedHead(stream: stream.id, isComplete: !stream.hasBody)
            case .body(let stream, let range): .body(stream: stream.id, range)
            case .trailers(let stream, let range): .trailers(stream: stream.id, range)
            case .end(let stream): .end(stream: stream.id)
            case .taken(let stream): .taken(stream: stream.id)
            case .closed(let stream, let code): .closed(stream: stream.id, code)
            }
    }
}

/// A client of an `HTTP2Server`: it writes frames as a test wants them, and reads the server's.
@safe
final class Client {
    let memory: HTTP2Memory
    let server: HTTP2Server
    var now: Int64 = 0
    private(set) var failure: HTTP2Failure?
    /// The events since the last call of `send`.
    private(set) var events: [Event] = []
    private var streams: [Int32: HTTP2Stream] = [:]
    private let inflater: OpaquePointer?

    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    static let get = fields()
    static let post = fields(method: "POST")

    /// The pseudo-fields of a request; those that are nil are left out.
    static func fields(
        method: String? = "GET", scheme: String? = "https", authority: String? = "app.test", path: String? = "/"
    ) -> [(String, String)] {
        [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)].compactMap {
            name, value in
            value.map { (name, $0) }
        }
    }

    init(limits: HTTP2Limits = HTTP2Limits(), memory: HTTP2Memory = HTTP2Memory()) {
        self.memory = memory
        guard let server = HTTP2Server(owner: 7, memory: memory, scheme: "https", limits: limits) else {
            preconditionFailure("a server can't be made")
        }
        self.server = server
        var made: OpaquePointer?
        _ = unsafe nghttp2_hd_inflate_new(&made)
        unsafe inflater = made
        send(Self.preface + Frame(kind: .settings).bytes)
        _ = received()
    }

    deinit { unsafe nghttp2_hd_inflate_del(inflater) }

    // MARK: Sending

    /// Sends bytes, and returns the events that follow.
    @discardableResult
    func send(_ bytes: [UInt8]) -> [Event] {
        events = []
        failure = server.receive(bytes.span, now: now) ?? failure
        noteEvents()
        return events
    }

    private func noteEvents() {
        for event in memory.events {
            events.append(Event(event))
            if case .head(let stream, _) = event { streams[stream.id] = stream }
            if case .closed(let stream, _) = event { stream.release() }
        }
    }

    /// The stream of a request that was sent before.
    func stream(_ id: Int32) -> HTTP2Stream {
        guard let stream = streams[id] else { preconditionFailure("no request \(id)") }
        return stream
    }

    /// Answers a request whole.
    func answer(_ id: Int32, _ head: [UInt8], _ body: String = "") {
        let text = head + body.utf8
        stream(id).write(text.span)
        stream(id).finish()
    }

    @discardableResult
    func send(_ frames: Frame...) -> [Event] { send(frames.flatMap(\.bytes)) }

    @discardableResult
    func request(_ fields: [(String, String)], stream: Int32 = 1, isComplete: Bool = true) -> [Event] {
        send(Self.headers(fields, stream: stream, isComplete: isComplete))
    }

    static func headers(_ fields: [(String, String)], stream: Int32 = 1, isComplete: Bool = true) -> Frame {
        Frame(
            kind: .headers, flags: Frame.endHeaders | (isComplete ? Frame.endStream : 0), stream: stream,
            payload: fields.flatMap { literal(Array($0.0.utf8), Array($0.1.utf8)) })
    }

    /// A field in HPACK, as literals that are not indexed (RFC 7541 section 6.2.2).
    static func literal(_ name: [UInt8], _ value: [UInt8]) -> [UInt8] {
        [0] + length(name.count) + name + length(value.count) + value
    }

    /// An integer with a prefix of 7 bits (RFC 7541 section 5.1).
    private static func length(_ count: Int) -> [UInt8] {
        guard count >= 127 else { return [UInt8(count)] }
        var (bytes, rest) = ([UInt8(127)], count - 127)
        while rest >= 128 {
            bytes.append(UInt8(rest & 127 | 128))
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    /// The head of the event, if it is one.
    func head(_ event: Event?) -> String? {
        guard case .head(_, let range, _) = event else { return nil }
        return String(decoding: memory.heads[range], as: UTF8.self)
    }

    // MARK: Receiving

    /// The frames that the server has sent since the last call: all, or at least `count` bytes of them.
    func received(atLeast count: Int = .max) -> [Frame] {
        var frames: [Frame] = []
        failure = server.fill(atLeast: count) ?? failure
        memory.outgoing = []
        noteEvents()
        var rest = memory.output[...]
        while rest.count >= 9 {
            let start = rest.startIndex
            let count = Int(rest[start]) << 16 | Int(rest[start + 1]) << 8 | Int(rest[start + 2])
            let stream = rest[(start + 5)..<(start + 9)].reduce(0) { $0 << 8 | UInt32($1) }
            frames.append(
                Frame(
                    kind: Frame.Kind(rawValue: rest[start + 3]) ?? .unknown, flags: rest[start + 4],
                    stream: Int32(bitPattern: stream), payload: Array(rest[(start + 9)..<(start + 9 + count)])))
            rest = rest[(start + 9 + count)...]
        }
        precondition(rest.isEmpty, "a frame is incomplete")
        return frames
    }

    /// Reads the fields of a HEADERS frame, each as "name: value".
    func fields(_ frame: Frame) -> [String] {
        var found: [String] = []
        var rest = frame.payload[...]
        while true {
            var (field, flags) = unsafe (nghttp2_nv(), Int32(0))
            let count = unsafe rest.withUnsafeBufferPointer {
                unsafe nghttp2_hd_inflate_hd2(inflater, &field, &flags, $0.baseAddress, $0.count, 1)
            }
            precondition(count >= 0, "the fields can't be read")
            rest = rest.dropFirst(count)
            if UInt32(flags) & NGHTTP2_HD_INFLATE_EMIT.rawValue != 0 {
                let (name, value) = unsafe (
                    UnsafeBufferPointer(start: field.name, count: field.namelen),
                    UnsafeBufferPointer(start: field.value, count: field.valuelen)
                )
                unsafe found.append(
                    "\(String(decoding: name, as: UTF8.self)): \(String(decoding: value, as: UTF8.self))")
            }
            if UInt32(flags) & NGHTTP2_HD_INFLATE_FINAL.rawValue != 0 { break }
        }
        _ = unsafe nghttp2_hd_inflate_end_headers(inflater)
        return found
    }
}
