/// One link of a Link field (RFC 8288).
package struct WebLink: Sendable, Hashable {
    /// The target as the field has it, perhaps relative to the requested URL.
    package let target: String
    /// The target's relations to the answer, such as "alternate", in lower case.
    package let relations: [String]

    package init(target: String, relations: [String]) {
        self.target = target
        self.relations = relations
    }

    /// The most links read from one field.
    private static let maximumLinks = 100

    /// Reads a field: `<target>; rel="one two"; title="a, b", <target>…` (RFC 8288, section 3). Reading stops at a
    /// fault, and links without a relation are left out.
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
                // Only the first `rel` of a link counts (RFC 8288, section 3.3).
                if name == "rel", relations == nil {
                    relations = value.lowercased().split { $0 == " " || $0 == "\t" }.map(String.init)
                }
            }
            if let relations, !relations.isEmpty { links.append(WebLink(target: target, relations: relations)) }
        }
        return links
    }

    /// Removes `; name=value` or `; name="value"` from a text's beginning and returns it; nil when the text begins
    /// differently.
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
