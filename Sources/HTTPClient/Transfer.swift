import CCurl

/// What one transfer sends and receives, as curl's callbacks are called. Confined to the thread that runs the transfer.
final class Transfer {
    /// The largest header of an answer, with those of interim answers before it and of trailers.
    static let maximumHeadBytes = 64 << 10
    /// The most lines of the same.
    static let maximumHeadLines = 200

    private let upload: [UInt8]
    private var uploaded = 0
    private let maximumBytes: Int
    private var headBytes = 0
    private var headLines = 0
    /// Whether the head is over; what comes then is a trailer, or the head of a further answer.
    private var isHeadComplete = false

    private(set) var fields: [HTTPField] = []
    private(set) var body: [UInt8] = []
    /// Why the transfer was broken off from here.
    private(set) var fault: String?

    init(upload: [UInt8]?, maximumBytes: Int) {
        self.upload = upload ?? []
        self.maximumBytes = maximumBytes
    }

    /// A piece of the body; false breaks off.
    func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count <= maximumBytes - body.count else {
            fault = "the answer is larger than \(maximumBytes) bytes"
            return false
        }
        unsafe body.append(contentsOf: bytes)
        return true
    }

    /// A line of a head, as it came; false breaks off.
    func receiveHead(_ bytes: UnsafeRawBufferPointer) -> Bool {
        headBytes += bytes.count
        headLines += 1
        guard headBytes <= Self.maximumHeadBytes, headLines <= Self.maximumHeadLines else {
            fault =
                "the answer's header is larger than \(Self.maximumHeadBytes) bytes or \(Self.maximumHeadLines) lines"
            return false
        }
        let line = unsafe String(decoding: bytes, as: UTF8.self)
        if line.hasPrefix("HTTP/") {
            // An interim answer was before it, if any.
            fields = []
            isHeadComplete = false
        } else if line == "\r\n" || line == "\n" {
            isHeadComplete = true
        } else if !isHeadComplete, let field = Self.field(of: line) {
            fields.append(field)
        }
        return true
    }

    private static func field(of line: String) -> HTTPField? {
        guard let colon = line.utf8.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let name = String(line[..<colon])
        guard HTTPField.isName(name) else { return nil }
        let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A }
        let value = line.utf8[line.utf8.index(after: colon)...]
        let trimmed = value.drop(while: isSpace).reversed().drop(while: isSpace).reversed()
        return HTTPField(name, String(decoding: Array(trimmed), as: UTF8.self))
    }

    /// Gives the next piece of the request's body; how many bytes there were, 0 at its end.
    func give(_ room: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(room.count, upload.count - uploaded)
        // As many as both have.
        unsafe room.copyBytes(from: upload[uploaded..<uploaded + count])
        uploaded += count
        return count
    }
}

extension HTTPField {
    /// Whether a name is a token (RFC 9110 section 5.6.2).
    static func isName(_ name: String) -> Bool {
        let marks = "!#$%&'*+-.^_`|~".utf8
        return !name.isEmpty
            && name.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte & 0xDF) || marks.contains(byte)
            }
    }

    /// Whether these bytes may be a value (RFC 9110 section 5.5): nothing that ends a line, above all.
    static func isValue(_ bytes: borrowing Span<UInt8>) -> Bool {
        for index in bytes.indices {
            let byte = bytes[index]
            guard byte >= 0x20 && byte != 0x7F || byte == 0x09 else { return false }
        }
        return true
    }
}
