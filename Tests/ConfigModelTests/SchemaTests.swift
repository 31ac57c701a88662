import ConfigModel
import TestSupport
import Testing

@Suite struct SchemaTests {
    @Test("schema/aegis.schema.json is what the program prints")
    func upToDate() throws {
        let printed = String(decoding: ConfigurationSchema.json(), as: UTF8.self)
        #expect(printed == (try Golden.expected(at: Repository.path("schema/aegis.schema.json"), recording: printed)))
    }

    @Test("Every property has a description, for editors to show")
    func descriptions() {
        let printed = String(decoding: ConfigurationSchema.json(), as: UTF8.self)
        #expect(printed.contains("\"description\": \"Which upstream gets a request\""))
    }
}
