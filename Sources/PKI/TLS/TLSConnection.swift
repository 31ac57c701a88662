import COpenSSL

/// One TLS connection without a socket: it reads from and writes to the thread's `TLSWire`. Owns the `SSL`.
///
/// After each call the caller must send the wire's output, whatever the result was: it may contain an alert.
@safe
package struct TLSConnection: ~Copyable {
    package enum Version: UInt8, Sendable, Comparable {
        case v1_2
        case v1_3

        package static func < (one: Version, other: Version) -> Bool { one.rawValue < other.rawValue }
    }

    let ssl: OpaquePointer
    /// The context, kept alive for as long as OpenSSL may use it.
    private let owner: AnyObject

    /// Makes the server's end. Its handshake stops once with `needsCertificate`.
    package init(server context: TLSServerContext, wire: TLSWire) throws(PKIError) {
        unsafe ssl = try Self.make(context.context, wire) { ssl in
            unsafe SSL_set_accept_state(ssl)
            return true
        }
        owner = context
    }

    /// Makes the client's end. The server's certificate must be for `serverName`, a host name or an address. `group` is
    /// the group that an earlier handshake with this server chose. A server that chooses a group for which the client
    /// hello has no key asks for a second hello.
    package init(
        client context: TLSClientContext, wire: TLSWire, serverName: String, group: TLSGroup = .x25519
    ) throws(PKIError) {
        unsafe ssl = try Self.make(context.context, wire) { ssl in
            unsafe SSL_set_connect_state(ssl)
            // The context's list of groups begins with x25519.
            guard unsafe group == .x25519 || TLSGroups.client(first: group).set(for: ssl) else { return false }
            // An address is not sent as the server name (RFC 6066 section 3).
            return SubjectName.addressBytes(serverName) == nil
                ? unsafe aegis_set_server_name(ssl, serverName) == 1 && SSL_set1_host(ssl, serverName) == 1
                : unsafe X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), serverName) == 1
        }
        owner = context
    }

    deinit { unsafe SSL_free(ssl) }

    private static func make(
        _ context: OpaquePointer, _ wire: TLSWire, _ setUp: (OpaquePointer) -> Bool
    ) throws(PKIError) -> OpaquePointer {
        let action = "making a TLS connection"
        let ssl = try unsafe OpenSSL.require(action, SSL_new(context))
        do throws(PKIError) {
            let bio = try unsafe wire.makeBIO()
            // SSL_set_bio takes over one reference when both directions have the same BIO.
            unsafe SSL_set_bio(ssl, bio, bio)
            unsafe aegis_count_quiet_records(ssl, &wire.window.pointee.quietRecords)
            guard unsafe setUp(ssl) else { throw .openSSL(action, reasons: OpenSSL.drainReasons()) }
        } catch {
            unsafe SSL_free(ssl)
            throw error
        }
        return unsafe ssl
    }

    // MARK: Handshake

    package enum Progress {
        case complete
        /// The handshake needs more bytes. If the wire still has input, it continues with that input in a later turn of
        /// the thread's loop.
        case needsInput
        /// The output is full. The handshake continues after the caller has taken the output.
        case needsOutput
        /// The client hello has arrived (`TLSWire.hello`). The handshake continues after `choose`, now or later.
        case needsCertificate
        case failed(TLSFailure)
    }

    /// Whether the handshake has not begun.
    package var isUntouched: Bool { unsafe SSL_in_before(ssl) == 1 }

    /// Continues the handshake through at most `recordsARead` records, since a message may be split into records of one
    /// byte each. If input is left on the wire then, the result is `needsInput` and a later turn reads it.
    package borrowing func handshake() -> Progress {
        ERR_clear_error()
        let window = unsafe TLSWire.window(of: ssl)
        // Twice, since OpenSSL reads a record's header and its body separately.
        unsafe window.pointee.readsLeft = 2 * Self.recordsARead
        let result = unsafe SSL_do_handshake(ssl)
        unsafe window.pointee.readsLeft = .max
        if result == 1 { return .complete }
        switch unsafe SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ: return .needsInput
        case SSL_ERROR_WANT_WRITE: return .needsOutput
        case SSL_ERROR_WANT_CLIENT_HELLO_CB: return .needsCertificate
        default: return unsafe .failed(TLSFailure(of: ssl))
        }
    }

    /// Answers the client hello with a credential, by the policy of the host that the client wants.
    ///
    /// OpenSSL verifies nothing when it resumes a session. So when the policy asks for certificates and the handshake
    /// ends with `isResumed`, the caller must call `PeerTrust.recheck`.
    ///
    /// - Returns: False when OpenSSL refuses the credential or the policy.
    package borrowing func choose(_ credential: TLSCredential, _ policy: TLSPolicy) -> Bool {
        let version = policy.leastVersion == .v1_3 ? TLS1_3_VERSION : TLS1_2_VERSION
        let sessionContext = policy.sessionContext
        ERR_clear_error()
        // OpenSSL copies the bytes.
        let isBound = unsafe sessionContext.span.withUnsafeBufferPointer { bytes in
            unsafe SSL_set_session_id_context(ssl, bytes.baseAddress, UInt32(bytes.count))
        }
        if let clients = policy.clients {
            guard unsafe clients.trust.ask(in: ssl, isRequired: clients.isRequired) else { return false }
        }
        guard isBound == 1, unsafe aegis_set_min_version(ssl, version) == 1, unsafe credential.use(in: ssl) else {
            ERR_clear_error()
            return false
        }
        // This value means that a credential was chosen (TLSServerContext.hello), and that the connection speaks HTTP.
        unsafe SSL_set_ex_data(ssl, 0, UnsafeMutableRawPointer(ssl))
        return true
    }

    /// Answers the client hello with a challenge's certificate. The connection speaks only `acme-tls/1`.
    ///
    /// - Returns: False when OpenSSL refuses the credential.
    package borrowing func choose(challenge credential: TLSCredential) -> Bool {
        ERR_clear_error()
        guard unsafe credential.use(in: ssl) else {
            ERR_clear_error()
            return false
        }
        // This value differs from that of connections that speak HTTP (isValidation).
        unsafe SSL_set_ex_data(ssl, 0, UnsafeMutableRawPointer(SSL_get_SSL_CTX(ssl)))
        return true
    }

    /// Refuses the client hello, since there is no certificate for it. The handshake fails with an alert that says so.
    package borrowing func refuse() {
        unsafe SSL_set_ex_data(ssl, 0, UnsafeMutableRawPointer(SSL_get_rbio(ssl)))
    }

    /// Whether `refuse` was called for an `SSL`.
    static func isRefused(_ ssl: OpaquePointer?) -> Bool {
        unsafe SSL_get_ex_data(ssl, 0) == UnsafeMutableRawPointer(SSL_get_rbio(ssl))
    }

    /// Whether the connection speaks only `acme-tls/1`, and so ends with the handshake.
    package var isValidation: Bool { unsafe Self.isValidation(ssl) }

    /// Whether an `SSL` whose certificate was chosen answers a challenge.
    static func isValidation(_ ssl: OpaquePointer?) -> Bool {
        unsafe SSL_get_ex_data(ssl, 0) != UnsafeMutableRawPointer(ssl)
    }

    /// The negotiated version. Meaningful once the handshake is complete.
    package var version: Version { unsafe SSL_version(ssl) == TLS1_3_VERSION ? .v1_3 : .v1_2 }

    /// The group that the next connection to this server should offer first. Meaningful once the handshake is complete.
    package var group: TLSGroup { TLSGroup(negotiated: unsafe aegis_negotiated_group(ssl)) }

    /// Whether the handshake resumed an earlier session.
    package var isResumed: Bool { unsafe SSL_session_reused(ssl) == 1 }

    // MARK: Data

    /// The result of reading: a number of bytes, and the connection's state after them. The end of a connection never
    /// replaces the bytes before it.
    package struct ReadResult {
        package let count: Int
        /// The connection's state after these bytes.
        package let next: Next
    }

    /// The state of a connection after bytes were read.
    package enum Next {
        /// The wire's input is used up. More data can be read when more bytes have arrived.
        case needsInput
        /// More data can be read at once: the buffer was full, or the call has done enough work.
        case more
        /// No data follows: the other end has closed the connection.
        case closed
        /// No data follows: the connection is broken.
        case failed(TLSFailure)
    }

    /// The most records, of any type, that one call of `read` or `handshake` processes. A later turn reads the rest.
    package static let recordsARead = 64

    /// Reads into a buffer until the buffer is full, the wire's input is used up, or `recordsARead` records were read.
    @unsafe
    package borrowing func read(into buffer: UnsafeMutableBufferPointer<UInt8>) -> ReadResult {
        let window = unsafe TLSWire.window(of: ssl)
        unsafe window.pointee.quietRecords = 0
        var count = 0
        // One call of SSL_read processes at most one record.
        for _ in 0..<Self.recordsARead where count < buffer.count {
            OpenSSL.clearErrors()
            // SSL_read writes at most the given count, which is the rest of the buffer.
            let result = unsafe SSL_read(
                ssl, buffer.baseAddress.map { unsafe $0 + count }, Int32(clamping: buffer.count - count))
            if result > 0 {
                count += Int(result)
                // Another SSL_read would only say that it needs input, at a third of this call's cost.
                if unsafe window.pointee.inputCount == 0 && SSL_has_pending(ssl) == 0 {
                    return ReadResult(count: count, next: .needsInput)
                }
                continue
            }
            switch unsafe SSL_get_error(ssl, result) {
            case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE:
                // If input is left, this record had no data, and the next one is read.
                guard unsafe window.pointee.inputCount > 0 else { return ReadResult(count: count, next: .needsInput) }
            case SSL_ERROR_ZERO_RETURN: return ReadResult(count: count, next: .closed)
            default: return unsafe ReadResult(count: count, next: .failed(TLSFailure(of: ssl)))
            }
        }
        return ReadResult(count: count, next: .more)
    }

    /// Whether OpenSSL has taken bytes from the wire that `read` has not returned, including a part of a record.
    package var hasPending: Bool { unsafe SSL_has_pending(ssl) == 1 }

    /// Encrypts bytes into the wire's output, which must have room: at most 64 KiB into an empty output.
    ///
    /// - Returns: The failure, or nil on success.
    @unsafe
    package borrowing func write(_ bytes: UnsafeBufferPointer<UInt8>) -> TLSFailure? {
        guard bytes.count > 0 else { return nil }
        OpenSSL.clearErrors()
        let result = unsafe SSL_write(ssl, bytes.baseAddress, Int32(clamping: bytes.count))
        return unsafe result == bytes.count ? nil : TLSFailure(of: ssl)
    }

    /// Tells the other end that no more data will come.
    package borrowing func shutDown() {
        ERR_clear_error()
        _ = unsafe SSL_shutdown(ssl)
        ERR_clear_error()
    }
}

/// The reason why a TLS connection failed. It is a small value, whose text is made only when it is read.
@safe
package struct TLSFailure: Sendable, Equatable {
    private let code: UInt
    private let verification: Int

    /// The other end sends records without data, such as key updates, faster than any use explains.
    package static let tooManyQuietRecords = TLSFailure(code: .max, verification: Int(X509_V_OK))

    private init(code: UInt, verification: Int) {
        self.code = code
        self.verification = verification
    }

    /// Takes the failure from the error queue and empties the queue.
    init(of ssl: OpaquePointer) {
        code = ERR_peek_error()
        verification = unsafe SSL_get_verify_result(ssl)
        ERR_clear_error()
    }

    /// Whether the client showed no certificate although one is required.
    var lacksCertificate: Bool {
        Int32(truncatingIfNeeded: code & 0x7F_FFFF) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE
    }

    /// The causes by which operators distinguish failed handshakes and broken connections.
    package enum Cause: Sendable {
        /// The other end sent a fatal alert, for instance because it does not trust the certificate.
        case alert
        /// The two ends have no version in common.
        case version
        /// The two ends have no cipher, group or signature algorithm in common.
        case algorithms
        /// The other end sent too many records without data, of whatever type.
        case flood
        /// The other end sent bytes that are not TLS, or an unexpected message.
        case other
    }

    package var cause: Cause {
        if self == .tooManyQuietRecords { return .flood }
        // OpenSSL's macro ERR_GET_REASON takes the same bits.
        let reason = Int32(truncatingIfNeeded: code & 0x7F_FFFF)
        switch reason {
        case SSL_AD_REASON_OFFSET...SSL_AD_REASON_OFFSET + 255: return .alert
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW, SSL_R_VERSION_TOO_HIGH, SSL_R_NO_PROTOCOLS_AVAILABLE:
            return .version
        case SSL_R_NO_SHARED_CIPHER, SSL_R_NO_SUITABLE_KEY_SHARE, SSL_R_NO_SUITABLE_GROUPS,
            SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
            return .algorithms
        // Limits of OpenSSL itself; the last one is on empty records.
        case SSL_R_TOO_MANY_KEY_UPDATES, SSL_R_TOO_MANY_WARN_ALERTS, SSL_R_RECORD_TOO_SMALL: return .flood
        default: return .other
        }
    }

    /// The reason in OpenSSL's words, for the log.
    package var reason: String {
        // OpenSSL returns static texts, or nil for unknown codes.
        if verification != Int(X509_V_OK) {
            let text = unsafe X509_verify_cert_error_string(verification).map { unsafe String(cString: $0) }
            return "the certificate is not trusted: \(text ?? "error \(verification)")"
        }
        guard code != 0 else { return "the connection ended within TLS" }
        if self == .tooManyQuietRecords { return "too many records without data" }
        return unsafe ERR_reason_error_string(code).map { unsafe String(cString: $0) } ?? "TLS error \(code)"
    }
}
