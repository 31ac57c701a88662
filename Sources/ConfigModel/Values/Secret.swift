/// A reference to a secret or to a PEM text. ConfigModel never reads the secret itself.
package struct Secret: Sendable, Hashable {
    /// The kinds of places that a secret can be in.
    package enum Source: Sendable, Hashable {
        case environment(String)
        /// A file. One trailing newline is removed from its content.
        case file(String)
        /// The secret itself, which the configuration file contains.
        case inline(String)
        /// A secret that the file contained. This is its form in the state's records, which have only its fingerprint.
        case fingerprint(String)
    }

    package let source: Source
    /// The reference's place in the file.
    package let origin: SourceOrigin

    package init(_ source: Source, origin: SourceOrigin = .none) {
        self.source = source
        self.origin = origin
    }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The place of the secret; never the secret itself.
    package var description: String {
        switch source {
        case .environment(let name): "env \(name)"
        case .file(let path): "file \(path)"
        case .inline, .fingerprint: "inline"
        }
    }

    /// The same as `description`, so that dumps don't show the secret either.
    package var debugDescription: String { description }

    /// A mirror without children, so that dumps don't show the secret either.
    package var customMirror: Mirror { Mirror(self, children: []) }

    /// A 32-bit fingerprint (FNV-1a) of an inline secret, to notice a change; empty for other sources. The fingerprint
    /// appears only in the state: anybody who knows it could check guesses of a weak secret.
    package var fingerprint: String {
        if case .fingerprint(let fingerprint) = source { return fingerprint }
        guard case .inline(let text) = source else { return "" }
        let hash = text.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }

    fileprivate func written(_ style: RecordStyle) -> PlainValue {
        switch source {
        case .environment(let name): .map([("env", .string(name))])
        case .file(let path): .map([("file", .string(path))])
        case .inline, .fingerprint: .map([("inline", .string(style.hidesSecrets ? "(hidden)" : fingerprint))])
        }
    }
}

extension ValueShape where Value == Secret {
    /// A secret such as a token, by reference or inline. Inline secrets cause a warning.
    static let secret = ValueShape(
        schema: SchemaFragment.oneOf([
            .string("The secret itself: better kept out of the file", keywords: [("minLength", .int(1))]),
            reference("env", "The environment variable that holds it"), reference("file", "The file that holds it"),
        ]).defined(as: "secret"),
        read: { node, reader in
            if reader.document.kind(of: node) == .mapping {
                return readReference(node, keys: ["env", "file"], &reader)
            }
            guard let text = reader.string(of: node), !text.isEmpty else {
                let found = reader.description(of: node, quoting: false)
                reader.fail(node, "expected a secret, found \(found)", hint: "write { env: NAME } or { file: path }")
                return nil
            }
            let inner = text.unicodeScalars.drop { $0.properties.isWhitespace }.reversed()
                .drop { $0.properties.isWhitespace }
            guard !inner.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else {
                reader.fail(
                    node, "a secret has a line break or another control character in it",
                    hint: "write it on one line, or use { file: path }")
                return nil
            }
            let hint =
                text.hasPrefix("$")
                ? "variables are not expanded; write { env: NAME }"
                : "use { env: NAME } or { file: path }, and keep it out of Git"
            reader.warn(node, "a secret in plain text", hint: hint)
            return Secret(.inline(text), origin: SourceOrigin(position: reader.document.position(of: node), node: node))
        },
        write: { $0.written($1) })

    /// A certificate chain in PEM, by reference or inline.
    static let certificatePEM = pem(isKey: false).defined(as: "certificate_pem")
    /// A private key in PEM. An inline key causes a warning.
    static let keyPEM = pem(isKey: true).defined(as: "key_pem")

    private static func pem(isKey: Bool) -> ValueShape {
        let noun = isKey ? "private key" : "certificate"
        return ValueShape(
            schema: .oneOf([
                reference("file", "The file with the \(noun) in PEM"),
                reference("env", "The environment variable with the \(noun) in PEM"),
                reference("pem", "The \(noun) in PEM itself"),
            ]),
            read: { node, reader in
                guard reader.document.kind(of: node) == .mapping else {
                    let found = reader.description(of: node, quoting: false)
                    reader.fail(
                        node, "expected a reference to a \(noun), found \(found)",
                        hint: "write { file: path }, { env: NAME } or { pem: … }")
                    return nil
                }
                guard let secret = readReference(node, keys: ["file", "env", "pem"], &reader) else { return nil }
                if isKey, case .inline = secret.source {
                    reader.warn(node, "a private key in plain text", hint: "use { file: path } or { env: NAME }")
                }
                return secret
            },
            write: { $0.written($1) })
    }

    private static func reference(_ key: String, _ summary: String) -> SchemaFragment {
        .object(
            summary, properties: [(key, .string(summary, keywords: [("minLength", .int(1))]))], required: [key])
    }

    /// Reads a mapping that must have exactly one of `keys`, with a text that is not empty.
    private static func readReference(_ node: NodeID, keys: [String], _ reader: inout ModelReader) -> Secret? {
        let entries = reader.entries(of: node)
        let keys = reader.readsRecords ? keys + ["inline"] : keys
        let known = keys.joined(separator: ", ")
        guard let entry = entries.first, entries.count == 1 else {
            reader.fail(node, "expected one of \(known), found \(entries.isEmpty ? "none" : "\(entries.count) keys")")
            return nil
        }
        let key = reader.document.string(of: entry.key)
        guard keys.contains(key) else {
            let hint = Suggestion.hint(for: key, in: keys) ?? "known keys: \(known)"
            // The key is not quoted, since in `{ secret }` the key is the secret itself.
            reader.fail(entry.key, "unknown key in a reference", hint: hint)
            return nil
        }
        reader.show(entry.key)
        guard let text = reader.string(of: entry.value), !text.isEmpty else {
            reader.failExpecting("text", at: entry.value)
            return nil
        }
        let origin = SourceOrigin(position: reader.document.position(of: node), node: node)
        switch key {
        case "env": return environment(text, entry.value, origin, &reader)
        case "file": return file(text, entry.value, origin, &reader)
        case "inline": return Secret(.fingerprint(text), origin: origin)
        default: return Secret(.inline(text), origin: origin)
        }
    }

    private static func file(
        _ path: String, _ node: NodeID, _ origin: SourceOrigin, _ reader: inout ModelReader
    ) -> Secret? {
        do throws(ValueFault) {
            try FilePathText.check(path)
        } catch {
            reader.fail(node, error.message, hint: "for the text itself there is 'pem'")
            return nil
        }
        if !path.mayHoldSecret { reader.show(node) }
        return Secret(.file(path), origin: origin)
    }

    private static func environment(
        _ name: String, _ node: NodeID, _ origin: SourceOrigin, _ reader: inout ModelReader
    ) -> Secret? {
        let isValid = name.utf8.count <= 100 && Name.isVariable(name)
        guard isValid else {
            let hint = name.hasPrefix("$") ? "write the name alone, without '$'" : "it is letters, digits and '_'"
            reader.fail(node, "bad name of an environment variable", hint: hint)
            return nil
        }
        reader.show(node)
        return Secret(.environment(name), origin: origin)
    }
}

extension ValueShape where Value == Secret {
    /// The key that seals private keys: a secret that, if inline, must be 64 hex digits.
    static let masterKey = ValueShape(
        schema: secret.schema,
        read: { node, reader in
            guard let key = secret.read(node, &reader) else { return nil }
            if case .inline(let text) = key.source, !MasterKeyText.isValid(text) {
                reader.fail(node, "an encryption key has 64 hex digits", hint: "make one with: openssl rand -hex 32")
                return nil
            }
            return key
        },
        write: secret.write)
}

/// The text form of the key that seals private keys.
package enum MasterKeyText {
    /// Whether a text is 64 hex digits (256 bits).
    package static func isValid(_ text: String) -> Bool {
        text.utf8.count == 64 && text.allSatisfy { $0.isASCII && $0.isHexDigit }
    }
}
