import State
import Testing

@testable import Gateway

@Suite struct LockWatchTests {
    private static let locked = StateError.busy(path: "state.db", waitedMilliseconds: 250)

    /// Whether each error is only a passing lock. The errors occur one after the other, at these seconds. Nil means
    /// that the state could be used.
    private func passing(_ errors: [(second: Int64, error: StateError?)]) -> [Bool] {
        var watch = LockWatch()
        return errors.compactMap { second, error in
            if let error { return watch.isPassing(error, at: second) }
            watch.ended()
            return nil
        }
    }

    @Test("A lock is reported after five seconds of failed tries in a row")
    func patience() {
        let times: [Int64] = [100, 104, 105, 200]
        let errors = times.map { ($0, StateError?.some(Self.locked)) }
        #expect(passing(errors + [(200, nil), (201, Self.locked)]) == [true, true, false, false, true])
    }

    @Test("Other errors are reported at once, and don't reset the time of a lock")
    func others() {
        let full = StateError.failed(path: "state.db", reason: "disk full")
        #expect(
            passing([(1, .leaseLost), (2, Self.locked), (3, full), (7, Self.locked)]) == [false, true, false, false])
    }
}
