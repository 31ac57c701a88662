import COpenSSL

/// A certificate that OpenSSL has parsed once, for callers that use it many times. Owns the `X509`.
@safe
final class CertificateHandle: Sendable {
    // Sound to share: never changed after init, and OpenSSL locks the values that it computes on first use.
    nonisolated(unsafe) let handle: OpaquePointer

    /// Parses a certificate in DER, of at most `Certificate.maximumBytes`.
    init(der: [UInt8]) throws(PKIError) { unsafe handle = try Certificate.decode(der) }

    deinit { unsafe X509_free(handle) }
}
