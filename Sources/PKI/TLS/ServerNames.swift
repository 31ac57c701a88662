import COpenSSL

package enum ServerNames {
    /// Makes an `SSL_CTX` reject server certificates without a host name or IP address in the subject alternative
    /// names. Without these, libcurl would compare the host with the common name, which must not be used (RFC 9525
    /// section 2).
    @unsafe
    package static func require(in context: UnsafeMutableRawPointer) {
        unsafe SSL_CTX_set_cert_verify_callback(
            OpaquePointer(context),
            { store, _ in
                let result = unsafe X509_verify_cert(store)
                guard result > 0 else { return result }
                if unsafe ServerNames.hasNames(X509_STORE_CTX_get0_cert(store)) { return 1 }
                unsafe X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH)
                return 0
            }, nil)
    }

    private static func hasNames(_ certificate: OpaquePointer?) -> Bool {
        guard let certificate = unsafe certificate,
            let der = try? unsafe OpenSSL.encode("reading a certificate", { unsafe i2d_X509(certificate, $0) }),
            let read = try? Certificate(der: der)
        else { return false }
        return !read.names.isEmpty
    }
}
