/// A header field that a host's `headers.*.set` adds to messages; it replaces all fields of that name (RFC 9110 section
/// 5).
package struct HeaderSetting: Sendable, Hashable {
    package let name: String
    /// The value, without white space around it.
    package let value: String

    /// The setting with its value hidden, for output that people see.
    package var hidden: HeaderSetting { HeaderSetting(name: name, value: "(hidden)") }
}

/// The grammar of header fields, and the names reserved for the gateway.
enum HeaderGrammar {
    static let maxValueBytes = 8192
    static let namePattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
    /// The fields that a host's `headers` must not change. Most of them frame a message or belong to one connection, so
    /// a change would break the message or the connection. `host` and `strict-transport-security` have settings of
    /// their own.
    private static let reserved: Set<String> = [
        "connection", "content-length", "host", "keep-alive", "proxy-connection",
        "strict-transport-security", "te", "trailer",
        "transfer-encoding", "upgrade",
    ]

    static func checkName(_ name: String) throws(ValueFault) {
        guard isToken(name) else { throw ValueFault("bad header name") }
        guard !reserved.contains(name.lowercased()) else {
            let hints = ["host": "see preserve_host", "strict-transport-security": "see hsts"]
            let hint = hints[name.lowercased()]
            throw ValueFault("header '\(name)' is the gateway's own", hint: hint)
        }
    }

    /// Whether a text is a token (RFC 9110 section 5.6.2) of at most 256 bytes.
    static func isToken(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 256 && text.utf8.allSatisfy(isTokenByte)
    }

    static func checkValue(_ value: String) throws(ValueFault) {
        let isVisible = value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
        guard isVisible, value.utf8.count <= maxValueBytes else {
            throw ValueFault("bad header value: it has control characters or more than \(maxValueBytes) bytes")
        }
    }

    /// Whether a header of this name usually contains a secret.
    static func isSensitive(_ name: String) -> Bool {
        let name = name.lowercased()
        return name.hasSuffix("-key")
            || ["authorization", "cookie", "token", "secret", "password", "api-key", "apikey"].contains {
                name.contains($0)
            }
    }

    /// Whether a byte is a `tchar` (RFC 9110 section 5.6.2).
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}

extension ValueShape where Value == [HeaderSetting] {
    /// The shape of a mapping from header names to values.
    static let headerSettings = ValueShape(
        schema: SchemaFragment.dictionary(
            of: SchemaFragment([("type", .list(["string", "number", "boolean"].map(PlainValue.string)))]),
            keyPattern: HeaderGrammar.namePattern
        ).defined(as: "header_fields"),
        read: { node, reader in
            guard reader.document.kind(of: node) == .mapping else {
                reader.failExpecting("header names with their values", at: node)
                return nil
            }
            var fields: [HeaderSetting] = []
            var places: [String: NodeID] = [:]
            for entry in reader.entries(of: node) {
                guard let field = readField(entry, &reader) else { continue }
                if let first = places.updateValue(entry.key, forKey: field.name.lowercased()) {
                    let note = Diagnostic.Note(position: reader.document.position(of: first), message: "first here")
                    reader.fail(entry.key, "header '\(field.name)' is set twice", notes: [note])
                }
                fields.append(field)
            }
            return fields
        },
        write: { fields, style in
            .map(
                fields.map { field in
                    let isHidden = style.hidesSecrets && HeaderGrammar.isSensitive(field.name)
                    return (field.name, .string(isHidden ? "(hidden)" : field.value))
                })
        })

    private static func readField(_ entry: ModelReader.Entry, _ reader: inout ModelReader) -> HeaderSetting? {
        let name = reader.document.string(of: entry.key)
        do throws(ValueFault) {
            try HeaderGrammar.checkName(name)
        } catch {
            reader.fail(entry.key, error.message, hint: error.hint)
            return nil
        }
        reader.show(entry.key)
        if HeaderGrammar.isSensitive(name) {
            reader.warn(
                entry.value, "header '\(name)' has a secret in plain text",
                hint: "better have the upstream know it itself")
        } else {
            reader.show(entry.value)
        }
        // Numbers and booleans become text as they are written: `X-XSS-Protection: 0` sets the value "0".
        guard let type = reader.type(of: entry.value), type != .null else {
            reader.failExpecting("the value of header '\(name)'", at: entry.value)
            return nil
        }
        let value = reader.document.string(of: entry.value)
        do throws(ValueFault) {
            try HeaderGrammar.checkValue(value)
        } catch {
            reader.fail(entry.value, error.message, hint: error.hint)
            return nil
        }
        return HeaderSetting(name: name, value: value)
    }
}

extension ValueShape where Value == [String] {
    /// The shape of a list of header names to remove.
    static let headerNames = list(
        of: .string(
            "a header name", lengths: 1...256, pattern: HeaderGrammar.namePattern,
            check: { (name) throws(ValueFault) in try HeaderGrammar.checkName(name) }), "header names")
}
