import HTTP1
import Testing

@Suite struct SampleTests {
    @Test("A malformed request is refused with the same status, however it is split", arguments: HTTPSample.malformed)
    func malformed(_ sample: HTTPSample) {
        let bytes = sample.octets
        let whole = Self.refusal(bytes, step: .max)
        #expect(whole?.status == sample.status, "\(String(describing: whole))")
        for step in [1, 2, 3, 7] { #expect(Self.refusal(bytes, step: step) == whole, "\(step) bytes at a time") }
    }

    @Test("An odd but valid request is read the same, however it is split", arguments: HTTPSample.valid)
    func valid(_ sample: HTTPSample) throws {
        let bytes = sample.octets
        let whole = readRequest(bytes)
        guard case .head(let head, let headBytes) = whole else {
            Issue.record("\(whole)")
            return
        }
        #expect(head.first == sample.method)
        #expect(head.path == sample.path)
        #expect(head.host.lowercased() == "app.test")
        let body = Array(bytes[headBytes...])
        let read = readBody(body, head.framing)
        #expect(String(latin1: read.data) == sample.body && read.end == body.count && read.isComplete)
        for step in [1, 2, 3, 7] {
            #expect(readRequest(bytes, step: step) == whole, "\(step) bytes at a time")
            #expect(readBody(body, head.framing, step: step) == read, "\(step) bytes at a time")
        }
    }

    @Test("Each prefix of a valid request's head is incomplete", arguments: HTTPSample.valid)
    func prefixes(_ sample: HTTPSample) throws {
        let bytes = sample.octets
        guard case .head(_, let headBytes) = readRequest(bytes) else { return }
        for count in 0..<headBytes { #expect(scan(Array(bytes[..<count])) == .incomplete) }
    }

    @Test("No prefix of a valid request's body is complete", arguments: HTTPSample.valid)
    func bodyPrefixes(_ sample: HTTPSample) throws {
        let bytes = sample.octets
        guard case .head(let head, let headBytes) = readRequest(bytes), head.framing != .none else { return }
        let body = Array(bytes[headBytes...])
        for count in 0..<body.count {
            let read = readBody(Array(body[..<count]), head.framing)
            #expect(!read.isComplete && read.end == nil && read.fault == nil)
        }
    }

    @Test("The samples have different names, and there are enough of them")
    func samples() {
        #expect(HTTPSample.malformed.count >= 170 && HTTPSample.valid.count >= 40)
        let names = (HTTPSample.malformed + HTTPSample.valid).map(\.name)
        #expect(Set(names).count == names.count)
    }

    /// Why a request is refused: a fault of its head or of its body.
    private static func refusal(_ bytes: [UInt8], step: Int) -> Refusal? {
        switch readRequest(bytes, step: step) {
        case .incomplete: return nil
        case .fault(let fault): return Refusal(status: fault.status, reason: "\(fault)")
        case .head(let head, let headBytes):
            let body = readBody(Array(bytes[headBytes...]), head.framing, step: step)
            return body.fault.map { Refusal(status: $0.status, reason: "\($0)") }
        }
    }

    private struct Refusal: Equatable {
        var status: Int
        var reason: String
    }
}
