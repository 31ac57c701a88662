import Testing

@testable import PKI

struct TLSTurnTests {
    @Test("A client hello in one-byte records is processed in several turns")
    func handshake() throws {
        let hello = try Self.clientHello()
        let records: [UInt8] = hello.dropFirst(5).flatMap { [0x16, 3, 1, 0, 1, $0] as [UInt8] }
        let wire = TLSWire()
        let server = try TLSConnection(server: TLSServerContext(tickets: TicketKeys()), wire: wire)
        var turns = 0
        var left = records[...]
        while !left.isEmpty {
            turns += 1
            // This is safe, since the bytes are lent only for the call, and the array does not change meanwhile.
            let (progress, unread) = unsafe left.withUnsafeBufferPointer { buffer in
                if let start = buffer.baseAddress { unsafe wire.lend(start, count: buffer.count) }
                defer { wire.revoke() }
                return unsafe (server.handshake(), wire.unread.count)
            }
            switch progress {
            case .needsInput: #expect(unread > 0)
            case .needsCertificate: #expect(unread == 0)
            default: Issue.record("\(progress)")
            }
            #expect(left.count - unread <= 6 * TLSConnection.recordsARead)
            left = left.suffix(unread)
        }
        #expect(turns == (hello.count - 5 + TLSConnection.recordsARead - 1) / TLSConnection.recordsARead)
    }

    /// A client's first record.
    private static func clientHello() throws -> [UInt8] {
        let wire = TLSWire()
        let client = try TLSConnection(client: TLSClientContext(trust: .system), wire: wire, serverName: "app.test")
        guard case .needsInput = client.handshake() else {
            Issue.record("a client that does not begin")
            return []
        }
        return unsafe Array(wire.output)
    }
}
