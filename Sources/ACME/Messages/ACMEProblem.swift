import PKI
import Remote

/// A problem that a CA reports (RFC 7807; RFC 8555, section 6.7). Texts are in one line and cut at 2000 characters.
package struct ACMEProblem: Sendable, Hashable {
    /// The kind of problem as a URI, such as "urn:ietf:params:acme:error:unauthorized".
    package let type: String
    /// The explanation for people; empty when the CA gives none.
    package let detail: String
    /// The name that the problem is about, as the CA writes it.
    package let identifier: String?
    /// The problems of single names, if the CA lists them; at most 100.
    package let subproblems: [ACMEProblem]

    static let prefix = "urn:ietf:params:acme:error:"

    /// The last part of a type of RFC 8555, such as "unauthorized"; nil for other types.
    package var kind: String? { type.hasPrefix(Self.prefix) ? String(type.dropFirst(Self.prefix.count)) : nil }

    /// Reads the problem of an error answer. If there is no problem document, the beginning of the answer's body
    /// describes the problem, or the status if the body is empty.
    package init(of response: ACMEHTTPResponse) {
        if let wire = try? ACMEJSON.decode(Wire.self, from: response.body, of: "problem"),
            wire.type != nil || wire.detail != nil || wire.title != nil
        {
            self.init(wire)
        } else {
            let text = String(decoding: response.body.prefix(200), as: UTF8.self).oneLine(limit: 200)
            self.init(
                type: "about:blank", detail: text.isEmpty ? "HTTP status \(response.status)" : text, identifier: nil,
                subproblems: [])
        }
    }

    /// Reads a problem that is part of an order or a challenge.
    init(_ wire: Wire, depth: Int = 0) {
        // A problem without a type has "about:blank" (RFC 7807, section 4.2).
        type = (wire.type ?? "about:blank").oneLine(limit: 200)
        detail = (wire.detail ?? wire.title ?? "").oneLine(limit: 2000)
        identifier = wire.identifier?.value?.oneLine(limit: 300)
        // A subproblem has no subproblems (RFC 8555, section 6.7.1).
        subproblems = depth > 0 ? [] : (wire.subproblems ?? []).prefix(100).map { ACMEProblem($0, depth: 1) }
    }

    init(type: String, detail: String, identifier: String?, subproblems: [ACMEProblem]) {
        self.type = type
        self.detail = detail
        self.identifier = identifier
        self.subproblems = subproblems
    }

    struct Wire: Decodable {
        struct Identifier: Decodable {
            @IfReadable var value: String?
        }

        @IfReadable var type: String?
        @IfReadable var title: String?
        @IfReadable var detail: String?
        @IfReadable var identifier: Identifier?
        @IfReadable var subproblems: [Wire]?
    }
}

extension ACMEProblem: CustomStringConvertible {
    /// The whole problem in one line: type and detail, then those of each subproblem.
    package var description: String {
        let own = detail.isEmpty ? type : "\(type): \(detail)"
        return ([identifier.map { "for \($0): \(own)" } ?? own] + subproblems.map(\.description)).joined(
            separator: "; ")
    }
}
