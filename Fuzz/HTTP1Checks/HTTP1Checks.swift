import HTTP1

// HTTP1Checks: conditions that must hold for every head, checked by the simplest possible reader.

/// The limits for fuzzing. They are small, so that inputs reach them.
package let fuzzLimits = HeadLimits(maxHeadBytes: 2048, maxFields: 40, maxTargetBytes: 512)

/// Limits that a rewritten head always meets.
package let wideLimits = HeadLimits(maxHeadBytes: 1 << 20, maxFields: 2000, maxTargetBytes: 1 << 20)

/// The bytes of a complete head at the start; nil if there is none. Scanning in pieces must give the same result.
package func wholeHead(_ bytes: [UInt8], _ start: HeadScanner, _ limits: HeadLimits) -> [UInt8]? {
    var scanner = start
    let whole = scanner.scan(bytes.span, limits: limits)
    for step in [1, 2 + bytes.count % 30] {
        var pieces = start
        var there = 0
        var progress = HeadScanner.Progress.incomplete
        while progress == .incomplete, there < bytes.count {
            there = min(there + step, bytes.count)
            progress = pieces.scan(bytes.span.extracting(first: there), limits: limits)
        }
        precondition(progress == whole, "scanning \(step) bytes at a time gives another result")
    }
    guard case .complete(let headBytes) = whole else { return nil }
    precondition(headBytes <= limits.maxHeadBytes)
    return Array(bytes[..<headBytes])
}

/// A field that `plainFields` has found in a head.
package struct PlainField: Equatable {
    /// The name in lower case.
    package let name: String
    /// The value without white space around it.
    package let value: [UInt8]
}

/// The fields of a head, split at each CRLF and at the first colon. In responses, white space before the colon is
/// dropped.
package func plainFields(_ head: [UInt8], of kind: MessageKind) -> [PlainField] {
    var lines: [[UInt8]] = [[]]
    for byte in head {
        if byte == 0x0A {
            precondition(lines[lines.count - 1].popLast() == 0x0D)
            lines.append([])
        } else {
            lines[lines.count - 1].append(byte)
        }
    }
    precondition(lines.suffix(2) == [[], []], "a head ends with an empty line")
    if lines[0].isEmpty { lines.removeFirst() }
    return lines.dropFirst().dropLast(2).map { line in
        let colon = line.firstIndex(of: 0x3A) ?? line.endIndex
        precondition(colon > 0 && colon < line.endIndex)
        let value = line[(colon + 1)...].drop { $0 == 0x20 || $0 == 0x09 }
        let end = value.lastIndex { $0 != 0x20 && $0 != 0x09 }.map { $0 + 1 } ?? value.startIndex
        var name = line[..<colon]
        while name.last == 0x20 || name.last == 0x09 {
            precondition(kind == .response)
            name.removeLast()
        }
        return PlainField(name: String(decoding: name, as: UTF8.self).lowercased(), value: Array(value[..<end]))
    }
}

/// Checks that the parsed fields equal those of the simplest reader. Returns the latter.
package func checkFields(_ fields: borrowing HeaderFields, _ head: [UInt8], of kind: MessageKind) -> [PlainField] {
    let plain = plainFields(head, of: kind)
    precondition(plain.count == fields.count)
    for index in 0..<fields.count {
        let field = fields[index]
        let found = PlainField(
            name: String(decoding: head[field.name.range], as: UTF8.self).lowercased(),
            value: Array(head[field.value.range]))
        precondition(found == plain[index])
        precondition((field.id == .host) == (found.name == "host"))
        precondition((field.id == .contentLength) == (found.name == "content-length"))
        precondition((field.id == .transferEncoding) == (found.name == "transfer-encoding"))
        precondition((field.id == .connection) == (found.name == "connection"))
        precondition(!(field.isHopByHop && ["host", "content-length", "cookie", "authorization"].contains(found.name)))
        precondition(field.hasUnderscore == (found.name.contains("_") && field.id == .other) || field.id != .other)
    }
    return plain
}

/// The framing that the simplest reader finds. Traps if the head has more than one meaning and should have been
/// refused.
package func plainFraming(_ fields: [PlainField], of kind: MessageKind) -> BodyFraming? {
    let lengths = items("content-length", of: fields)
    var codings = items("transfer-encoding", of: fields)
    // In a response, `identity` does not count as a coding, even if there is a length (RFC 2616 section 3.6).
    if kind == .response { codings.removeAll { $0 == "identity" } }
    precondition(lengths.isEmpty || codings.isEmpty)
    precondition(kind == .response || lengths.count + codings.count <= 1)
    if !codings.isEmpty {
        precondition(codings == ["chunked"])
        return .chunked
    }
    let numbers = Set(lengths.map { UInt64($0) })
    precondition(numbers.count <= 1 && lengths.allSatisfy { $0.allSatisfy { $0.isASCII && $0.isNumber } })
    return numbers.first.map { number in
        guard let number else { preconditionFailure("a Content-Length that is no number") }
        return .length(number)
    }
}

/// The items of a list-valued field, in lower case, from all of its lines.
private func items(_ name: String, of fields: [PlainField]) -> [String] {
    fields.filter { $0.name == name }.flatMap { field in
        String(decoding: field.value, as: UTF8.self).lowercased().split(
            separator: ",", omittingEmptySubsequences: false
        )
        .map { String($0.drop { " \t".contains($0) }.reversed().drop { " \t".contains($0) }.reversed()) }
    }
}
