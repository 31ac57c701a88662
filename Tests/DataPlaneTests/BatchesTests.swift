import Testing

@testable import Gateway

@Suite("Batches")
struct BatchesTests {
    @Test(
        "Results are delivered in the order of their inputs, for any number of inputs",
        arguments: [0, 1, 15, 16, 17, 5000])
    func order(count: Int) {
        var batches = Batches<Int, Int> { $0 * 2 }
        var taken: [Int] = []
        for value in 0..<count { batches.add(value) { taken.append($0) } }
        batches.finish { taken.append($0) }
        #expect(taken == (0..<count).map { $0 * 2 })
    }
}

@Suite("Lists of names")
struct NameListTests {
    @Test(
        "A list contains a name as itself or by a wildcard",
        arguments: [("app.test", 0), ("www.app.test", 1), ("x.other.test", nil)] as [(String, Int?)])
    func contains(name: String, labels: Int?) throws {
        let made = Array(name.utf8).withBytes { HostKey($0) }
        let key = try #require(made)
        let starts = [0, key.parentStart ?? 0]
        let list = Array("app.test\0*.app.test\0".utf8)
        let found = starts.map { start in list.withBytes { NameList($0).contains(key, suffixFrom: start) } }
        #expect(found == [labels == 0, labels == 1])
        var names: [String] = []
        list.withBytes { NameList($0).forEach { names.append($0.text) } }
        #expect(names == ["app.test", "*.app.test"])
    }
}
