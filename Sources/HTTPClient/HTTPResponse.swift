/// A server's final answer.
package struct HTTPResponse: Sendable {
    /// The status code, 200 to 599.
    package let status: Int
    /// The fields in order, without trailers.
    package let fields: [HTTPField]
    /// The body as received; empty when there is none.
    package let body: [UInt8]

    package init(status: Int, fields: [HTTPField] = [], body: [UInt8] = []) {
        self.status = status
        self.fields = fields
        self.body = body
    }

    /// The values of all fields with this name; case does not matter.
    package func values(of name: String) -> [String] {
        let name = name.lowercased()
        return fields.filter { $0.name.lowercased() == name }.map(\.value)
    }

    /// The value of the first field with this name; case does not matter.
    package func value(of name: String) -> String? { values(of: name).first }
}
