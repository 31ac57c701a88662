import PKI
import Remote

/// An error document from a CA (RFC 7807, RFC 8555 section 6.7). Texts are converted to one line of at most 2000
/// characters.
package struct ACMEProblem: Sendable, Hashable {
    /// The error type, such as "urn:ietf:params:acme:error:unauthorized".
    package let type: String
    /// The explanation for people. Empty if the CA gives none.
    package let detail: String
    /// The name that the error is about.
    package let identifier: String?
    /// The errors for single names, at most 100.
    package let subproblems: [ACMEProblem]

    static let prefix = "urn:ietf:params:acme:error:"

    /// The last part of an error type of RFC 8555, such as "unauthorized". Nil for other types.
    package var kind: String? { type.hasPrefix(Self.prefix) ? String(type.dropFirst(Self.prefix.count)) : nil }

    /// Reads the error document in an answer. If there is none, the start of the body becomes the `detail`, or the HTTP
    /// status if the body is empty. Of a redirect only the target is of interest.
    package init(of response: ACMEHTTPResponse) {
        if let wire = try? ACMEJSON.decode(Wire.self, from: response.body, of: "problem"),
            wire.type != nil || wire.detail != nil || wire.title != nil
        {
            self.init(wire)
        } else {
            let isRedirect = 300...399 ~= response.status
            let text = isRedirect ? "" : String(decoding: response.body.prefix(100), as: UTF8.self).oneLine(limit: 100)
            var detail = text.isEmpty ? "HTTP status \(response.status)" : text
            if isRedirect, let target = response.location {
                detail = "it redirects to '\(target.oneLine(limit: 200))', and redirects are not followed"
            }
            self.init(type: "about:blank", detail: detail, identifier: nil, subproblems: [])
        }
    }

    /// Reads an error document inside an order or a challenge.
    init(_ wire: Wire, depth: Int = 0) {
        // RFC 7807 section 4.2: a missing type means "about:blank".
        type = (wire.type ?? "about:blank").oneLine(limit: 200)
        detail = (wire.detail ?? wire.title ?? "").oneLine(limit: 2000)
        identifier = wire.identifier?.value?.oneLine(limit: 300)
        // RFC 8555 section 6.7.1 forbids subproblems within subproblems.
        subproblems = depth > 0 ? [] : (wire.subproblems?.elements ?? []).prefix(100).map { ACMEProblem($0, depth: 1) }
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
        @IfReadable var subproblems: ReadableList<Wire>?
    }
}

extension ACMEProblem: CustomStringConvertible {
    package var description: String {
        let own = detail.isEmpty ? type : "\(type): \(detail)"
        return ([identifier.map { "for \($0): \(own)" } ?? own] + subproblems.map(\.description)).joined(
            separator: "; ")
    }
}
