package struct HTTPResponse: Sendable {
    /// The status code, 200 to 599.
    package let status: Int
    /// The header fields in order, without trailers.
    package let fields: [HTTPField]
    package let body: [UInt8]

    package init(status: Int, fields: [HTTPField] = [], body: [UInt8] = []) {
        self.status = status
        self.fields = fields
        self.body = body
    }

    /// The values of all fields with this name, compared without regard to case.
    package func values(of name: String) -> [String] {
        let name = name.lowercased()
        return fields.filter { $0.name.lowercased() == name }.map(\.value)
    }

    /// The value of the first field with this name, compared without regard to case.
    package func value(of name: String) -> String? { values(of: name).first }
}
