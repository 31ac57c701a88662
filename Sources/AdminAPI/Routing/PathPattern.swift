/// The paths of a route, such as `/api/v1/hosts/{id}`. A part in braces stands for any segment.
struct PathPattern: Sendable, ExpressibleByStringLiteral {
    /// The pattern as OpenAPI writes it.
    let text: String
    private let parts: [Part]

    private enum Part: Sendable {
        case literal(String)
        case parameter(String)
    }

    init(stringLiteral text: String) {
        self.text = text
        parts = text.split(separator: "/").map { part in
            part.hasPrefix("{") ? .parameter(String(part.dropFirst().dropLast())) : .literal(String(part))
        }
    }

    /// The names of the parameters, in their order.
    var parameters: [String] {
        parts.compactMap { if case .parameter(let name) = $0 { name } else { nil } }
    }

    /// The values of the parameters; nil for a path of another form.
    func match(_ segments: [String]) -> [String: String]? {
        guard segments.count == parts.count else { return nil }
        var values: [String: String] = [:]
        for (part, segment) in zip(parts, segments) {
            switch part {
            case .literal(let text): guard text == segment else { return nil }
            case .parameter(let name): values[name] = segment
            }
        }
        return values
    }
}
