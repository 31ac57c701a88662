import Dispatch
import Synchronization
import Testing

@testable import Gateway

@Suite struct AdminQueueTests {
    /// A service that answers when the test allows it.
    private final class SlowService: AdminService {
        let begun = DispatchSemaphore(value: 0)
        let mayEnd = DispatchSemaphore(value: 0)

        func parts(of streams: [any AdminStream]) -> [AdminStreamPart] { [] }

        func answer(_ request: AdminRequest) -> AdminResponse {
            begun.signal()
            mayEnd.wait()
            return AdminResponse(status: 200, body: Array(request.target.utf8))
        }
    }

    @Test("The number of waiting requests is limited, and each request gets its own answer")
    func bounds() {
        let service = SlowService()
        let queue = AdminQueue(service, statePath: "/nowhere/state.db")
        let answers = Mutex<Set<String>>([])
        let delivered = DispatchSemaphore(value: 0)
        func submit(_ number: Int) -> Bool {
            queue.submit(AdminRequest(method: "GET", target: "/\(number)")) { response in
                _ = answers.withLock { $0.insert(String(decoding: response.body, as: UTF8.self)) }
                delivered.signal()
            }
        }
        for number in 0..<2 { #expect(submit(number)) }
        // Both threads are busy, so further requests wait.
        for _ in 0..<2 { service.begun.wait() }
        for number in 2..<34 { #expect(submit(number)) }
        #expect(!submit(34))
        service.mayEnd.signal()
        delivered.wait()
        service.begun.wait()
        #expect(submit(34))
        for _ in 0..<34 { service.mayEnd.signal() }
        for _ in 0..<34 { delivered.wait() }
        #expect(answers.withLock { $0 } == Set((0..<35).map { "/\($0)" }))
    }
}
