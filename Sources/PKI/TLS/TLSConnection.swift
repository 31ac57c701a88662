import COpenSSL
import PeerNames

/// A TLS connection without a socket. It reads and writes the buffers of the thread's `TLSWire`, and owns OpenSSL's
/// `SSL`.
///
/// After each call, the caller must send the wire's output, even if the call failed: the output may contain an alert.
@safe
package struct TLSConnection: ~Copyable {
    package enum Version: UInt8, Sendable, Comparable {
        case v1_2
        case v1_3

        package static func < (one: Version, other: Version) -> Bool { one.rawValue < other.rawValue }
    }

    let ssl: OpaquePointer
    /// The context. OpenSSL uses it, so the connection keeps it alive.
    private let owner: AnyObject

    /// Makes the server's end of a connection. Its handshake stops once with `needsCertificate`.
    package init(server context: TLSServerContext, wire: TLSWire) throws(PKIError) {
        unsafe ssl = try Self.make(context.context, wire) { ssl in
            unsafe SSL_set_accept_state(ssl)
            return true
        }
        owner = context
    }

    /// Makes the client's end of a connection. The server's certificate must be for `serverName`, a host name or an IP
    /// address. `group` is the group that this server chose in an earlier handshake. If the server now wants another
    /// group, it asks for a second client hello.
    package init(
        client context: TLSClientContext, wire: TLSWire, serverName: String, group: TLSGroup = .x25519
    ) throws(PKIError) {
        unsafe ssl = try Self.make(context.context, wire) { ssl in
            unsafe SSL_set_connect_state(ssl)
            // The context's own list begins with x25519, so only another group needs a list for this connection.
            guard unsafe group == .x25519 || TLSGroups.client(first: group).set(for: ssl) else { return false }
            // The extension server_name must not contain an IP address (RFC 6066 section 3).
            return AddressText.bytes(of: serverName) == nil
                ? unsafe aegis_set_server_name(ssl, serverName) == 1 && SSL_set1_host(ssl, serverName) == 1
                : unsafe X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), serverName) == 1
        }
        owner = context
    }

    deinit {
        // Without this call, SSL_free(3) would make the sessions of a connection that ended without close_notify
        // unusable, and take the context's lock for it. The sessions of a failed connection are unusable anyway.
        unsafe SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)
        unsafe SSL_free(ssl)
    }

    private static func make(
        _ context: OpaquePointer, _ wire: TLSWire, _ setUp: (OpaquePointer) -> Bool
    ) throws(PKIError) -> OpaquePointer {
        let action = "making a TLS connection"
        let ssl = try unsafe OpenSSL.require(action, SSL_new(context))
        do throws(PKIError) {
            let bio = try unsafe wire.makeBIO()
            // SSL_set_bio takes ownership of only one reference if both arguments are the same BIO.
            unsafe SSL_set_bio(ssl, bio, bio)
            unsafe aegis_count_quiet_records(ssl, &wire.window.pointee.quietRecords)
            guard unsafe setUp(ssl) else { throw .openSSL(action, reasons: OpenSSL.drainReasons()) }
        } catch {
            unsafe SSL_free(ssl)
            throw error
        }
        return unsafe ssl
    }

    package enum Progress {
        case complete
        /// The handshake needs more bytes from the peer. If the wire still has input, the caller must serve other
        /// connections first, and then continue the handshake.
        case needsInput
        /// The output buffer is full. The handshake can continue after the caller has sent the output.
        case needsOutput
        /// The client hello has arrived (see `TLSWire.hello`). The handshake can continue after the caller has called
        /// `choose`, perhaps much later.
        case needsCertificate
        case failed(TLSFailure)
    }

    /// Whether the handshake has not begun.
    package var isUntouched: Bool { unsafe SSL_in_before(ssl) == 1 }

    /// Continues the handshake and reads at most `recordsARead` records. The limit is needed, since a client may split
    /// a message into records of one byte. If input is left, the result is `needsInput`.
    package borrowing func handshake() -> Progress {
        ERR_clear_error()
        let window = unsafe TLSWire.window(of: ssl)
        // OpenSSL reads each record in two steps, header and body, so the limit on reads is doubled.
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
    /// OpenSSL verifies nothing when it resumes a session. So if the policy asks for certificates and the handshake
    /// ends with `isResumed`, the caller must call `PeerTrust.recheck`.
    ///
    /// - Returns: False if OpenSSL rejects the credential or the policy.
    package borrowing func choose(_ credential: TLSCredential, _ policy: TLSPolicy) -> Bool {
        let version = policy.leastVersion == .v1_3 ? TLS1_3_VERSION : TLS1_2_VERSION
        let sessionContext = policy.sessionContext
        ERR_clear_error()
        // This is safe, since OpenSSL copies the bytes.
        let isBound = unsafe sessionContext.span.withUnsafeBufferPointer { bytes in
            unsafe SSL_set_session_id_context(ssl, bytes.baseAddress, UInt32(bytes.count))
        }
        if let clients = policy.clients {
            guard unsafe clients.trust.ask(in: ssl, isRequired: clients.isRequired),
                unsafe TLSGroups.serverOfCertifiedClients.set(for: ssl)
            else { return false }
        }
        guard isBound == 1, unsafe aegis_set_min_version(ssl, version) == 1, unsafe credential.use(in: ssl) else {
            ERR_clear_error()
            return false
        }
        // Any value but nil tells `TLSServerContext.hello` that a certificate is chosen. The address of the SSL stands
        // for a connection with HTTP/1 only, and the address plus 1 for one that offers HTTP/2 too (`isValidation`,
        // `offersHTTP2`).
        unsafe SSL_set_ex_data(ssl, 0, UnsafeMutableRawPointer(ssl) + (policy.offersHTTP2 ? 1 : 0))
        return true
    }

    /// Answers the client hello with a challenge's certificate. The connection supports only the protocol `acme-tls/1`.
    ///
    /// - Returns: False if OpenSSL rejects the credential.
    package borrowing func choose(challenge credential: TLSCredential) -> Bool {
        ERR_clear_error()
        guard unsafe credential.use(in: ssl) else {
            ERR_clear_error()
            return false
        }
        // Any value but nil tells `TLSServerContext.hello` that a certificate is chosen. This value means a challenge
        // (`isValidation`).
        unsafe SSL_set_ex_data(ssl, 0, UnsafeMutableRawPointer(SSL_get_SSL_CTX(ssl)))
        return true
    }

    /// Rejects the client hello, since there is no certificate for its server name. The handshake fails with an alert.
    package borrowing func refuse() {
        unsafe SSL_set_ex_data(ssl, 0, UnsafeMutableRawPointer(SSL_get_rbio(ssl)))
    }

    /// Whether `refuse` has rejected the client hello on OpenSSL's connection object (`SSL`).
    static func isRefused(_ ssl: OpaquePointer?) -> Bool {
        unsafe SSL_get_ex_data(ssl, 0) == UnsafeMutableRawPointer(SSL_get_rbio(ssl))
    }

    /// Whether a CA validates a challenge on this connection. Such a connection ends after the handshake.
    package var isValidation: Bool { unsafe Self.isValidation(ssl) }

    /// Whether the certificate that was chosen for an `SSL` answers a challenge.
    static func isValidation(_ ssl: OpaquePointer?) -> Bool {
        guard let ssl = unsafe ssl else { return false }
        return unsafe SSL_get_ex_data(ssl, 0) != UnsafeMutableRawPointer(ssl) && !offersHTTP2(ssl)
    }

    /// Whether the client may choose HTTP/2.
    static func offersHTTP2(_ ssl: OpaquePointer?) -> Bool {
        unsafe ssl.map { unsafe SSL_get_ex_data($0, 0) == UnsafeMutableRawPointer($0) + 1 } ?? false
    }

    /// Offers the server HTTP/2 and nothing else (ALPN, RFC 7301). Returns false if OpenSSL has no memory for it.
    package borrowing func offerHTTP2() -> Bool {
        let list: [UInt8] = [2] + "h2".utf8
        // Unlike most of OpenSSL's functions, this one returns 0 if it succeeds.
        return unsafe SSL_set_alpn_protos(ssl, list, UInt32(list.count)) == 0
    }

    /// Whether both sides have chosen HTTP/2. It has a meaning only after the handshake.
    package var speaksHTTP2: Bool {
        var (name, count) = unsafe (nil as UnsafePointer<UInt8>?, UInt32(0))
        unsafe SSL_get0_alpn_selected(ssl, &name, &count)
        return unsafe count == 2
            && name.map { unsafe $0[0] == UInt8(ascii: "h") && $0[1] == UInt8(ascii: "2") } ?? false
    }

    /// The TLS version. It has a meaning only after the handshake.
    package var version: Version { unsafe SSL_version(ssl) == TLS1_3_VERSION ? .v1_3 : .v1_2 }

    /// The group that the next connection to this server should offer first. It has a meaning only after the handshake.
    package var group: TLSGroup { TLSGroup(negotiated: unsafe aegis_negotiated_group(ssl)) }

    package var isResumed: Bool { unsafe SSL_session_reused(ssl) == 1 }

    /// The result of `read`. The bytes count even if `next` is `closed` or `failed`: they arrived before the end.
    package struct ReadResult {
        package let count: Int
        /// The state of the connection after these bytes.
        package let next: Next
    }

    package enum Next {
        /// All input is read. More data may follow when more bytes arrive.
        case needsInput
        /// More data may be available at once. The call stopped because the buffer is full or it has read enough
        /// records.
        case more
        /// The peer has closed the connection properly, so no data follows.
        case closed
        /// The connection is broken, so no data follows.
        case failed(TLSFailure)
    }

    /// The maximum number of records that one call of `read` or `handshake` processes, so that one client can't occupy
    /// the thread for long.
    package static let recordsARead = 64

    /// Reads data until the buffer is full, all input is read, or `recordsARead` records have been processed.
    @unsafe
    package borrowing func read(into buffer: UnsafeMutableBufferPointer<UInt8>) -> ReadResult {
        let window = unsafe TLSWire.window(of: ssl)
        unsafe window.pointee.quietRecords = 0
        var count = 0
        // One call of SSL_read processes at most one record.
        for _ in 0..<Self.recordsARead where count < buffer.count {
            OpenSSL.clearErrors()
            // This is safe, since SSL_read writes at most the given number of bytes, which is the size of the rest of
            // the buffer.
            let result = unsafe SSL_read(
                ssl, buffer.baseAddress.map { unsafe $0 + count }, Int32(clamping: buffer.count - count))
            if result > 0 {
                count += Int(result)
                // The input is used up. Another SSL_read would only report that, and would take a third of the time
                // that this call took.
                if unsafe window.pointee.inputCount == 0 && SSL_has_pending(ssl) == 0 {
                    return ReadResult(count: count, next: .needsInput)
                }
                continue
            }
            switch unsafe SSL_get_error(ssl, result) {
            case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE:
                // The record had no data. If there is more input, the loop reads the next record.
                guard unsafe window.pointee.inputCount > 0 else { return ReadResult(count: count, next: .needsInput) }
            case SSL_ERROR_ZERO_RETURN: return ReadResult(count: count, next: .closed)
            default: return unsafe ReadResult(count: count, next: .failed(TLSFailure(of: ssl)))
            }
        }
        return ReadResult(count: count, next: .more)
    }

    /// Whether OpenSSL holds bytes that it took from the wire and `read` has not returned, such as a part of a record.
    package var hasPending: Bool { unsafe SSL_has_pending(ssl) == 1 }

    /// Encrypts bytes into the wire's output. The output must have enough room; an empty output has room for 64 KiB.
    ///
    /// - Returns: The failure, or nil on success.
    @unsafe
    package borrowing func write(_ bytes: UnsafeBufferPointer<UInt8>) -> TLSFailure? {
        guard bytes.count > 0 else { return nil }
        OpenSSL.clearErrors()
        let result = unsafe SSL_write(ssl, bytes.baseAddress, Int32(clamping: bytes.count))
        return unsafe result == bytes.count ? nil : TLSFailure(of: ssl)
    }

    /// Sends the alert close_notify, after which this end sends no more data.
    package borrowing func shutDown() {
        ERR_clear_error()
        _ = unsafe SSL_shutdown(ssl)
        ERR_clear_error()
    }
}

/// The reason why a TLS connection failed. The value is small; its text is made only on request.
@safe
package struct TLSFailure: Sendable, Equatable {
    private let code: UInt
    private let verification: Int

    /// The peer sends too many records without data, such as key updates. The gateway counts these records and ends the
    /// connection for this reason.
    package static let tooManyQuietRecords = TLSFailure(code: .max, verification: Int(X509_V_OK))

    private init(code: UInt, verification: Int) {
        self.code = code
        self.verification = verification
    }

    /// Reads the first error in OpenSSL's error queue and empties the queue.
    init(of ssl: OpaquePointer) {
        code = ERR_peek_error()
        verification = unsafe SSL_get_verify_result(ssl)
        ERR_clear_error()
    }

    /// Whether the client sent no certificate although the server requires one.
    var lacksCertificate: Bool { openSSLReason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE }

    /// Whether a message of the handshake was larger than this end accepts.
    var isOfLargeMessage: Bool { openSSLReason == SSL_R_EXCESSIVE_MESSAGE_SIZE }

    /// The bits that OpenSSL's macro ERR_GET_REASON returns.
    private var openSSLReason: Int32 { Int32(truncatingIfNeeded: code & 0x7F_FFFF) }

    /// The kinds of failures that metrics distinguish.
    package enum Cause: Sendable {
        /// The peer sent a fatal alert, for example since it does not trust the certificate.
        case alert
        /// The two ends support no common TLS version.
        case version
        /// The two ends support no common cipher, group or signature algorithm.
        case algorithms
        /// The peer sent too many records without data, of any type.
        case flood
        /// The peer sent bytes that are not TLS, or an unexpected message.
        case other
    }

    package var cause: Cause {
        if self == .tooManyQuietRecords { return .flood }
        switch openSSLReason {
        case SSL_AD_REASON_OFFSET...SSL_AD_REASON_OFFSET + 255: return .alert
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW, SSL_R_VERSION_TOO_HIGH, SSL_R_NO_PROTOCOLS_AVAILABLE:
            return .version
        case SSL_R_NO_SHARED_CIPHER, SSL_R_NO_SUITABLE_KEY_SHARE, SSL_R_NO_SUITABLE_GROUPS,
            SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
            return .algorithms
        // OpenSSL has its own limits on key updates, warning alerts and empty records (RECORD_TOO_SMALL).
        case SSL_R_TOO_MANY_KEY_UPDATES, SSL_R_TOO_MANY_WARN_ALERTS, SSL_R_RECORD_TOO_SMALL: return .flood
        default: return .other
        }
    }

    /// The reason in OpenSSL's words, for the log.
    package var reason: String {
        // This is safe, since OpenSSL returns static texts, or nil for unknown codes.
        if verification != Int(X509_V_OK) {
            let text = unsafe X509_verify_cert_error_string(verification).map { unsafe String(cString: $0) }
            return "the certificate is not trusted: \(text ?? "error \(verification)")"
        }
        return words
    }

    /// The failure in OpenSSL's words, or in Aegis's own if OpenSSL has none. Unlike `reason`, this text does not say
    /// why the peer's certificate was refused.
    package var words: String {
        guard code != 0 else { return "the connection ended within TLS" }
        if self == .tooManyQuietRecords { return "too many records without data" }
        return unsafe ERR_reason_error_string(code).map { unsafe String(cString: $0) } ?? "TLS error \(code)"
    }
}
