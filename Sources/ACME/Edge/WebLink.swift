/// A link in the field Link of an answer (RFC 8288).
package struct WebLink: Sendable, Hashable {
    /// The URL in the field. It may be relative to the URL of the request.
    package let target: String
    /// The relation types in lower case, such as "alternate".
    package let relations: [String]

    package init(target: String, relations: [String]) {
        self.target = target
        self.relations = relations
    }

    /// The maximum number of links that are read from a field.
    private static let maximumLinks = 100

    /// Reads the field Link (RFC 8288 section 3), such as `<target>; rel="one two"; title="a, b", <target>…`. Reading
    /// stops at the first syntax error. Links without `rel` are skipped.
    package static func links(of field: String) -> [WebLink] {
        var rest = Substring(field)
        var links: [WebLink] = []
        while links.count < maximumLinks {
            rest = rest.drop { $0 == " " || $0 == "\t" || $0 == "," }
            guard rest.popFirst() == "<", let end = rest.firstIndex(of: ">") else { break }
            let target = String(rest[..<end])
            rest = rest[rest.index(after: end)...]
            var relations: [String]?
            while let (name, value) = parameter(&rest) {
                // If a link has several `rel`, only the first counts (RFC 8288 section 3.3).
                if name == "rel", relations == nil {
                    relations = value.lowercased().split { $0 == " " || $0 == "\t" }.map(String.init)
                }
            }
            if let relations, !relations.isEmpty { links.append(WebLink(target: target, relations: relations)) }
        }
        return links
    }

    /// Removes a parameter, `; name=value` or `; name="value"`, from the start of a text and returns it. Returns nil if
    /// the text starts with something else.
    private static func parameter(_ text: inout Substring) -> (name: String, value: String)? {
        let blanks: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        text = text.drop(while: blanks)
        guard text.first == ";" else { return nil }
        text = text.dropFirst().drop(while: blanks)
        let name = text.prefix { !"=;,".contains($0) && !blanks($0) }
        text = text[name.endIndex...].drop(while: blanks)
        guard text.first == "=" else { return (name.lowercased(), "") }
        text = text.dropFirst().drop(while: blanks)
        guard text.first == "\"" else {
            let value = text.prefix { !";,".contains($0) && !blanks($0) }
            text = text[value.endIndex...]
            return (name.lowercased(), String(value))
        }
        text = text.dropFirst()
        var value = ""
        while let next = text.popFirst(), next != "\"" {
            value.append(next == "\\" ? text.popFirst() ?? next : next)
        }
        return (name.lowercased(), value)
    }
}
