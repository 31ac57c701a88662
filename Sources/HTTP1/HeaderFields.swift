/// The fields of a head in their order. The memory is reused for the next head.
public struct HeaderFields: ~Copyable {
    /// Only the first `count` elements belong to this head; the others are left from earlier heads. Overwriting an
    /// element costs less than appending one.
    @usableFromInline internal private(set) var storage: [HeaderField] = []
    private var nominated: [ByteRange] = []
    private(set) var facts: FieldFacts
    private let kind: MessageKind

    init(of kind: MessageKind) {
        self.kind = kind
        facts = FieldFacts(kind)
        storage.reserveCapacity(64)
        nominated.reserveCapacity(8)
    }

    /// The number of fields in the present head.
    public private(set) var count = 0

    /// The field at an index, 0 to `count` - 1.
    @inlinable public subscript(index: Int) -> HeaderField {
        precondition(index < count)
        return storage[index]
    }

    /// The value of the first field with this `id`, which must not be `.other`; nil if there is no such field.
    public func first(_ id: KnownField) -> ByteRange? {
        for index in 0..<count where storage[index].id == id { return storage[index].value }
        return nil
    }

    /// Reads the field lines from `start` through the empty line, which must end the head.
    mutating func parse(_ head: Span<UInt8>, from start: Int, _ limits: HeadLimits) throws(HeadFault) {
        count = 0
        if !nominated.isEmpty { nominated.removeAll(keepingCapacity: true) }
        facts = FieldFacts(kind)
        var room = limits.maxFields
        var at = start
        while at < head.count, head[at] != .cr {
            let field = try Self.field(head, &at, kind)
            room -= 1
            try note(field, head, &room)
            guard room >= 0 else { throw .tooManyFields }
            append(field)
        }
        guard try head.lineEnd(at) == head.count else { throw .incompleteHead }
        if !nominated.isEmpty { markNominated(head) }
    }

    @inline(__always)
    private mutating func append(_ field: HeaderField) {
        if count < storage.count { storage[count] = field } else { storage.append(field) }
        count &+= 1
    }

    /// Reads the field line at `at` and moves `at` to the next line.
    @inline(__always)
    private static func field(
        _ head: Span<UInt8>, _ at: inout Int, _ kind: MessageKind
    ) throws(HeadFault) -> HeaderField {
        let colon = head.firstControl(or: .ascii(":"), from: at)
        guard colon < head.count, head[colon] == .ascii(":") else { return try oddField(head, &at, colon, kind) }
        let folded = PackedText(folding: head, at, colon)
        let id = KnownField.named(folded)
        var hasUnderscore = false
        if !id.isOneName, !folded.isPlainName {
            guard head.isMade(of: .token, at, colon) else { return try oddField(head, &at, colon, kind) }
            hasUnderscore = head.occurrences(of: .ascii("_"), in: ByteRange(at, colon)) > 0
        }
        return try field(head, &at, ByteRange(at, colon), colon, id, hasUnderscore)
    }

    /// Reads the value after the colon and moves `at` to the next line.
    @inline(__always)
    private static func field(
        _ head: Span<UInt8>, _ at: inout Int, _ name: ByteRange, _ colon: Int, _ id: KnownField, _ hasUnderscore: Bool
    ) throws(HeadFault) -> HeaderField {
        var stop = head.firstControl(from: colon + 1)
        while stop < head.count, head[stop] == .tab { stop = head.firstControl(from: stop + 1) }
        at = try head.lineEnd(stop)
        return HeaderField(
            name: name, value: head.trimmingBlanks(colon + 1, stop), id: id, hasUnderscore: hasUnderscore)
    }

    /// Reads a field line whose name is not a plain token. The first colon or control byte of the line is at `stop`.
    /// White space before a colon is dropped in a response and refused in a request (RFC 9112 section 5.1).
    @inline(never)
    private static func oddField(
        _ head: Span<UInt8>, _ at: inout Int, _ stop: Int, _ kind: MessageKind
    ) throws(HeadFault) -> HeaderField {
        var colon = stop
        while colon < head.count, head[colon] == .tab { colon = head.firstControl(or: .ascii(":"), from: colon + 1) }
        let name = head.trimmingBlanks(at, colon)
        guard kind == .response, colon < head.count, head[colon] == .ascii(":"), Int(name.start) == at,
            head.isMade(of: .token, at, Int(name.end))
        else { throw badName(head, at, stop) }
        let id = KnownField.named(PackedText(folding: head, at, Int(name.end)))
        return try field(head, &at, name, colon, id, head.occurrences(of: .ascii("_"), in: name) > 0)
    }

    /// The reason why the bytes from `start` to `stop` are not a field name.
    private static func badName(_ head: Span<UInt8>, _ start: Int, _ stop: Int) -> HeadFault {
        guard stop < head.count else { return .incompleteHead }
        if head[start].isBlank { return .foldedLine }
        switch head[stop] {
        case .ascii(":"):
            let name = head.trimmingBlanks(start, stop)
            let isToken = head.isMade(of: .token, Int(name.start), Int(name.end))
            return isToken ? .spaceBeforeColon : .badFieldName
        case .cr: return .missingColon
        case .tab: return .badFieldName
        case .lf: return .bareLF
        default: return .controlByte
        }
    }

    /// Records what a field says about framing and this connection. `room` is the number of fields still allowed. Each
    /// cookie after the first in a Cookie field lowers it by one.
    @inline(__always)
    private mutating func note(_ field: HeaderField, _ head: Span<UInt8>, _ room: inout Int) throws(HeadFault) {
        switch field.id {
        case .contentLength: try facts.noteContentLength(head, field.value)
        case .transferEncoding: try facts.noteTransferEncoding(head, field.value)
        case .connection: try noteConnection(field.value, head)
        case .keepAlive: facts.noteKeepAlive(head, field.value)
        case .te: facts.noteTE(head, field.value)
        case .cookie: room -= head.occurrences(of: .ascii(";"), in: field.value)
        default: break
        }
    }

    private mutating func noteConnection(_ value: ByteRange, _ head: Span<UInt8>) throws(HeadFault) {
        var list = TokenList(value)
        while let option = list.next(in: head) {
            if option.isEmpty { continue }
            if try facts.noteConnectionOption(head, option) {
                nominated.append(option)
                guard nominated.count <= HeadLimits.maxNominated else { throw .tooManyFields }
            }
        }
    }

    private mutating func markNominated(_ head: Span<UInt8>) {
        for index in 0..<count where storage[index].id == .other {
            for option in nominated where head.equalsIgnoringCase(storage[index].name, option) {
                storage[index].isHopByHop = true
            }
        }
    }
}

extension Span<UInt8> {
    /// The offset after the CRLF at `at`; throws when no CRLF is there.
    @inline(__always)
    func lineEnd(_ at: Int) throws(HeadFault) -> Int {
        guard at < count else { throw .incompleteHead }
        switch self[at] {
        case .cr:
            guard at + 1 < count else { throw .incompleteHead }
            guard self[at + 1] == .lf else { throw .bareCR }
            return at + 2
        case .lf: throw .bareLF
        default: throw .controlByte
        }
    }

    /// The offset of the first line. One empty line before it is ignored (RFC 9112 section 2.2).
    var firstLineStart: Int { count >= 2 && self[0] == .cr && self[1] == .lf ? 2 : 0 }

    /// The range without SP and HTAB at its ends.
    @inline(__always)
    func trimmingBlanks(_ start: Int, _ end: Int) -> ByteRange {
        var start = start
        var end = end
        while start < end, self[start].isBlank { start &+= 1 }
        while start < end, self[end &- 1].isBlank { end &-= 1 }
        return ByteRange(start, end)
    }
}
