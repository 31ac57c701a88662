import COpenSSL

/// One TLS connection, without a socket: its bytes come from and go to the thread's `TLSWire`. Owns the `SSL`.
///
/// After each call the wire's output is to be sent, whatever the result was: an alert may be in it.
@safe
package struct TLSConnection: ~Copyable {
    /// The version that was agreed on.
    package enum Version: UInt8, Sendable {
        /// TLS 1.2.
        case v1_2
        /// TLS 1.3.
        case v1_3
    }

    private let ssl: OpaquePointer
    /// Kept for as long as OpenSSL may ask it.
    private let owner: AnyObject

    /// A server's end. Its handshake stops once with `needsCertificate`.
    package init(server context: TLSServerContext, wire: TLSWire) throws(PKIError) {
        unsafe ssl = try Self.make(context.context, wire) { ssl in
            unsafe SSL_set_accept_state(ssl)
            return true
        }
        owner = context
    }

    /// A client's end. The server's certificate must be for `serverName`, a host name or an address. `group`: what an earlier
    /// handshake with this server has come to; another hello is asked for where it chooses none that a key has come for.
    package init(
        client context: TLSClientContext, wire: TLSWire, serverName: String, group: TLSGroup = .x25519
    ) throws(PKIError) {
        unsafe ssl = try Self.make(context.context, wire) { ssl in
            unsafe SSL_set_connect_state(ssl)
            // The context's groups begin with the usual one.
            guard unsafe group == .x25519 || TLSGroups.client(first: group).set(for: ssl) else { return false }
            // RFC 6066: an address is no server name.
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
            // One BIO for both directions: then SSL_set_bio takes over one reference.
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

    /// How far a handshake has come.
    package enum Progress {
        /// It is complete.
        case complete
        /// It goes on when more has been received, or with what is left of the wire's input.
        case needsInput
        /// The output is full: it goes on when that was taken.
        case needsOutput
        /// The client hello is there (`TLSWire.hello`): it goes on after `choose`, now or later.
        case needsCertificate
        /// It has failed.
        case failed(TLSFailure)
    }

    /// Whether the handshake has yet to begin.
    package var isUntouched: Bool { unsafe SSL_in_before(ssl) == 1 }

    /// Goes on with the handshake, through `recordsARead` records at most: a message may lie in records of a byte each. What
    /// is left of the wire's input then is for another turn, and `needsInput` the answer.
    package borrowing func handshake() -> Progress {
        ERR_clear_error()
        let window = unsafe TLSWire.window(of: ssl)
        // A record's head is read by itself.
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

    /// Says what to answer the client hello with: a credential, the least version, and what its sessions are bound to (32
    /// bytes at most): a session can be resumed only where these are the same.
    ///
    /// - Returns: False when OpenSSL refuses it.
    package borrowing func choose(_ credential: TLSCredential, leastVersion: Version, binding: Span<UInt8>) -> Bool {
        let version = leastVersion == .v1_3 ? TLS1_3_VERSION : TLS1_2_VERSION
        ERR_clear_error()
        // The context is copied; its length is checked by OpenSSL.
        let isBound = unsafe binding.withUnsafeBufferPointer { bytes in
            unsafe SSL_set_session_id_context(ssl, bytes.baseAddress, UInt32(bytes.count))
        }
        guard isBound == 1, unsafe aegis_set_min_version(ssl, version) == 1, unsafe credential.use(in: ssl) else {
            ERR_clear_error()
            return false
        }
        // It says that the choice is made (TLSServerContext.hello), and that HTTP is to be spoken.
        unsafe SSL_set_ex_data(ssl, 0, UnsafeMutableRawPointer(ssl))
        return true
    }

    /// Says to answer the client hello with the certificate of a challenge, and to speak nothing but `acme-tls/1`.
    ///
    /// - Returns: False when OpenSSL refuses it.
    package borrowing func choose(challenge credential: TLSCredential) -> Bool {
        ERR_clear_error()
        guard unsafe credential.use(in: ssl) else {
            ERR_clear_error()
            return false
        }
        // Another address than that of connections that speak HTTP.
        unsafe SSL_set_ex_data(ssl, 0, UnsafeMutableRawPointer(SSL_get_SSL_CTX(ssl)))
        return true
    }

    /// Says that there is nothing to answer the client hello with: the handshake fails, by an alert that says so.
    package borrowing func refuse() {
        unsafe SSL_set_ex_data(ssl, 0, UnsafeMutableRawPointer(SSL_get_rbio(ssl)))
    }

    /// Whether an `SSL` was refused.
    static func isRefused(_ ssl: OpaquePointer?) -> Bool {
        unsafe SSL_get_ex_data(ssl, 0) == UnsafeMutableRawPointer(SSL_get_rbio(ssl))
    }

    /// Whether nothing is spoken but `acme-tls/1`, which ends with the handshake.
    package var isValidation: Bool { unsafe Self.isValidation(ssl) }

    /// Whether an `SSL` whose certificate was chosen is for a challenge.
    static func isValidation(_ ssl: OpaquePointer?) -> Bool {
        unsafe SSL_get_ex_data(ssl, 0) != UnsafeMutableRawPointer(ssl)
    }

    /// The version; meaningful once the handshake is complete.
    package var version: Version { unsafe SSL_version(ssl) == TLS1_3_VERSION ? .v1_3 : .v1_2 }

    /// The group that a next connection to this server is to expect; meaningful once the handshake is complete.
    package var group: TLSGroup { TLSGroup(negotiated: unsafe aegis_negotiated_group(ssl)) }

    /// Whether the handshake took up an earlier session.
    package var isResumed: Bool { unsafe SSL_session_reused(ssl) == 1 }

    // MARK: Data

    /// What came of reading: bytes, and what follows them. An end never takes the place of the bytes before it.
    package struct ReadResult {
        /// How many bytes were read.
        package let count: Int
        /// What follows them.
        package let next: Next
    }

    /// What follows bytes that were read.
    package enum Next {
        /// More, when more was received.
        case needsInput
        /// More that was received already: the buffer is full, or there was enough work for one call.
        case more
        /// Nothing: the other end has said so.
        case closed
        /// Nothing: the connection is broken.
        case failed(TLSFailure)
    }

    /// How many records one call of `read` or `handshake` goes through at most, whatever their type: what is left is for
    /// another turn.
    package static let recordsARead = 64

    /// Reads into a buffer until it is full, the wire's input is used up or `recordsARead` were read.
    @unsafe
    package borrowing func read(into buffer: UnsafeMutableBufferPointer<UInt8>) -> ReadResult {
        let window = unsafe TLSWire.window(of: ssl)
        unsafe window.pointee.quietRecords = 0
        var count = 0
        // One call of SSL_read goes through one record at most.
        for _ in 0..<Self.recordsARead where count < buffer.count {
            OpenSSL.clearErrors()
            // Within the buffer: at most what is left of it.
            let result = unsafe SSL_read(
                ssl, buffer.baseAddress.map { unsafe $0 + count }, Int32(clamping: buffer.count - count))
            if result > 0 {
                count += Int(result)
                // Another call would only find out the same, at a third of what this one has cost.
                if unsafe window.pointee.inputCount == 0 && SSL_has_pending(ssl) == 0 {
                    return ReadResult(count: count, next: .needsInput)
                }
                continue
            }
            switch unsafe SSL_get_error(ssl, result) {
            case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE:
                // With input left, this was a record without data.
                guard unsafe window.pointee.inputCount > 0 else { return ReadResult(count: count, next: .needsInput) }
            case SSL_ERROR_ZERO_RETURN: return ReadResult(count: count, next: .closed)
            default: return unsafe ReadResult(count: count, next: .failed(TLSFailure(of: ssl)))
            }
        }
        return ReadResult(count: count, next: .more)
    }

    /// Whether bytes have been taken from the wire that nobody has read yet, be it a part of a record.
    package var hasPending: Bool { unsafe SSL_has_pending(ssl) == 1 }

    /// Encrypts bytes into the wire's output, which must have room: at most 64 KiB into an empty one.
    ///
    /// - Returns: Why that was not possible; nil when it was.
    @unsafe
    package borrowing func write(_ bytes: UnsafeBufferPointer<UInt8>) -> TLSFailure? {
        guard bytes.count > 0 else { return nil }
        OpenSSL.clearErrors()
        let result = unsafe SSL_write(ssl, bytes.baseAddress, Int32(clamping: bytes.count))
        return unsafe result == bytes.count ? nil : TLSFailure(of: ssl)
    }

    /// Says to the other end that nothing more will come.
    package borrowing func shutDown() {
        ERR_clear_error()
        _ = unsafe SSL_shutdown(ssl)
        ERR_clear_error()
    }
}

/// Why a TLS connection failed. A small value; its text is made when it is asked for.
@safe
package struct TLSFailure: Sendable, Equatable {
    private let code: UInt
    private let verification: Int

    /// The other end sends records without data, such as key updates, faster than anyone has a use for.
    package static let tooManyQuietRecords = TLSFailure(code: .max, verification: Int(X509_V_OK))

    private init(code: UInt, verification: Int) {
        self.code = code
        self.verification = verification
    }

    /// What the error queue holds, which is empty afterwards.
    init(of ssl: OpaquePointer) {
        code = ERR_peek_error()
        verification = unsafe SSL_get_verify_result(ssl)
        ERR_clear_error()
    }

    /// What operators tell handshakes that failed, and connections that broke, apart by.
    package enum Cause: Sendable {
        /// The other end has broken off, and has said so by an alert: it does not trust the certificate, say.
        case alert
        /// No version is common to both.
        case version
        /// No cipher, group or signature is.
        case algorithms
        /// Records without data came one after the other, of whatever type.
        case flood
        /// What came is no TLS, or not what it should have been.
        case other
    }

    /// What it failed of.
    package var cause: Cause {
        if self == .tooManyQuietRecords { return .flood }
        // Where OpenSSL's macro ERR_GET_REASON has it.
        let reason = Int32(truncatingIfNeeded: code & 0x7F_FFFF)
        switch reason {
        case SSL_AD_REASON_OFFSET...SSL_AD_REASON_OFFSET + 255: return .alert
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW, SSL_R_VERSION_TOO_HIGH, SSL_R_NO_PROTOCOLS_AVAILABLE:
            return .version
        case SSL_R_NO_SHARED_CIPHER, SSL_R_NO_SUITABLE_KEY_SHARE, SSL_R_NO_SUITABLE_GROUPS,
            SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
            return .algorithms
        // OpenSSL's own bounds; the last one is of records that are empty.
        case SSL_R_TOO_MANY_KEY_UPDATES, SSL_R_TOO_MANY_WARN_ALERTS, SSL_R_RECORD_TOO_SMALL: return .flood
        default: return .other
        }
    }

    /// The reason in OpenSSL's words, for the log.
    package var reason: String {
        // Static texts, or nil for codes that are unknown.
        if verification != Int(X509_V_OK) {
            let text = unsafe X509_verify_cert_error_string(verification).map { unsafe String(cString: $0) }
            return "the certificate is not trusted: \(text ?? "error \(verification)")"
        }
        guard code != 0 else { return "the connection ended within TLS" }
        if self == .tooManyQuietRecords { return "too many records without data" }
        return unsafe ERR_reason_error_string(code).map { unsafe String(cString: $0) } ?? "TLS error \(code)"
    }
}
