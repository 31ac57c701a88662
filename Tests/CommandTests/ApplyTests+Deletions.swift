import TestSupport
import Testing

/// Items that are removed from the file.
extension ApplyTests {
    @Test("An apply that would delete most hosts needs --allow-deletions, and a dry run says so")
    func massDeletion() throws {
        func text(_ count: Int) -> String {
            let hosts = (0..<count).map { "{ domain: h\($0).test, respond: {} }" }.joined(separator: ", ")
            return "version: 1\nstate: { path: state/state.db }\nhosts: [\(hosts)]\n"
        }
        try write(text(12))
        #expect(try apply().status == 0)
        try write(text(0))
        let words = "error: 12 of the 12 names of the enabled hosts would be deleted or disabled"
        let foreseen = try apply("--dry-run")
        #expect(foreseen.status == 3)
        #expect(foreseen.errors.contains(words))
        #expect(foreseen.output.contains("! aegis.yaml: \(words)"), "\(foreseen.output)")
        let refused = try apply()
        #expect(refused.status == 1)
        #expect(
            refused.errors.contains(
                "12 of the 12 names of the enabled hosts would be deleted or disabled\nhint: nothing is applied; "))
        #expect(try sql("SELECT count(*) FROM items WHERE kind = 'host'") == "12\n")
        #expect(try apply("--dry-run", "--allow-deletions").status == 0)
        #expect(try apply("--allow-deletions").output.hasSuffix("12 deleted.\n"))
        // Rolling back to a file with more hosts deletes nothing. Rolling back to a file with fewer hosts does.
        #expect(try apply("rollback", "1").status == 0)
        #expect(try apply("rollback", "2").status == 1)
        #expect(try apply("rollback", "2", "--allow-deletions").output.hasSuffix("12 deleted.\n"))
    }
}
