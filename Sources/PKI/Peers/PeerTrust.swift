import COpenSSL

/// Rules for peers' certificates in the form that OpenSSL needs. It is made once, and connections of all threads share
/// it.
@safe
package final class PeerTrust: Sendable {
    /// The maximum number of certificates in a chain, including the peer's and the trusted one.
    package static let maximumCertificates = 10
    /// The maximum size of the certificates that a client may send, in bytes. OpenSSL parses all certificates before it
    /// checks any.
    static let maximumClientBytes = 32 << 10
    /// The maximum size of the CAs' names that a server sends to clients, in bytes. Beyond it, the server sends none:
    /// the names are only a hint (RFC 8446 section 4.2.4, RFC 5246 section 7.4.4). TLS has room for 64 KiB. But with
    /// this limit the request fits in one record (16 KiB), and some clients can't read a longer message.
    private static let maximumNameBytes = 15 << 10

    package var rules: PeerRules { judge.rules }

    /// When a revocation list next begins or becomes overdue, in seconds since 1970; `max` if none does.
    var nextTurnOfLists: Int64 { judge.nextTurnOfLists }

    private let judge: PeerJudge
    // Sharing the pointers is sound: neither object changes after init. OpenSSL locks the store and counts its
    // references atomically; connections get copies of the names.
    private nonisolated(unsafe) let store: OpaquePointer
    private nonisolated(unsafe) let authorityNames: OpaquePointer

    /// Prepares rules for OpenSSL. `now` returns seconds since 1970 and is called by any thread.
    package init(rules: PeerRules, now: @escaping @Sendable () -> Int64) throws(PKIError) {
        judge = PeerJudge(rules: rules, now: now)
        let store = try unsafe Self.makeStore(judge)
        do throws(PKIError) {
            unsafe authorityNames = try Self.makeNames(rules.authorities)
        } catch {
            unsafe X509_STORE_free(store)
            throw error
        }
        unsafe self.store = store
    }

    deinit {
        unsafe X509_STORE_free(store)
        unsafe aegis_x509_names_free(authorityNames)
    }

    private static func makeStore(_ judge: PeerJudge) throws(PKIError) -> OpaquePointer {
        let action = "setting up verification"
        let store = try unsafe OpenSSL.require(action, X509_STORE_new())
        do throws(PKIError) {
            try unsafe judge.join(store)
            // With this flag, a chain may end at any certificate in the store, even at an intermediate CA's or a peer's
            // own. The system's directory may also contain certificates that are not CA certificates. So with the
            // system's CAs the flag is left out, and chains must end at a root.
            if !judge.rules.trustsSystem {
                try unsafe OpenSSL.check(action, X509_STORE_set_flags(store, UInt(X509_V_FLAG_PARTIAL_CHAIN)))
            }
            try unsafe OpenSSL.check(action, X509_STORE_set_purpose(store, judge.rules.purpose.number))
            // OpenSSL's depth does not count the peer's certificate and the trusted certificate.
            try unsafe OpenSSL.check(action, X509_STORE_set_depth(store, Int32(maximumCertificates - 2)))
            guard judge.rules.verifiesChain else { return unsafe store }
            if judge.rules.trustsSystem { try unsafe OpenSSL.check(action, X509_STORE_set_default_paths(store)) }
            for authority in judge.rules.authorities {
                try unsafe OpenSSL.check(action, X509_STORE_add_cert(store, authority.handle))
            }
            return unsafe store
        } catch {
            unsafe X509_STORE_free(store)
            throw error
        }
    }

    /// Lists the names of the CAs. A server sends this list to clients, which choose a certificate by it. The list is
    /// empty if the names have more than `maximumNameBytes`.
    private static func makeNames(_ authorities: [CertificateHandle]) throws(PKIError) -> OpaquePointer {
        let action = "listing authorities"
        let names = try unsafe OpenSSL.require(action, aegis_x509_names())
        // Each name has two bytes of length before it.
        let bytes = authorities.reduce(0) { sum, authority in
            unsafe sum + 2 + Int(i2d_X509_NAME(X509_get_subject_name(authority.handle), nil))
        }
        guard bytes <= maximumNameBytes else { return unsafe names }
        do throws(PKIError) {
            for authority in authorities {
                let name = try unsafe OpenSSL.require(action, X509_NAME_dup(X509_get_subject_name(authority.handle)))
                guard unsafe aegis_x509_names_push(names, name) > 0 else {
                    unsafe X509_NAME_free(name)
                    throw .openSSL(action, reasons: OpenSSL.drainReasons())
                }
            }
            return unsafe names
        } catch {
            unsafe aegis_x509_names_free(names)
            throw error
        }
    }

    /// Decides about a chain in the same way as a handshake would now. The chain is in DER, the peer's own certificate
    /// first.
    ///
    /// - Returns: The reason for a refusal, or nil if the chain is accepted.
    package func refusal(of chain: [[UInt8]]) -> PeerRefusal? {
        guard !chain.isEmpty else { return PeerRefusal(.noCertificate) }
        guard chain.reduce(0, { $0 + $1.count }) <= 16 * Self.maximumClientBytes else {
            return PeerRefusal(.unreadable)
        }
        do throws(PKIError) {
            let certificates = try chain.map { (der) throws(PKIError) in try CertificateHandle(der: der) }
            let action = "verifying a certificate"
            let beside = try unsafe OpenSSL.require(action, aegis_x509_stack())
            defer { unsafe aegis_x509_stack_free(beside) }
            for certificate in certificates {
                try unsafe OpenSSL.check(action, X509_up_ref(certificate.handle))
                guard unsafe aegis_x509_stack_push(beside, certificate.handle) > 0 else {
                    unsafe X509_free(certificate.handle)
                    return PeerRefusal(.other)
                }
            }
            let context = try unsafe OpenSSL.require(action, X509_STORE_CTX_new())
            defer { unsafe X509_STORE_CTX_free(context) }
            try unsafe OpenSSL.check(action, X509_STORE_CTX_init(context, store, certificates[0].handle, beside))
            defer { extendLifetime((certificates, self)) }
            return unsafe judge.refusal(in: context)
        } catch {
            return PeerRefusal(.unreadable)
        }
    }

    /// Checks the dates, revocation lists and names of a certificate that these rules have accepted before.
    ///
    /// - Returns: The reason for a refusal, or nil if the certificate is accepted.
    package func recheck(leaf der: [UInt8], now: Int64) -> PeerRefusal? {
        guard let leaf = try? CertificateHandle(der: der) else { return PeerRefusal(.unreadable) }
        defer { extendLifetime(leaf) }
        return unsafe recheck(leaf.handle, now: now)
    }

    /// Checks the certificate again as `recheck(leaf:now:)` does, but takes an `X509`.
    func recheck(_ leaf: OpaquePointer, now: Int64) -> PeerRefusal? { unsafe judge.refusal(again: leaf, now: now) }

    /// Makes a connection (an `SSL`) verify its peer by these rules. The connection takes a reference to the store, and
    /// the store keeps the judge alive.
    func verify(in ssl: OpaquePointer) -> Bool {
        defer { extendLifetime(self) }
        return unsafe aegis_set_verify_store(ssl, store) == 1
    }

    /// Makes a server's connection (an `SSL`) ask its client for a certificate. With `isRequired`, the handshake fails
    /// if the client sends none. Returns false if OpenSSL fails.
    func ask(in ssl: OpaquePointer, isRequired: Bool) -> Bool {
        defer { extendLifetime(self) }
        guard unsafe verify(in: ssl), let names = unsafe SSL_dup_CA_list(authorityNames) else { return false }
        // SSL_set_client_CA_list takes ownership of `names`, so they are not freed here.
        unsafe SSL_set_client_CA_list(ssl, names)
        unsafe aegis_set_max_cert_list(ssl, Self.maximumClientBytes)
        unsafe SSL_set_verify(ssl, SSL_VERIFY_PEER | (isRequired ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nil)
        return true
    }
}

extension PeerRules.Purpose {
    fileprivate var number: Int32 {
        switch self {
        case .client: X509_PURPOSE_SSL_CLIENT
        case .server: X509_PURPOSE_SSL_SERVER
        }
    }
}
