import CLDNS

package struct DNSRecord {
    /// The name that the record belongs to, as `DNSName.text(ofWire:)` writes names.
    package let owner: String
    /// The type as a number. `DNSRecordType` has the types that Aegis knows.
    package let type: UInt16
    /// The fields of the record's data, as libldns splits them. Names in them are uncompressed. A question has no
    /// fields.
    package let fields: [[UInt8]]
    /// The offset of the record's first byte in the message.
    package let start: Int

    func isOf(_ type: DNSRecordType) -> Bool { self.type == type.rawValue }
}

package struct DNSAnswer {
    private static let headerBytes = 12
    /// An answer with more records than this is rejected.
    private static let maximumRecords = 1000

    package let id: UInt16
    let isResponse: Bool
    /// The opcode. `DNSOperation` has the opcodes that Aegis knows.
    let operation: UInt8
    /// Whether the server cut the answer because it did not fit into a datagram.
    package let isTruncated: Bool
    /// The response code (RFC 1035 section 4.1.1, RFC 2136 section 2.2).
    let code: Int
    package let question: DNSRecord?
    /// The records of the answer section.
    package let records: [DNSRecord]
    /// The TSIG record, which must be the last record of the message. Nil if the message is not signed.
    package let signature: DNSRecord?

    /// Reads a message. Returns nil if the message is malformed.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count >= Self.headerBytes else { return nil }
        func number(_ position: Int) -> UInt16 { UInt16(bigEndianBytes: bytes[position..<position + 2]) }
        let (flags, counts) = (number(2), [4, 6, 8, 10].map { Int(number($0)) })
        id = number(0)
        isResponse = flags & 0x8000 != 0
        operation = UInt8(flags >> 11 & 0xF)
        isTruncated = flags & 0x0200 != 0
        code = Int(flags & 0xF)
        guard counts[0] <= 1, counts.reduce(0, +) <= Self.maximumRecords else { return nil }
        var position = Self.headerBytes
        var question: DNSRecord?
        var records: [DNSRecord] = []
        var last: DNSRecord?
        for (section, count) in counts.enumerated() {
            for _ in 0..<count {
                guard let record = Self.record(in: bytes, at: &position, isQuestion: section == 0) else {
                    // A truncated message may end within a record. The client needs only its header, and asks again
                    // over TCP.
                    guard isTruncated else { return nil }
                    (self.question, self.records, signature) = (question, [], nil)
                    return
                }
                if section == 0 { question = record }
                if section == 1 { records.append(record) }
                if section == 3 { last = record }
            }
        }
        self.question = question
        self.records = records
        signature = last.flatMap { $0.isOf(.tsig) ? $0 : nil }
    }

    /// Follows the aliases (CNAME records) in the answer from a name to the last one.
    package func canonicalName(of name: String) -> String {
        var name = name
        // The number of steps is limited to the number of records, so that a loop of aliases ends.
        for _ in records {
            let alias = records.first { $0.owner == name && $0.isOf(.cname) }
            guard let target = alias?.fields.first else { break }
            name = DNSName.text(ofWire: target)
        }
        return name
    }

    /// The records of a type for a name, or for the name at the end of its aliases.
    func records(of type: DNSRecordType, for name: DNSName) -> [DNSRecord] {
        let owner = canonicalName(of: name.text)
        return records.filter { $0.owner == owner && $0.isOf(type) }
    }

    /// The TXT records of a name. A record's strings are joined into one text.
    package func texts(at name: DNSName) -> [String] {
        records(of: .txt, for: name).map { String(decoding: $0.fields.flatMap { $0.dropFirst() }, as: UTF8.self) }
    }

    /// The addresses of a name as text. `type` is `a` or `aaaa`.
    package func addresses(of name: DNSName, _ type: DNSRecordType) -> [String] {
        records(of: type, for: name).compactMap { $0.fields.first.flatMap(SocketAddress.text(ofIP:)) }
    }

    package func authorizations(at name: DNSName) -> [DNSLookup.CAARecord] {
        records(of: .caa, for: name).compactMap { record in
            guard record.fields.count == 3, let flags = record.fields[0].first else { return nil }
            // The first byte of this field is the tag's length, so it is dropped.
            let tag = String(decoding: record.fields[1].dropFirst(), as: UTF8.self).lowercased()
            return DNSLookup.CAARecord(flags: flags, tag: tag, value: String(decoding: record.fields[2], as: UTF8.self))
        }
    }

    private static func record(in bytes: [UInt8], at position: inout Int, isQuestion: Bool) -> DNSRecord? {
        var record: UnsafeMutablePointer<ldns_rr>?
        let start = position
        // This is safe, since libldns reads only the first `bytes.count` bytes. The record that it allocates is freed
        // below.
        let status = unsafe ldns_wire2rr(
            &record, bytes, bytes.count, &position, isQuestion ? LDNS_SECTION_QUESTION : LDNS_SECTION_ANSWER)
        guard status == LDNS_STATUS_OK, let record = unsafe record else { return nil }
        defer { unsafe ldns_rr_free(record) }
        // This is safe, since the fields stay valid until the record is freed, and `content` copies their bytes.
        let fields = unsafe (0..<ldns_rr_rd_count(record)).map { unsafe content(of: ldns_rr_rdf(record, $0)) }
        return unsafe DNSRecord(
            owner: DNSName.text(ofWire: content(of: ldns_rr_owner(record))),
            type: UInt16(truncatingIfNeeded: ldns_rr_get_type(record).rawValue), fields: fields, start: start)
    }

    /// Copies a field's bytes. The caller must not have freed the field's record.
    private static func content(of field: UnsafeMutablePointer<ldns_rdf>?) -> [UInt8] {
        guard let field = unsafe field, let data = unsafe ldns_rdf_data(field) else { return [] }
        return unsafe Array(UnsafeBufferPointer(start: data, count: ldns_rdf_size(field)))
    }
}
