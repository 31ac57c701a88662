import CYAML

/// Puts libyaml's account of a syntax error into a diagnostic, with a hint for the slips that people make.
enum YAMLSyntaxFault {
    static func describe(_ parser: yaml_parser_t, _ source: SourceText) -> YAMLFault {
        let problem = unsafe parser.problem.map { unsafe String(cString: $0) } ?? "syntax error"
        if unsafe parser.error == YAML_READER_ERROR {
            let offset = unsafe min(parser.problem_offset + source.byteOrderMarkLength, source.bytes.count)
            return YAMLFault(source.position(ofByte: offset), problem)
        }
        let mark = unsafe parser.problem_mark
        let position = SourcePosition(line: mark.line + 1, column: mark.column + 1)
        var notes: [Diagnostic.Note] = []
        if let context = unsafe parser.context.map({ unsafe String(cString: $0) }) {
            let start = unsafe parser.context_mark
            let place = SourcePosition(line: start.line + 1, column: start.column + 1)
            if place != position { notes = [Diagnostic.Note(position: place, message: context)] }
        }
        let byte = byte(at: position, in: source)
        return YAMLFault(position, "YAML syntax: \(problem)", hint: hint(for: problem, at: byte), notes: notes)
    }

    private static func hint(for problem: String, at byte: UInt8?) -> String? {
        switch problem {
        case "found character that cannot start any token" where byte == UInt8(ascii: "\t"),
            "found a tab character that violates indentation":
            "indent with spaces, not tabs"
        case "found character that cannot start any token":
            "put the value in quotes"
        case "mapping values are not allowed in this context":
            "check the indentation; a value that contains ': ' must be in quotes"
        case "did not find expected key", "did not find expected '-' indicator", "could not find expected ':'":
            "check the indentation, and that each key is followed by ': ', with the space"
        case "did not find expected ',' or '}'":
            "is a '}' or a comma missing? values with ': ', '{' or '}' must be in quotes"
        case "did not find expected ',' or ']'": "is a ']' or a comma missing?"
        case "did not find expected node content": "is a ']' or '}' missing?"
        case "found unexpected end of stream": "is a closing quote missing?"
        case "did not find expected alphabetic or numeric character":
            "a value that begins with '*' or '&' must be in quotes"
        default: nil
        }
    }

    private static func byte(at position: SourcePosition, in source: SourceText) -> UInt8? {
        let line = SourceLines(source)[position.line].unicodeScalars
        return line.dropFirst(position.column - 1).first.flatMap { UInt8(exactly: $0.value) }
    }
}
