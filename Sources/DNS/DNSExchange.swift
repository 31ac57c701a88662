import Glibc

/// Sends a message to a server and waits for the answer. The message goes over UDP, and again over TCP if the server
/// truncated its answer (RFC 7766). Datagrams that don't answer the message are ignored.
struct DNSExchange {
    /// If a server's name has more addresses than this, the rest are not tried.
    private static let maximumAddresses = 4

    let server: DNSServer
    /// The time limit for one address and one protocol.
    let timeout: Duration

    /// Returns the parsed answer and its bytes. `bytes` are the bytes to send: those of `message`, perhaps with a
    /// signature.
    func send(_ message: DNSMessage, _ bytes: [UInt8]) throws(DNSFailure) -> (DNSAnswer, [UInt8]) {
        var failure = DNSFailure("\(server): no address")
        for address in try SocketAddress.all(of: server).prefix(Self.maximumAddresses) {
            do throws(ExchangeFault) {
                let answer = try overUDP(message, bytes, address)
                return answer.0.isTruncated ? try overTCP(message, bytes, address) : answer
            } catch {
                failure = DNSFailure("\(server): \(words(error))")
                if case .isLate = error { failure.isUnanswered = true }
            }
        }
        throw failure
    }

    private func overUDP(
        _ message: DNSMessage, _ bytes: [UInt8], _ address: SocketAddress
    ) throws(ExchangeFault) -> (DNSAnswer, [UInt8]) {
        // The socket is connected, so the kernel drops datagrams from other senders.
        let socket = try DNSSocket(SOCK_DGRAM, to: address, before: .now + timeout)
        try socket.send(bytes)
        while true {
            let received = try socket.receive(atMost: Int(UInt16.max))
            if let answer = message.answer(in: received) { return (answer, received) }
        }
    }

    private func overTCP(
        _ message: DNSMessage, _ bytes: [UInt8], _ address: SocketAddress
    ) throws(ExchangeFault) -> (DNSAnswer, [UInt8]) {
        let socket = try DNSSocket(SOCK_STREAM, to: address, before: .now + timeout)
        // Over TCP, two bytes with the message's length precede each message (RFC 1035 section 4.2.2).
        try socket.send(UInt16(bytes.count).bigEndianBytes + bytes)
        let length = try receive(2, from: socket)
        let received = try receive(Int(bigEndianBytes: length), from: socket)
        guard let answer = message.answer(in: received) else { throw .isBroken }
        return (answer, received)
    }

    private func receive(_ count: Int, from socket: borrowing DNSSocket) throws(ExchangeFault) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let part = try socket.receive(atMost: count - bytes.count)
            guard !part.isEmpty else { throw .isBroken }
            bytes += part
        }
        return bytes
    }

    private func words(_ fault: ExchangeFault) -> String {
        switch fault {
        case .isLate: "no answer within \(timeout)"
        case .isBroken: "the answer is broken"
        // This is safe, since the text of strerror(3) is copied before another call can change it.
        case .system(let code): unsafe String(cString: strerror(code)).lowercased()
        }
    }
}

enum ExchangeFault: Error {
    case isLate
    case isBroken
    /// A system call failed with this errno.
    case system(Int32)
}
