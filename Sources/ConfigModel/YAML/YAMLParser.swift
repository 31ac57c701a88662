import CYAML

/// Reads YAML by libyaml, which no other code calls.
enum YAMLParser {
    /// Parses a text that `YAMLTextCheck` has accepted. An empty text gives a document without a root.
    static func parse(_ source: SourceText) throws(YAMLFault) -> YAMLDocument {
        var parser = unsafe yaml_parser_t()
        guard unsafe yaml_parser_initialize(&parser) == 1 else { throw YAMLFault(.start, "out of memory") }
        defer { unsafe yaml_parser_delete(&parser) }
        unsafe yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING)
        // This is safe, since libyaml uses the input's address only within this closure, and the address stays valid
        // there.
        let result: Result<YAMLDocument, YAMLFault> = unsafe source.bytes.withUnsafeBufferPointer { input in
            let body = unsafe UnsafeBufferPointer(rebasing: input.dropFirst(source.byteOrderMarkLength))
            unsafe yaml_parser_set_input_string(&parser, body.baseAddress, body.count)
            do throws(YAMLFault) {
                return unsafe .success(try readEvents(&parser, of: source))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private static func readEvents(_ parser: inout yaml_parser_t, of source: SourceText) throws(YAMLFault)
        -> YAMLDocument
    {
        var builder = YAMLBuilder(textBytes: source.bytes.count)
        var documents = 0
        while true {
            var event = unsafe yaml_event_t()
            guard unsafe yaml_parser_parse(&parser, &event) == 1 else {
                throw unsafe YAMLSyntaxFault.describe(parser, source)
            }
            defer { unsafe yaml_event_delete(&event) }
            if unsafe event.type == YAML_STREAM_END_EVENT { return builder.finish() }
            if unsafe event.type == YAML_DOCUMENT_START_EVENT {
                documents += 1
                guard documents == 1 else {
                    throw YAMLFault(unsafe place(event.start_mark), "a second document begins here", hint: oneDocument)
                }
            }
            unsafe try handle(event, &builder)
        }
    }

    private static let oneDocument = "one file is one configuration; remove the '---' or split the file"

    private static func handle(_ event: yaml_event_t, _ builder: inout YAMLBuilder) throws(YAMLFault) {
        let place = unsafe place(event.start_mark)
        switch unsafe event.type {
        case YAML_SCALAR_EVENT:
            let scalar = unsafe event.data.scalar
            let kind = try unsafe kind(of: scalar, at: place)
            // This is safe, since the bytes belong to the event, which outlives this call.
            let bytes = unsafe Span(_unsafeStart: scalar.value, count: scalar.length)
            try builder.scalar(bytes, kind: kind, at: place, anchor: unsafe string(scalar.anchor))
        case YAML_SEQUENCE_START_EVENT:
            let start = unsafe event.data.sequence_start
            try unsafe checkTag(start.tag, allowed: "tag:yaml.org,2002:seq", at: place)
            try builder.begin(.sequence, at: place, anchor: unsafe string(start.anchor))
        case YAML_MAPPING_START_EVENT:
            let start = unsafe event.data.mapping_start
            try unsafe checkTag(start.tag, allowed: "tag:yaml.org,2002:map", at: place)
            try builder.begin(.mapping, at: place, anchor: unsafe string(start.anchor))
        case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT:
            builder.end()
        case YAML_ALIAS_EVENT:
            try builder.alias(unsafe string(event.data.alias.anchor) ?? "", at: place)
        default: break
        }
    }

    private static func kind(
        of scalar: yaml_event_t.__Unnamed_union_data.__Unnamed_struct_scalar, at place: SourcePosition
    ) throws(YAMLFault) -> YAMLNode.Kind {
        guard let tag = unsafe scalar.tag else {
            return unsafe scalar.style == YAML_PLAIN_SCALAR_STYLE ? .plain : .text
        }
        let name = unsafe String(cString: tag)
        if name == "!" || name == "tag:yaml.org,2002:str" { return .text }
        throw unsupportedTag(at: place)
    }

    private static func checkTag(_ tag: UnsafeMutablePointer<UInt8>?, allowed: String, at place: SourcePosition)
        throws(YAMLFault)
    {
        guard let name = unsafe string(tag), name != "!", name != allowed else { return }
        throw unsupportedTag(at: place)
    }

    /// The message leaves out the tag's name: a value that begins with '!' also looks like a tag, and may be a secret.
    private static func unsupportedTag(at place: SourcePosition) -> YAMLFault {
        YAMLFault(
            place, "tags are not supported",
            hint: "remove the tag, as the key decides what a value is; a value that begins with '!' must be in quotes")
    }

    private static func place(_ mark: yaml_mark_t) -> SourcePosition {
        SourcePosition(line: mark.line + 1, column: mark.column + 1)
    }

    private static func string(_ pointer: UnsafeMutablePointer<UInt8>?) -> String? {
        unsafe pointer.map { unsafe String(cString: $0) }
    }
}
