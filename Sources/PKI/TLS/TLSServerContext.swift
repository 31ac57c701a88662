import COpenSSL

/// The TLS settings for all server connections of one thread. Ciphers and groups follow Mozilla's intermediate
/// configuration (guideline 6.0). Renegotiation and compression are off, session tickets are on.
///
/// Settings that differ from host to host (the certificate and the `TLSPolicy`) are set on a connection after its
/// client hello has arrived. One context for all hosts costs less than one for each policy, and has the same effect.
/// Only one thread may use a context.
@safe
package final class TLSServerContext {
    package var tickets: TicketKeys
    let context: OpaquePointer

    /// The ciphers of TLS 1.2, the best first. All have ephemeral keys and authenticated encryption. A client that
    /// prefers ChaCha20 gets it, since such a client has no hardware for AES.
    private static let ciphers = [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    ].joined(separator: ":")

    /// The ciphers of TLS 1.3. OpenSSL's default begins with AES-256 and SHA-384, each of which takes a third more
    /// time.
    private static let cipherSuites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

    package init(tickets: TicketKeys) throws(PKIError) {
        let action = "setting up TLS"
        self.tickets = tickets
        let context = try unsafe OpenSSL.require(action, SSL_CTX_new(TLS_server_method()))
        unsafe self.context = context
        try unsafe OpenSSL.check(action, aegis_set_min_version_of_all(context, TLS1_2_VERSION))
        try unsafe OpenSSL.check(action, SSL_CTX_set_cipher_list(context, Self.ciphers))
        try unsafe OpenSSL.check(action, SSL_CTX_set_ciphersuites(context, Self.cipherSuites))
        try unsafe TLSGroups.server.set(on: context)
        unsafe SSL_CTX_set_options(
            context,
            aegis_no_renegotiation | aegis_no_compression | aegis_server_chooses_cipher | aegis_prioritize_chacha)
        unsafe aegis_set_modes(context, Int(SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER))
        unsafe aegis_stop_after_each_record(context)
        unsafe aegis_set_no_session_cache(context)
        unsafe SSL_CTX_set_timeout(context, TicketKeys.ticketLifetimeSeconds)
        try unsafe OpenSSL.check(action, SSL_CTX_set_num_tickets(context, 1))
        try unsafe OpenSSL.check(
            action,
            SSL_CTX_set_session_ticket_cb(
                context, { _, _ in 1 },
                { ssl, session, _, _, status, _ in unsafe TLSServerContext.use(session, of: ssl, status) }, nil))
        unsafe SSL_CTX_set_cert_verify_callback(context, { store, _ in unsafe PeerJudge.answer(store) }, nil)
        unsafe SSL_CTX_set_client_hello_cb(context, { ssl, alert, _ in unsafe TLSServerContext.hello(ssl, alert) }, nil)
        unsafe SSL_CTX_set_alpn_select_cb(
            context,
            { ssl, selected, length, offered, count, _ in
                let wanted =
                    unsafe TLSConnection.isValidation(ssl)
                    ? [ClientHello.challengeProtocol]
                    : TLSConnection.offersHTTP2(ssl) ? TLSServerContext.protocolsWithHTTP2 : TLSServerContext.protocols
                return unsafe TLSServerContext.select(wanted, selected, length, offered, count)
            }, nil)
        // The unretained pointer is safe: each connection keeps `self` alive, so the callbacks never see a freed
        // context.
        unsafe SSL_CTX_set_ex_data(context, 0, Unmanaged.passUnretained(self).toOpaque())
        try unsafe OpenSSL.check(
            action,
            aegis_set_ticket_callback(context) { ssl, name, nonce, cipher, mac, isSealing in
                unsafe TLSServerContext.ticket(ssl, name, nonce, cipher, mac, isSealing)
            })
    }

    deinit { unsafe SSL_CTX_free(context) }

    /// Suspends the handshake at the client hello until the caller has chosen a certificate.
    private static func hello(_ ssl: OpaquePointer?, _ alert: UnsafeMutablePointer<Int32>?) -> Int32 {
        // Entry 0 of the SSL's application data is nil until the caller has called `choose` or `refuse` of
        // TLSConnection.
        if unsafe SSL_get_ex_data(ssl, 0) != nil {
            guard unsafe TLSConnection.isRefused(ssl) else { return SSL_CLIENT_HELLO_SUCCESS }
            unsafe alert?.pointee = SSL_AD_INTERNAL_ERROR
            return SSL_CLIENT_HELLO_ERROR
        }
        guard let data = unsafe BIO_get_data(SSL_get_rbio(ssl)) else { return SSL_CLIENT_HELLO_ERROR }
        let window = unsafe data.assumingMemoryBound(to: TLSWire.Window.self)
        var start: UnsafePointer<UInt8>?
        var count = 0
        var hello = ClientHello()
        if unsafe SSL_client_hello_get0_ext(ssl, UInt32(TLSEXT_TYPE_server_name), &start, &count) == 1 {
            // This is safe, since OpenSSL keeps the content of the extension alive until this callback returns.
            let content = unsafe UnsafeBufferPointer(start: start, count: count)
            guard let parsed = unsafe ClientHello(serverNameExtension: Span(_unsafeElements: content)) else {
                unsafe alert?.pointee = SSL_AD_DECODE_ERROR
                return SSL_CLIENT_HELLO_ERROR
            }
            hello = parsed
        }
        if unsafe SSL_client_hello_get0_ext(
            ssl, UInt32(TLSEXT_TYPE_application_layer_protocol_negotiation), &start, &count) == 1
        {
            let content = unsafe UnsafeBufferPointer(start: start, count: count)
            unsafe hello.readProtocols(Span(_unsafeElements: content))
        }
        unsafe window.pointee.hello = hello
        return SSL_CLIENT_HELLO_RETRY
    }

    private static let protocols = ["http/1.1", "http/1.0"]
    private static let protocolsWithHTTP2 = ["h2"] + protocols

    /// Chooses the protocol (ALPN, RFC 7301): the first one in `wanted` that the client offers. If the client offers
    /// none of them, the handshake fails.
    private static func select(
        _ wanted: [String], _ selected: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
        _ length: UnsafeMutablePointer<UInt8>?,
        _ offered: UnsafePointer<UInt8>?, _ count: UInt32
    ) -> Int32 {
        guard let offered = unsafe offered else { return SSL_TLSEXT_ERR_NOACK }
        for wanted in wanted {
            var position = 0
            // OpenSSL has checked the lengths in the list. The guard below keeps each read within the list anyway.
            while position < Int(count) {
                let size = unsafe Int(offered[position])
                guard position + 1 + size <= Int(count) else { break }
                let name = unsafe UnsafeBufferPointer(start: offered + position + 1, count: size)
                if unsafe name.elementsEqual(wanted.utf8) {
                    unsafe selected?.pointee = offered + position + 1
                    unsafe length?.pointee = UInt8(size)
                    return SSL_TLSEXT_ERR_OK
                }
                position += 1 + size
            }
        }
        return SSL_TLSEXT_ERR_ALERT_FATAL
    }

    /// Decides whether a ticket's session is resumed (SSL_CTX_set_session_ticket_cb(3)). A session whose client
    /// certificate has expired is not resumed. A full handshake follows, in which the client can show a new
    /// certificate, or is refused with an alert.
    private static func use(_ session: OpaquePointer?, of ssl: OpaquePointer?, _ status: Int32) -> Int32 {
        switch status {
        case SSL_TICKET_SUCCESS, SSL_TICKET_SUCCESS_RENEW:
            guard unsafe !PeerJudge.hasExpired(SSL_SESSION_get0_peer(session), for: ssl) else {
                return SSL_TICKET_RETURN_IGNORE_RENEW
            }
            return status == SSL_TICKET_SUCCESS_RENEW ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_USE
        case SSL_TICKET_EMPTY, SSL_TICKET_NO_DECRYPT: return SSL_TICKET_RETURN_IGNORE_RENEW
        default: return SSL_TICKET_RETURN_ABORT
        }
    }

    private static func ticket(
        _ ssl: OpaquePointer?, _ name: UnsafeMutablePointer<UInt8>?, _ nonce: UnsafeMutablePointer<UInt8>?,
        _ cipher: OpaquePointer?, _ mac: OpaquePointer?, _ isSealing: Int32
    ) -> Int32 {
        guard let data = unsafe SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), 0), let name = unsafe name,
            let nonce = unsafe nonce, let cipher = unsafe cipher, let mac = unsafe mac
        else { return -1 }
        let context = unsafe Unmanaged<TLSServerContext>.fromOpaque(data).takeUnretainedValue()
        let answer = unsafe context.tickets.prepare(
            name: name, nonce: nonce, cipher: cipher, mac: mac, isSealing: isSealing != 0)
        // A client should use a TLS 1.3 ticket only once (RFC 8446 appendix C.4). The result 2 makes OpenSSL send a new
        // ticket.
        let isSpent = unsafe answer == 1 && isSealing == 0 && SSL_version(ssl) == TLS1_3_VERSION
        return isSpent ? 2 : answer
    }
}
