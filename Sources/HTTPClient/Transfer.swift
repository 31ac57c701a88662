import CCurl

/// The bytes that one transfer sends and receives through curl's callbacks. Confined to the thread that runs the
/// transfer.
final class Transfer {
    /// The largest header of an answer in bytes, including trailers and the headers of interim answers before it.
    static let maximumHeadBytes = 64 << 10
    /// The most lines of such a header.
    static let maximumHeadLines = 200

    private let upload: [UInt8]
    private var uploaded = 0
    private let maximumBytes: Int
    private var headBytes = 0
    private var headLines = 0
    /// Whether the head is complete. A later header line belongs to a trailer or to the head of another answer.
    private var isHeadComplete = false

    private(set) var fields: [HTTPField] = []
    private(set) var body: [UInt8] = []
    /// The reason why a callback stopped the transfer; nil if none did.
    private(set) var fault: String?

    init(upload: [UInt8]?, maximumBytes: Int) {
        self.upload = upload ?? []
        self.maximumBytes = maximumBytes
    }

    /// Receives a piece of the body. False stops the transfer.
    func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count <= maximumBytes - body.count else {
            fault = "the answer is larger than \(maximumBytes) bytes"
            return false
        }
        unsafe body.append(contentsOf: bytes)
        return true
    }

    /// Receives a line of a head. False stops the transfer.
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
            // The fields collected so far belong to an interim answer.
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

    /// Copies the next piece of the request's body into `room`. Returns the number of bytes, 0 at the body's end.
    func give(_ room: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(room.count, upload.count - uploaded)
        // `count` is at most the size of `room` and of the rest of `upload`.
        unsafe room.copyBytes(from: upload[uploaded..<uploaded + count])
        uploaded += count
        return count
    }
}

extension HTTPField {
    /// Whether a text is a token (RFC 9110 section 5.6.2), as a field's name must be.
    static func isName(_ name: String) -> Bool {
        let marks = "!#$%&'*+-.^_`|~".utf8
        return !name.isEmpty
            && name.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte & 0xDF) || marks.contains(byte)
            }
    }

    /// Whether these bytes can be a field's value (RFC 9110 section 5.5). Above all they must not end the line.
    static func isValue(_ bytes: borrowing Span<UInt8>) -> Bool {
        for index in bytes.indices {
            let byte = bytes[index]
            guard byte >= 0x20 && byte != 0x7F || byte == 0x09 else { return false }
        }
        return true
    }
}
