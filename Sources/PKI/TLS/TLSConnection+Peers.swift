import COpenSSL

/// Verifies the other end's certificate, and shows it one of our own.
extension TLSConnection {
    /// Makes the client verify its server by these rules in place of its context's trust. Call it before the handshake.
    /// The certificate must be for the server's name as well.
    ///
    /// - Returns: False when OpenSSL fails.
    package borrowing func verify(by trust: PeerTrust) -> Bool { unsafe trust.verify(in: ssl) }

    /// Makes the client show a certificate to a server that asks for one. Call it before the handshake.
    ///
    /// - Returns: False when OpenSSL fails.
    package borrowing func show(_ credential: TLSCredential) -> Bool { unsafe credential.use(in: ssl) }

    /// The other end's own certificate in DER; nil when it showed none. On a resumed session it is the one of the first
    /// handshake.
    package var peerCertificate: [UInt8]? {
        guard let certificate = unsafe SSL_get1_peer_certificate(ssl) else { return nil }
        defer { unsafe X509_free(certificate) }
        return try? unsafe OpenSSL.encode("reading a certificate") { output in unsafe i2d_X509(certificate, output) }
    }

    /// The reason why this end refused the other end's certificate; nil when the handshake failed for another reason.
    package borrowing func refusal(after failure: TLSFailure) -> PeerRefusal? {
        if failure.lacksCertificate { return PeerRefusal(.noCertificate) }
        // The SSL holds the reference that `keep` gave it.
        return unsafe SSL_get_ex_data(ssl, Self.refusalIndex).map {
            unsafe Unmanaged<KeptRefusal>.fromOpaque($0).takeUnretainedValue().refusal
        }
    }

    /// Stores a refusal in an `SSL`, whose handshake then fails.
    static func keep(_ refusal: PeerRefusal, in ssl: OpaquePointer) {
        // An SSL refuses once at most, since the handshake is over then.
        guard unsafe SSL_get_ex_data(ssl, refusalIndex) == nil else { return }
        let reference = unsafe Unmanaged.passRetained(KeptRefusal(refusal))
        if unsafe SSL_set_ex_data(ssl, refusalIndex, reference.toOpaque()) != 1 { unsafe reference.release() }
    }

    /// The index of the refusal in the application data of an `SSL`.
    private static let refusalIndex: Int32 = {
        let index = unsafe CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, nil, nil, nil) { _, refusal, _, _, _, _ in
            // OpenSSL calls this for every SSL that it frees; `refusal` is nil for an SSL without one.
            if let refusal = unsafe refusal { unsafe Unmanaged<KeptRefusal>.fromOpaque(refusal).release() }
        }
        precondition(index >= 0, "OpenSSL has no place for a refusal")
        return index
    }()
}

/// A refusal as an object to which OpenSSL can hold a reference.
private final class KeptRefusal {
    let refusal: PeerRefusal

    init(_ refusal: PeerRefusal) { self.refusal = refusal }
}
