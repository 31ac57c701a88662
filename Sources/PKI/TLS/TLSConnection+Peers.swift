import COpenSSL

/// Verifies the other end's certificate, and shows it one of our own.
extension TLSConnection {
    /// Makes the client verify its server by these rules in place of its context's trust. Call it before the handshake.
    /// The certificate must be for the server's name as well.
    ///
    /// - Returns: False if OpenSSL fails.
    package borrowing func verify(by trust: PeerTrust) -> Bool { unsafe trust.verify(in: ssl) }

    /// Makes the client send a certificate if the server requests one. The caller must call this before the handshake.
    ///
    /// - Returns: False if OpenSSL fails.
    package borrowing func show(_ credential: TLSCredential) -> Bool { unsafe credential.use(in: ssl) }

    /// Makes a client note whether its server asks for a certificate (`isAsked`). Call it before the handshake.
    package borrowing func noteRequest() {
        // OpenSSL calls this closure when the server's request has arrived (SSL_set_cert_cb(3)). A client uses the place
        // 0 for nothing else; any value but nil is a yes.
        unsafe SSL_set_cert_cb(
            ssl,
            { ssl, _ in
                unsafe SSL_set_ex_data(ssl, 0, UnsafeMutableRawPointer(ssl))
                return 1
            }, nil)
    }

    /// Whether the server has asked for a certificate, after `noteRequest`.
    package var isAsked: Bool { unsafe SSL_get_ex_data(ssl, 0) != nil }

    /// The reason why this end's rules refuse the peer's certificate; nil if they accept it.
    package var verdict: PeerRefusal? {
        // The pointer is valid: `keep` gave the SSL a reference to the refusal.
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
        // The connection keeps the certificate alive.
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

    /// The certificates that the other end sent, in DER, its own first; none when it showed none. A resumed session has
    /// only the other end's own.
    package var peerChain: [[UInt8]] {
        guard let own = peerCertificate else { return [] }
        let sent = unsafe SSL_get_peer_cert_chain(ssl)
        // The connection owns the list and its elements, which are X509s.
        let all = unsafe (0..<max(0, OPENSSL_sk_num(sent))).compactMap { index -> [UInt8]? in
            let certificate = unsafe OpaquePointer(OPENSSL_sk_value(sent, index))
            return try? unsafe OpenSSL.encode("reading a certificate") { unsafe i2d_X509(certificate, $0) }
        }
        // A client's list begins with the server's own certificate, a server's list does not.
        return all.first == own ? all : [own] + all
    }

    /// The reason why Aegis refused the peer's certificate. Nil if the handshake failed for another reason.
    package borrowing func refusal(after failure: TLSFailure) -> PeerRefusal? {
        failure.lacksCertificate ? PeerRefusal(.noCertificate) : verdict
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
