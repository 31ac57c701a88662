import CCurl

/// The bytes that curl's callbacks send and receive during one call. Only the calling thread may use a Transfer.
final class Transfer {
    /// The maximum size of an answer's header, in bytes. Trailers and the headers of interim answers (1xx) count too.
    static let maximumHeadBytes = 64 << 10
    /// The maximum number of lines in an answer's header. Trailers and the headers of interim answers (1xx) count too.
    static let maximumHeadLines = 200

    private let upload: [UInt8]
    private var uploaded = 0
    private let maximumBytes: Int
    private var headBytes = 0
    private var headLines = 0
    /// Whether the header is complete. Later lines are trailers or the header of a further answer.
    private var isHeadComplete = false

    private(set) var fields: [HTTPField] = []
    private(set) var body: [UInt8] = []
    /// The reason why a callback stopped the transfer. Nil if none did.
    private(set) var fault: String?

    /// Whether the request may be sent now, on a connection that is open.
    let mayBeSent: () -> Bool

    init(upload: [UInt8]?, maximumBytes: Int, mayBeSent: @escaping () -> Bool) {
        self.mayBeSent = mayBeSent
        self.upload = upload ?? []
        self.maximumBytes = maximumBytes
    }

    /// Receives a part of the answer's body. Returns false to stop the transfer.
    func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count <= maximumBytes - body.count else {
            fault = "the answer is larger than \(maximumBytes) bytes"
            return false
        }
        unsafe body.append(contentsOf: bytes)
        return true
    }

    /// Receives a line of the answer's header. Returns false to stop the transfer.
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
            // A new status line follows an interim answer (1xx), whose fields are dropped.
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

    /// Copies the next part of the request's body into `room`. Returns the number of bytes, which is 0 at the end.
    func give(_ room: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(room.count, upload.count - uploaded)
        // This is safe: `count` is at most the size of `room` and at most the rest of `upload`, so the copy stays
        // within both.
        unsafe room.copyBytes(from: upload[uploaded..<uploaded + count])
        uploaded += count
        return count
    }
}

extension HTTPField {
    /// Whether a text is a token, as the name of a header field must be (RFC 9110 section 5.6.2).
    static func isName(_ name: String) -> Bool {
        let marks = "!#$%&'*+-.^_`|~".utf8
        return !name.isEmpty
            && name.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte & 0xDF) || marks.contains(byte)
            }
    }

    /// Whether the bytes may be the value of a header field (RFC 9110 section 5.5). A line end in a value would start a
    /// new field.
    static func isValue(_ bytes: borrowing Span<UInt8>) -> Bool {
        for index in bytes.indices {
            let byte = bytes[index]
            guard byte >= 0x20 && byte != 0x7F || byte == 0x09 else { return false }
        }
        return true
    }
}
