/// The JSON Schema of the file (draft 2020-12), made from the same shapes that read it.
package enum ConfigurationSchema {
    /// The schema as JSON, with one entry on each line.
    package static func json() -> [UInt8] {
        let fragment = Configuration.shape.schema
        let definitions = fragment.definitions.sorted { $0.key < $1.key }
        let schema = fragment.adding([
            ("$schema", .string("https://json-schema.org/draft/2020-12/schema")),
            ("title", .string("aegis.yaml")),
        ])
        let entries = schema.entries + [PlainValue.Entry("$defs", .map(definitions.map { ($0.key, $0.value) }))]
        return PlainValue.object(entries).json(indented: true) + [UInt8(ascii: "\n")]
    }
}
