import ConfigModel
import Glibc
import PKI

/// Connects to a TLS server as the gateway would connect to an upstream, and sends nothing but the handshake. Reports
/// the server's certificates, whether they are trusted, and whether the server asks for a client certificate and
/// refuses the gateway's.
package struct PeerProbe {
    private let host: String
    private let port: Int
    private let serverName: String
    private let trust: PeerTrust
    private let credential: TLSCredential?

    /// How long the server may take to refuse the client certificate after the handshake, in milliseconds.
    private static let objectionMilliseconds: Int64 = 2000

    /// - Parameters:
    ///   - host: A host name or an IP address.
    ///   - serverName: The name or address for which the server's certificate must be valid.
    ///   - credential: The certificate to show to a server that asks for one.
    package init(host: String, port: Int, serverName: String, trust: PeerTrust, credential: TLSCredential?) {
        (self.host, self.port, self.serverName) = (host, port, serverName)
        (self.trust, self.credential) = (trust, credential)
    }

    package struct Report: Sendable {
        /// What the server did about the client certificate.
        package enum ClientCertificateOutcome: Sendable, Equatable {
            case notAsked
            /// The server asked for a certificate and sent no TLS alert about it. The server may still refuse the
            /// certificate later: nginx answers the first request with 400.
            case unopposed
            /// The server refused the certificate. The text describes the TLS alert, or says how the connection ended.
            case refused(String)
        }

        /// Why there was no complete handshake; nil if there was one.
        package var failure: String?
        package var version: TLSConnection.Version?
        /// The server's certificates in DER, its own first.
        package var chain: [[UInt8]] = []
        /// Why the server's certificate is not trusted; nil if it is trusted, or the server showed none.
        package var refusal: PeerRefusal?
        package var isAsked = false
        package var ours = ClientCertificateOutcome.notAsked

        /// Whether the handshake is complete and neither side has refused the other's certificate.
        package var isGood: Bool {
            if case .refused = ours { return false }
            return failure == nil && refusal == nil
        }
    }

    /// Connects and reports. The host's addresses are tried in turn until one accepts a connection.
    package func run(timeoutMilliseconds: Int64) -> Report {
        let deadline = GatewayServer.monotonicMilliseconds + timeoutMilliseconds
        do throws(ProbeFault) {
            return try look(at: connect(until: deadline), until: deadline)
        } catch {
            return Report(failure: error.description)
        }
    }

    // MARK: The connection

    private func connect(until deadline: Int64) throws(ProbeFault) -> Int32 {
        let addresses: [SocketAddress]
        if let address = IPAddress(host) {
            addresses = [SocketAddress(address, port: port)]
        } else {
            let answer = Resolver.look(up: host)
            guard answer.failure == nil else { throw ProbeFault(answer.failure ?? "") }
            addresses = answer.addresses.map { $0.with(port: port) }
        }
        var failure = ProbeFault("'\(host)' has no address")
        for address in addresses {
            do throws(ProbeFault) {
                return try connect(to: address, until: deadline)
            } catch {
                failure = error
            }
        }
        throw failure
    }

    private func connect(to address: SocketAddress, until deadline: Int64) throws(ProbeFault) -> Int32 {
        let descriptor: Int32
        do throws(SystemFailure) {
            descriptor = try Socket.make(family: address.family)
        } catch {
            throw ProbeFault("\(error)")
        }
        do throws(SystemFailure) {
            if try Socket.connect(descriptor, to: address) { return descriptor }
            guard Self.wait(for: descriptor, POLLOUT, until: deadline) else {
                throw SystemFailure("connect", code: ETIMEDOUT)
            }
            let code = Socket.pendingError(descriptor)
            guard code == 0 else { throw SystemFailure("connect", code: code) }
            return descriptor
        } catch {
            Socket.close(descriptor)
            throw ProbeFault("can't connect: \(SystemFailure.text(error.code))")
        }
    }

    /// Returns false when the time is over.
    private static func wait(for descriptor: Int32, _ events: Int32, until deadline: Int64) -> Bool {
        while true {
            let left = deadline - GatewayServer.monotonicMilliseconds
            guard left > 0 else { return false }
            var entries = [pollfd(fd: descriptor, events: Int16(events), revents: 0)]
            if Poll.wait(for: &entries, milliseconds: Int32(clamping: left)) == 1 { return true }
        }
    }

    // MARK: The handshake

    private func look(at descriptor: Int32, until deadline: Int64) throws(ProbeFault) -> Report {
        let memory = WorkerMemory(headBytes: 0)
        var transport = Transport(descriptor: descriptor)
        do throws(PKIError) {
            let context = try TLSClientContext(trust: .anybody)
            let tls = try TLSConnection(client: context, wire: memory.wire, serverName: serverName)
            var isReady = tls.verify(by: trust)
            if let credential { isReady = tls.show(credential) && isReady }
            guard isReady else { throw .openSSL("setting up TLS", reasons: []) }
            tls.noteRequest()
            transport.tls = consume tls
        } catch {
            throw ProbeFault("\(error)")
        }
        var report = Report()
        let failure = shakeHands(&transport, memory, until: deadline)
        report.chain = transport.tls?.peerChain ?? []
        report.refusal = transport.tls?.verdict
        report.isAsked = transport.tls?.isAsked ?? false
        if let failure {
            // Up to TLS 1.2 a server refuses the client certificate during the handshake.
            if case .tls(let reason) = failure, reason.cause == .alert, report.isAsked {
                report.ours = .refused(reason.words)
            }
            report.failure = failure.words
            return report
        }
        report.version = transport.tls?.version
        if report.isAsked {
            let patience = GatewayServer.monotonicMilliseconds + Self.objectionMilliseconds
            report.ours =
                report.version == .v1_3
                ? awaitObjection(&transport, memory, until: min(deadline, patience)) : .unopposed
        }
        transport.finishWriting(memory.wire)
        return report
    }

    private enum Failure {
        case tls(TLSFailure)
        case other(String)

        var words: String {
            switch self {
            case .tls(let failure): "the TLS handshake failed: \(failure.words)"
            case .other(let reason): reason
            }
        }
    }

    /// Returns why the handshake has failed; nil if it is complete.
    private func shakeHands(
        _ transport: inout Transport, _ memory: borrowing WorkerMemory, until deadline: Int64
    ) -> Failure? {
        while true {
            guard let progress = transport.tls?.handshake() else { return .other("there is no TLS") }
            if let failure = transport.sendOutput(of: memory.wire) { return .other(failure.reason) }
            switch progress {
            case .complete:
                transport.keepUndecrypted(memory.wire)
                return nil
            case .failed(let failure): return .tls(failure)
            case .needsCertificate: return .other("the TLS handshake can't go on")
            case .needsOutput: continue
            case .needsInput: transport.keepUndecrypted(memory.wire)
            }
            guard transport.mayRead || Self.wait(for: transport.descriptor, POLLIN, until: deadline) else {
                return .other("no answer in time")
            }
            switch transport.receiveCiphertext(memory) {
            case .bytes, .wouldBlock: continue
            case .ended: return .other("the connection was closed during the TLS handshake")
            case .failed(let code): return .other(SystemFailure.text(code))
            }
        }
    }

    /// Waits for the server's reaction to the client certificate. In TLS 1.3 the client's handshake is complete before
    /// the server has checked the certificate. An alert or the end of the connection counts as a refusal. Any other
    /// bytes from the server, such as a session ticket, show that the server has completed the handshake.
    private func awaitObjection(
        _ transport: inout Transport, _ memory: borrowing WorkerMemory, until deadline: Int64
    ) -> Report.ClientCertificateOutcome {
        while true {
            switch transport.receive(memory, second: 0) {
            // An incomplete record may be the beginning of an alert.
            case .bytes: if transport.tls?.hasPending != true { return .unopposed }
            case .failed(.tls(let failure)) where failure.cause == .alert: return .refused(failure.words)
            case .failed(let failure): return .refused(failure.reason)
            case .ended, .truncated: return .refused("the connection was closed without a word")
            case .nothing: break
            }
            guard Self.wait(for: transport.descriptor, POLLIN, until: deadline) else { return .unopposed }
        }
    }
}

private struct ProbeFault: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
