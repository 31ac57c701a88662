import COpenSSL

/// How a connection verifies the peer's certificate and shows its own.
extension TLSConnection {
    /// Makes the client verify the server by these rules instead of the context's trust. The certificate must also be
    /// valid for the server name. The caller must call this before the handshake.
    ///
    /// - Returns: False if OpenSSL fails.
    package borrowing func verify(by trust: PeerTrust) -> Bool { unsafe trust.verify(in: ssl) }

    /// Makes the client send a certificate if the server requests one. The caller must call this before the handshake.
    ///
    /// - Returns: False if OpenSSL fails.
    package borrowing func show(_ credential: TLSCredential) -> Bool { unsafe credential.use(in: ssl) }

    /// Makes the client record whether the server requests a certificate (`isAsked`). The caller must call this before
    /// the handshake.
    package borrowing func noteRequest() {
        // OpenSSL calls this closure when the server's request has arrived (SSL_set_cert_cb(3)). Any value but nil in
        // entry 0 of the application data means that a certificate was requested. A client uses the entry for nothing
        // else.
        unsafe SSL_set_cert_cb(
            ssl,
            { ssl, _ in
                unsafe SSL_set_ex_data(ssl, 0, UnsafeMutableRawPointer(ssl))
                return 1
            }, nil)
    }

    /// Whether the server has requested a certificate. Valid after `noteRequest` and the handshake.
    package var isAsked: Bool { unsafe SSL_get_ex_data(ssl, 0) != nil }

    /// Why the rules of this connection refuse the peer's certificate; nil if they accept it.
    package var verdict: PeerRefusal? {
        // This is safe, since `keep` gave the SSL a reference to the refusal.
        unsafe SSL_get_ex_data(ssl, Self.refusalIndex).map {
            unsafe Unmanaged<KeptRefusal>.fromOpaque($0).takeUnretainedValue().refusal
        }
    }

    /// The peer's own certificate in DER. Nil if the peer sent none. A resumed session has the certificate of its first
    /// handshake.
    package var peerCertificate: [UInt8]? {
        guard let certificate = unsafe SSL_get1_peer_certificate(ssl) else { return nil }
        defer { unsafe X509_free(certificate) }
        return try? unsafe OpenSSL.encode("reading a certificate") { output in unsafe i2d_X509(certificate, output) }
    }

    /// The end of the validity of the peer's own certificate, in seconds since 1970. Nil if the peer sent none, or its
    /// date can't be read.
    package var peerCertificateEnd: Int64? {
        // This is safe, since the connection keeps the certificate alive.
        guard let certificate = unsafe SSL_get0_peer_certificate(ssl) else { return nil }
        return unsafe OpenSSL.seconds(X509_get0_notAfter(certificate))
    }

    /// Checks the certificate of a resumed session again, since OpenSSL verifies nothing on resumption. Chain, key and
    /// purpose can't have changed: the session is bound to the digest of the rules. Dates, revocation lists and names
    /// are checked.
    ///
    /// - Returns: The reason for a refusal. Nil if the certificate is accepted, or the peer sent none.
    package borrowing func recheckPeer(by trust: PeerTrust, now: Int64) -> PeerRefusal? {
        unsafe SSL_get0_peer_certificate(ssl).flatMap { unsafe trust.recheck($0, now: now) }
    }

    /// The certificates that the peer sent, in DER, its own first. Empty if the peer sent none. A resumed session has
    /// only the peer's own certificate.
    package var peerChain: [[UInt8]] {
        guard let own = peerCertificate else { return [] }
        let sent = unsafe SSL_get_peer_cert_chain(ssl)
        // This is safe, since the connection owns the list and its elements, which are X509s.
        let all = unsafe (0..<max(0, OPENSSL_sk_num(sent))).compactMap { index -> [UInt8]? in
            let certificate = unsafe OpaquePointer(OPENSSL_sk_value(sent, index))
            return try? unsafe OpenSSL.encode("reading a certificate") { unsafe i2d_X509(certificate, $0) }
        }
        // On a client, OpenSSL's list begins with the server's own certificate. On a server, the list does not contain
        // the client's own certificate.
        return all.first == own ? all : [own] + all
    }

    /// The reason why Aegis refused the peer's certificate. Nil if the handshake failed for another reason.
    package borrowing func refusal(after failure: TLSFailure) -> PeerRefusal? {
        if failure.lacksCertificate { return PeerRefusal(.noCertificate) }
        // OpenSSL does not read certificates that are too large. The states mean that it expects the peer's certificates.
        let state = unsafe SSL_get_state(ssl)
        guard failure.isOfLargeMessage, state == TLS_ST_SR_CERT || state == TLS_ST_CR_CERT else { return verdict }
        let limit = unsafe SSL_ctrl(ssl, SSL_CTRL_GET_MAX_CERT_LIST, 0, nil)
        return PeerRefusal(.unreadable, detail: "more than \(limit >> 10) KiB of certificates were sent")
    }

    /// Stores the reason in an `SSL` whose handshake is about to fail.
    static func keep(_ refusal: PeerRefusal, in ssl: OpaquePointer) {
        // A second refusal can't happen, since the handshake ends with the first. The check prevents a leak.
        guard unsafe SSL_get_ex_data(ssl, refusalIndex) == nil else { return }
        let reference = unsafe Unmanaged.passRetained(KeptRefusal(refusal))
        if unsafe SSL_set_ex_data(ssl, refusalIndex, reference.toOpaque()) != 1 { unsafe reference.release() }
    }

    /// The index under which an `SSL` holds its refusal (application data of OpenSSL).
    private static let refusalIndex: Int32 = {
        let index = unsafe CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, nil, nil, nil) { _, refusal, _, _, _, _ in
            // OpenSSL calls this closure for each SSL that it frees. `refusal` is nil if the SSL has none.
            if let refusal = unsafe refusal { unsafe Unmanaged<KeptRefusal>.fromOpaque(refusal).release() }
        }
        precondition(index >= 0, "OpenSSL has no place for a refusal")
        return index
    }()
}

/// A class instance with a refusal, since OpenSSL can hold a reference only to a class instance.
private final class KeptRefusal {
    let refusal: PeerRefusal

    init(_ refusal: PeerRefusal) { self.refusal = refusal }
}
