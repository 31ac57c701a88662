import COpenSSL
import PeerNames

/// Decides whether peers' certificates follow the rules. OpenSSL calls the judge during handshakes. The `X509_STORE` of
/// a `PeerTrust` holds a reference to the judge, so the judge lives as long as any connection with that store.
@safe
final class PeerJudge: Sendable {
    let rules: PeerRules
    private let now: @Sendable () -> Int64

    init(rules: PeerRules, now: @escaping @Sendable () -> Int64) {
        self.rules = rules
        self.now = now
    }

    var nextTurnOfLists: Int64 { rules.nextTurnOfLists(after: now()) }

    /// The index under which an `X509_STORE` holds its judge (application data of OpenSSL).
    private static let index: Int32 = {
        let index = unsafe CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_X509_STORE, 0, nil, nil, nil) {
            _, judge, _, _, _, _ in
            // OpenSSL calls this closure for each store that it frees. `judge` is nil if the store has no judge.
            if let judge = unsafe judge { unsafe Unmanaged<PeerJudge>.fromOpaque(judge).release() }
        }
        precondition(index >= 0, "OpenSSL has no place for a judge")
        return index
    }()

    /// Gives an `X509_STORE` a reference to the judge. OpenSSL releases the reference when it frees the store.
    func join(_ store: OpaquePointer) throws(PKIError) {
        let reference = unsafe Unmanaged.passRetained(self)
        guard unsafe X509_STORE_set_ex_data(store, Self.index, reference.toOpaque()) == 1 else {
            unsafe reference.release()
            throw .openSSL("setting up verification", reasons: OpenSSL.drainReasons())
        }
    }

    /// Returns the judge of a verification (an `X509_STORE_CTX`). Returns nil if the verification's store has no judge.
    private static func judge(of context: OpaquePointer?) -> PeerJudge? {
        unsafe judge(in: X509_STORE_CTX_get0_store(context))
    }

    /// Returns the judge of an `X509_STORE`. Returns nil if the store has no judge.
    private static func judge(in store: OpaquePointer?) -> PeerJudge? {
        // The pointer is valid: the caller keeps the store alive, and the store keeps the judge alive.
        unsafe X509_STORE_get_ex_data(store, index).map {
            unsafe Unmanaged<PeerJudge>.fromOpaque($0).takeUnretainedValue()
        }
    }

    /// Whether a certificate (an `X509`) has expired by the rules of a connection (an `SSL`). False if the rules accept
    /// expired certificates, or the connection has no rules.
    static func hasExpired(_ certificate: OpaquePointer?, for ssl: OpaquePointer?) -> Bool {
        guard let certificate = unsafe certificate, let ssl = unsafe ssl,
            let store = unsafe aegis_get_verify_store(ssl), let judge = unsafe judge(in: store)
        else { return false }
        guard let notAfter = unsafe OpenSSL.seconds(X509_get0_notAfter(certificate)) else { return true }
        return !judge.rules.allowsExpired && notAfter <= judge.now()
    }

    /// Until when the chain that a connection (an `SSL`) has verified in a full handshake stays valid, in seconds since
    /// 1970: the earliest expiry among its certificates, or `Int64.max` if the rules accept expired certificates. Nil
    /// if no chain was verified.
    static func chainEnd(of ssl: OpaquePointer) -> Int64? {
        let chain = unsafe SSL_get0_verified_chain(ssl)
        let count = unsafe OPENSSL_sk_num(chain)
        guard count > 0 else { return nil }
        if let store = unsafe aegis_get_verify_store(ssl), unsafe judge(in: store)?.rules.allowsExpired == true {
            return .max
        }
        var end = Int64.max
        for index in 0..<count {
            // The connection owns the list, whose elements are X509s.
            guard let certificate = unsafe OPENSSL_sk_value(chain, index),
                let notAfter = unsafe OpenSSL.seconds(X509_get0_notAfter(OpaquePointer(certificate)))
            else { return nil }
            end = min(end, notAfter)
        }
        return end
    }

    /// Verifies a peer's certificate in a handshake (SSL_CTX_set_cert_verify_callback(3)). If the store has no judge,
    /// OpenSSL's own verification decides. Returns 1 to accept.
    static func answer(_ context: OpaquePointer?) -> Int32 {
        guard let context = unsafe context else { return 0 }
        let refusal: PeerRefusal?
        if let judge = unsafe judge(of: context) {
            refusal = unsafe judge.refusal(in: context)
        } else {
            defer { ERR_clear_error() }
            refusal = unsafe X509_verify_cert(context) > 0 ? nil : refusalOfOpenSSL(in: context)
        }
        guard let refusal else { return 1 }
        let ssl = unsafe X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx())
        if let ssl = unsafe ssl { unsafe TLSConnection.keep(refusal, in: OpaquePointer(ssl)) }
        return 0
    }

    /// Whether the rules allow an error that OpenSSL found.
    private func forgives(_ error: Int32) -> Bool {
        switch error {
        case X509_V_ERR_CERT_HAS_EXPIRED: rules.allowsExpired
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
            X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
            !rules.verifiesChain
        default: false
        }
    }

    /// Runs a verification (an `X509_STORE_CTX`). Returns nil if the certificate is accepted. Otherwise sets an error
    /// in `context`, from which OpenSSL derives the TLS alert.
    func refusal(in context: OpaquePointer) -> PeerRefusal? {
        let now = now()
        unsafe X509_STORE_CTX_set_time(context, 0, time_t(now))
        // Without chain verification, the store has no CAs. The peer's other certificates are removed, so that OpenSSL
        // looks only at the peer's own certificate.
        if !rules.verifiesChain { unsafe X509_STORE_CTX_set0_untrusted(context, nil) }
        unsafe X509_STORE_CTX_set_verify_cb(context) { isGood, context in
            if isGood == 1 { return 1 }
            let error = unsafe X509_STORE_CTX_get_error(context)
            return unsafe PeerJudge.judge(of: context)?.forgives(error) == true ? 1 : 0
        }
        ERR_clear_error()
        // TLSFailure reads the first error in OpenSSL's queue. So errors of the verification must not be in the queue
        // before the handshake's error.
        defer { ERR_clear_error() }
        guard unsafe X509_verify_cert(context) == 1 else {
            return unsafe Self.refusalOfOpenSSL(in: context)
        }
        let chain = unsafe PeerChain(verifiedBy: context)
        do throws(PeerFault) {
            try unsafe check(chain, now: now)
        } catch {
            unsafe X509_STORE_CTX_set_error(context, error.openSSLError)
            unsafe X509_STORE_CTX_set_error_depth(context, Int32(error.depth))
            return unsafe Self.refusal(error, of: chain.certificate(at: error.depth), leaf: chain.certificate(at: 0))
        }
        // OpenSSL keeps an error in the context even if the rules allow it. The handshake would then fail, so the error
        // is cleared.
        unsafe X509_STORE_CTX_set_error(context, X509_V_OK)
        return nil
    }

    /// Returns the refusal for an error that OpenSSL found.
    private static func refusalOfOpenSSL(in context: OpaquePointer) -> PeerRefusal {
        let error = unsafe X509_STORE_CTX_get_error(context)
        if error == X509_V_OK { unsafe X509_STORE_CTX_set_error(context, X509_V_ERR_UNSPECIFIED) }
        let certificate = unsafe X509_STORE_CTX_get_current_cert(context)
        var fault = PeerFault(openSSL: error, depth: unsafe Int(X509_STORE_CTX_get_error_depth(context)))
        // If OpenSSL can't read a certificate's extensions, it reports that the issuer is unknown. "Unreadable" is more
        // precise.
        let flags = unsafe certificate.map { unsafe X509_get_extension_flags($0) } ?? 0
        if fault.reason == .unknownAuthority, flags & UInt32(EXFLAG_INVALID) != 0 {
            fault = PeerFault(.unreadable, depth: fault.depth)
            unsafe X509_STORE_CTX_set_error(context, fault.openSSLError)
        }
        return unsafe refusal(fault, of: certificate, leaf: X509_STORE_CTX_get0_cert(context))
    }

    /// Checks a certificate of an earlier handshake again. Only dates, revocation lists and required names are checked,
    /// since the rest can't have changed.
    func refusal(again certificate: OpaquePointer, now: Int64) -> PeerRefusal? {
        do throws(PeerFault) {
            guard let notBefore = unsafe OpenSSL.seconds(X509_get0_notBefore(certificate)),
                let notAfter = unsafe OpenSSL.seconds(X509_get0_notAfter(certificate))
            else { throw PeerFault(.unreadable) }
            guard notBefore <= now else { throw PeerFault(.notYetValid) }
            guard rules.allowsExpired || now < notAfter else { throw PeerFault(.expired) }
            try unsafe rules.checkLists(of: certificate, issuer: nil, now: now, depth: 0)
            try unsafe checkNames(of: certificate)
            return nil
        } catch {
            return unsafe Self.refusal(error, of: certificate, leaf: certificate)
        }
    }

    private static func refusal(
        _ fault: PeerFault, of certificate: OpaquePointer?, leaf: OpaquePointer?
    ) -> PeerRefusal {
        let subject = unsafe PeerCertificate.text(of: certificate.map { unsafe X509_get_subject_name($0) } ?? nil)
        return PeerRefusal(
            fault.reason, depth: fault.depth, authority: fault.depth > 0 ? subject : nil, detail: fault.detail,
            certificate: unsafe leaf.map { unsafe PeerCertificate($0) })
    }

    /// Checks for weak keys, weak signatures, revoked certificates and missing names in a chain that OpenSSL has
    /// accepted.
    private func check(_ chain: PeerChain, now: Int64) throws(PeerFault) {
        for depth in unsafe 0...chain.anchor {
            let certificate = unsafe chain.certificate(at: depth)
            try unsafe Self.checkKey(of: certificate, depth: depth)
            if unsafe depth < chain.anchor { try unsafe Self.checkSignature(of: certificate, depth: depth) }
        }
        for depth in unsafe 0...chain.anchor {
            let issuer = unsafe chain.issuer(at: depth)
            try unsafe rules.checkLists(of: chain.certificate(at: depth), issuer: issuer, now: now, depth: depth)
        }
        try unsafe checkNames(of: chain.certificate(at: 0))
    }

    static func checkKey(of certificate: OpaquePointer, depth: Int) throws(PeerFault) {
        guard let key = unsafe X509_get0_pubkey(certificate) else { throw PeerFault(.unreadable, depth: depth) }
        let kind = unsafe KeyKind(of: key)
        do throws(PKIError) {
            try kind.checkStrength()
        } catch {
            throw PeerFault(.weakKey, depth: depth, detail: kind.description)
        }
    }

    /// Requires a signature with a security of 128 bits, such as with SHA-256 or Ed25519.
    private static func checkSignature(of certificate: OpaquePointer, depth: Int) throws(PeerFault) {
        var bits: Int32 = 0
        guard unsafe X509_get_signature_info(certificate, nil, nil, &bits, nil) == 1, bits >= 128 else {
            throw PeerFault(.weakSignature, depth: depth)
        }
    }

    private func checkNames(of certificate: OpaquePointer) throws(PeerFault) {
        guard !rules.requiredNames.isEmpty else { return }
        guard let names = try? unsafe PeerName.names(of: X509ExtensionReader(certificate: certificate)) else {
            throw PeerFault(.unreadable)
        }
        guard names.contains(where: { name in rules.requiredNames.contains { $0.matches(name) } }) else {
            throw PeerFault(.missingName)
        }
    }
}

/// The chain that a successful verification found. Its memory belongs to the verification, so the chain must not be
/// used after it.
@unsafe
struct PeerChain {
    private let stack: OpaquePointer?
    /// The index of the trusted certificate. It is the last one, or 0 if the peer's own certificate is trusted.
    let anchor: Int

    /// Reads the chain from an `X509_STORE_CTX`.
    init(verifiedBy context: OpaquePointer) {
        unsafe stack = X509_STORE_CTX_get0_chain(context)
        // The chain starts with the untrusted certificates, which the peer sent. The next certificate is trusted.
        let last = unsafe Int(OPENSSL_sk_num(stack)) - 1
        precondition(last >= 0, "a chain without certificates")
        unsafe anchor = min(Int(X509_STORE_CTX_get_num_untrusted(context)), last)
    }

    /// Returns the `X509` at an index from 0 to `anchor`. The chain keeps ownership.
    func certificate(at depth: Int) -> OpaquePointer {
        precondition(unsafe (0...anchor).contains(depth))
        // The stack has no nil elements, and `depth` is within it.
        return unsafe OpaquePointer(OPENSSL_sk_value(stack, Int32(depth)).unsafelyUnwrapped)
    }

    /// Returns the `X509` of the issuer of the certificate at `depth`. Returns nil if the chain does not contain the
    /// issuer.
    func issuer(at depth: Int) -> OpaquePointer? {
        if unsafe depth < anchor { return unsafe certificate(at: depth + 1) }
        let last = unsafe certificate(at: depth)
        return unsafe X509_self_signed(last, 0) == 1 ? last : nil
    }
}
