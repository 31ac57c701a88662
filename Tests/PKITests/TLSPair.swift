import COpenSSL

@testable import PKI

/// Both ends of a TLS connection, in memory.
struct TLSPair: ~Copyable {
    let client: TLSConnection
    let server: TLSConnection
    private let clientWire: TLSWire
    private let serverWire: TLSWire

    /// The result of a handshake, after both ends have sent everything.
    struct Outcome {
        var isComplete = false
        var serverFailure: TLSFailure?
        /// Why the client has refused the server, or which alert it has received.
        var clientFailure: TLSFailure?
    }

    init(_ clientContext: TLSClientContext, _ serverContext: TLSServerContext, version: TLSConnection.Version) throws {
        let wires = (TLSWire(), TLSWire())
        let server = try TLSConnection(server: serverContext, wire: wires.1)
        client = try TLSConnection(client: clientContext, wire: wires.0, serverName: "server.test")
        self.server = server
        (clientWire, serverWire) = wires
        if version == .v1_2 {
            _ = unsafe SSL_ctrl(client.ssl, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(TLS1_2_VERSION), nil)
        }
    }

    /// Makes an end send any chain, even one that OpenSSL would refuse to use.
    static func show(_ chain: [Forge.Made], on end: borrowing TLSConnection) throws {
        guard let leaf = chain.first else { return }
        let ssl = unsafe end.ssl
        unsafe SSL_certs_clear(ssl)
        unsafe SSL_set_security_level(ssl, 0)
        try unsafe OpenSSL.check("showing a certificate", SSL_use_certificate(ssl, leaf.handle))
        try unsafe OpenSSL.check("showing a certificate", SSL_use_PrivateKey(ssl, leaf.key.handle))
        for certificate in chain.dropFirst() {
            let handle = unsafe UnsafeMutableRawPointer(certificate.handle)
            // This is the macro SSL_add1_chain_cert.
            guard unsafe SSL_ctrl(ssl, SSL_CTRL_CHAIN_CERT, 1, handle) == 1 else {
                throw PKIError.openSSL("showing a chain", reasons: OpenSSL.drainReasons())
            }
        }
    }

    /// Runs the handshake, and exchanges what follows it. `choose` answers the client hello.
    borrowing func run(_ choose: (borrowing TLSConnection) -> Bool) -> Outcome {
        var outcome = Outcome()
        var toServer: [UInt8] = []
        var toClient: [UInt8] = []
        var (isClientDone, isServerDone) = (false, false)
        for _ in 0..<40 {
            // The client's turn.
            Self.lend(&toClient, to: clientWire) {
                guard outcome.clientFailure == nil else { return }
                if isClientDone {
                    var buffer = [UInt8](repeating: 0, count: 1024)
                    let result = unsafe buffer.withUnsafeMutableBufferPointer { unsafe client.read(into: $0) }
                    if case .failed(let failure) = result.next { outcome.clientFailure = failure }
                } else {
                    switch client.handshake() {
                    case .complete: isClientDone = true
                    case .failed(let failure): outcome.clientFailure = failure
                    default: break
                    }
                }
            }
            toServer += Self.output(of: clientWire)
            Self.lend(&toServer, to: serverWire) {
                while outcome.serverFailure == nil, !isServerDone {
                    switch server.handshake() {
                    case .complete: isServerDone = true
                    case .failed(let failure): outcome.serverFailure = failure
                    case .needsCertificate:
                        guard choose(server) else { return }
                        continue
                    default: break
                    }
                    return
                }
            }
            toClient += Self.output(of: serverWire)
            if toClient.isEmpty && toServer.isEmpty { break }
        }
        outcome.isComplete =
            isClientDone && isServerDone && outcome.clientFailure == nil && outcome.serverFailure == nil
        return outcome
    }

    /// Lends bytes to the wire for a call, and keeps those that were not read.
    private static func lend(_ bytes: inout [UInt8], to wire: TLSWire, _ call: () -> Void) {
        let left = unsafe bytes.withUnsafeBufferPointer { buffer in
            if let start = buffer.baseAddress { unsafe wire.lend(start, count: buffer.count) }
            defer { wire.revoke() }
            call()
            return unsafe wire.unread.count
        }
        bytes.removeFirst(bytes.count - left)
    }

    private static func output(of wire: TLSWire) -> [UInt8] {
        defer { wire.takeOutput() }
        return unsafe Array(wire.output)
    }
}
