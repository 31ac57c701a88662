import Testing

@testable import Gateway

@Suite struct TableUpdateTests {
    @Test("Renewed rules replace all definitions of their number in a held update, even of a reused number")
    func replace() {
        var update = TableUpdate()
        // The rules with number 0 are released, and the number is given to other rules.
        update.clientTrusts = [1, 0, 0].map { ClientTrustDefinition(number: $0, trust: nil) }
        var renewed = [0, 2].map { ClientTrustDefinition(number: $0, trust: nil) }
        update.replace(&renewed)
        #expect(update.clientTrusts.map(\.number) == [1, 0])
        #expect(renewed.map(\.number) == [2])
    }
}
