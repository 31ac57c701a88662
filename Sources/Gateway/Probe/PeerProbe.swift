import ConfigModel
import Glibc
import PKI

/// Looks at a TLS server as the gateway would connect to it: what it shows, whether that is trusted, and whether it asks
/// for our certificate and accepts it. Nothing but the handshake is sent.
package struct PeerProbe {
    private let host: String
    private let port: Int
    private let serverName: String
    private let trust: PeerTrust
    private let credential: TLSCredential?

    /// How long a server may take to object to our certificate after the handshake, in milliseconds.
    private static let objectionMilliseconds: Int64 = 2000

    /// - Parameters:
    ///   - host: A host name or an IP address.
    ///   - serverName: The name or address that the server's certificate must be for.
    ///   - credential: What is shown to a server that asks.
    package init(host: String, port: Int, serverName: String, trust: PeerTrust, credential: TLSCredential?) {
        (self.host, self.port, self.serverName) = (host, port, serverName)
        (self.trust, self.credential) = (trust, credential)
    }

    package struct Report: Sendable {
        /// What became of our certificate.
        package enum Ours: Sendable, Equatable {
            case notAsked
            case accepted
            /// The server asked for it, and then neither objected nor said anything.
            case unopposed
            /// In the server's words, by its alert.
            case refused(String)
        }

        /// What can't be done, such as connecting; nil if the handshake is complete.
        package var failure: String?
        package var version: TLSConnection.Version?
        /// The server's certificates in DER, its own first.
        package var chain: [[UInt8]] = []
        /// The reason why the server's certificate is refused; nil if it is trusted, or there was none.
        package var refusal: PeerRefusal?
        package var isAsked = false
        package var ours = Ours.notAsked

        /// Whether the two ends can speak to each other.
        package var isGood: Bool {
            if case .refused = ours { return false }
            return failure == nil && refusal == nil
        }
    }

    /// Connects, and looks. Every address of the host is tried until one answers.
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
            // Servers up to TLS 1.2 refuse a certificate within the handshake.
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
                ? awaitObjection(&transport, memory, until: min(deadline, patience)) : .accepted
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

    /// Returns the reason why there is no handshake; nil if it is complete.
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

    /// In TLS 1.3 a server says what it thinks of our certificate after our end of the handshake is complete: an alert
    /// refuses it, and whatever else it sends, such as a session ticket, follows its acceptance.
    private func awaitObjection(
        _ transport: inout Transport, _ memory: borrowing WorkerMemory, until deadline: Int64
    ) -> Report.Ours {
        while true {
            switch transport.receive(memory, second: 0) {
            // A part of a record may be the beginning of an alert.
            case .bytes: if transport.tls?.hasPending != true { return .accepted }
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
