import Testing

@testable import Gateway

struct QuietRecordsTests {
    private static let limit = QuietRecords.ofClients

    @Test("The number of records without data is limited for each second")
    func limit() {
        var records = QuietRecords(limit: Self.limit)
        #expect((0..<Self.limit).allSatisfy { _ in records.admits(1, second: 7, isRead: true) })
        let oneMore = records.admits(1, second: 7, isRead: true)
        #expect(!oneMore)
    }

    @Test("Each second has a new allowance")
    func seconds() {
        var records = QuietRecords(limit: Self.limit)
        for second in 1...100 as ClosedRange<Int64> {
            let isAdmitted = records.admits(Self.limit, second: second, isRead: true)
            #expect(isAdmitted)
        }
    }

    @Test("A peer that does not read the answers gets no new allowance")
    func unread() {
        var records = QuietRecords(limit: Self.limit)
        let first = records.admits(Self.limit, second: 1, isRead: false)
        let later = records.admits(1, second: 50, isRead: false)
        let afterReading = records.admits(1, second: 51, isRead: true)
        #expect(first && !later && afterReading)
    }

    @Test("Records that arrive together count together")
    func together() {
        var records = QuietRecords(limit: Self.limit)
        let isAdmitted = records.admits(Self.limit + 1, second: 1, isRead: true)
        #expect(!isAdmitted)
    }
}
