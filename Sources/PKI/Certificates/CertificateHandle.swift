import COpenSSL

/// A parsed certificate for callers that need it many times. It owns an `X509` of OpenSSL.
@safe
final class CertificateHandle: Sendable {
    // Sharing the pointer is sound: the `X509` does not change after init, and OpenSSL locks the fields that it fills
    // in on first use.
    nonisolated(unsafe) let handle: OpaquePointer

    /// Parses a certificate in DER. Throws if the DER can't be read, or is larger than `Certificate.maximumBytes`.
    init(der: [UInt8]) throws(PKIError) { unsafe handle = try Certificate.decode(der) }

    deinit { unsafe X509_free(handle) }
}
