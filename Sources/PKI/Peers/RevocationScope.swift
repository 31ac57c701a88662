import COpenSSL

/// The part of a CA's certificates that a revocation list covers, from the list's issuing distribution point (RFC 5280
/// section 5.2.5). Without one, the list covers all certificates of the CA.
struct RevocationScope: Sendable, Hashable {
    /// Whether the list leaves out the certificates of CAs (onlyContainsUserCerts).
    private var coversOnlyUsers = false
    /// Whether the list covers only the certificates of CAs (onlyContainsCACerts).
    private var coversOnlyAuthorities = false
    /// The names of the distribution point, each a `GENERAL_NAME` in DER. If there are any, the list covers only
    /// certificates whose extension CRL distribution points has one of them (RFC 5280 section 6.3.3 step b.2.i).
    private var points: Set<[UInt8]> = []

    /// The scope of a list that covers all certificates of its CA.
    static let everything = RevocationScope()

    init() {}

    /// Reads the issuing distribution point of a list (an `X509_CRL`).
    init(of list: OpaquePointer) throws(PKIError) {
        guard let value = unsafe X509_CRL_get_ext_d2i(list, NID_issuing_distribution_point, nil, nil) else {
            throw RevocationList.malformed("its distribution point can't be read")
        }
        let point = unsafe value.assumingMemoryBound(to: ISSUING_DIST_POINT.self)
        defer { unsafe ISSUING_DIST_POINT_free(point) }
        if unsafe point.pointee.indirectCRL > 0 {
            throw RevocationList.malformed("it is for other issuers too (indirect)")
        }
        if unsafe point.pointee.onlyattr > 0 {
            throw RevocationList.malformed("it is for attribute certificates alone")
        }
        if unsafe point.pointee.onlysomereasons != nil {
            throw RevocationList.malformed("it is for some reasons alone")
        }
        (coversOnlyUsers, coversOnlyAuthorities) = unsafe (point.pointee.onlyuser > 0, point.pointee.onlyCA > 0)
        guard let place = unsafe point.pointee.distpoint else { return }
        points = unsafe Self.names(of: place)
        guard !points.isEmpty else {
            throw RevocationList.malformed("its distribution point has no full name")
        }
    }

    /// Whether a certificate (an `X509`) of the list's CA belongs to the scope.
    func covers(_ certificate: OpaquePointer) -> Bool {
        let isAuthority = unsafe X509_get_extension_flags(certificate) & UInt32(EXFLAG_CA) != 0
        guard !(isAuthority ? coversOnlyUsers : coversOnlyAuthorities) else { return false }
        return unsafe points.isEmpty || !points.isDisjoint(with: Self.points(of: certificate))
    }

    /// The names of a certificate's CRL distribution points. Points for only some reasons, and points with lists of
    /// another issuer, are left out, since Aegis accepts no such lists.
    private static func points(of certificate: OpaquePointer) -> Set<[UInt8]> {
        guard let stack = unsafe X509_get_ext_d2i(certificate, NID_crl_distribution_points, nil, nil) else { return [] }
        let points = OpaquePointer(stack)
        defer { unsafe CRL_DIST_POINTS_free(points) }
        var names: Set<[UInt8]> = []
        for index in 0..<max(0, unsafe OPENSSL_sk_num(points)) {
            // This is safe, since the stack owns its elements, which are DIST_POINTs, and is freed only when this
            // function returns.
            guard let point = unsafe OPENSSL_sk_value(points, index)?.assumingMemoryBound(to: DIST_POINT.self),
                unsafe point.pointee.reasons == nil && point.pointee.CRLissuer == nil,
                let place = unsafe point.pointee.distpoint
            else { continue }
            unsafe names.formUnion(Self.names(of: place))
        }
        return names
    }

    /// The names of a point in DER. None if the point is named relative to the issuer, which RFC 5280 advises against.
    private static func names(of place: UnsafeMutablePointer<DIST_POINT_NAME>) -> Set<[UInt8]> {
        guard unsafe place.pointee.type == 0, let stack = unsafe place.pointee.name.fullname else { return [] }
        var names: Set<[UInt8]> = []
        for index in 0..<max(0, unsafe OPENSSL_sk_num(stack)) {
            // This is safe, since the point owns the stack and its elements, which are GENERAL_NAMEs.
            guard let name = unsafe OPENSSL_sk_value(stack, index)?.assumingMemoryBound(to: GENERAL_NAME.self),
                let der = try? unsafe OpenSSL.encode("reading a name", { unsafe i2d_GENERAL_NAME(name, $0) })
            else { continue }
            names.insert(der)
        }
        return names
    }
}
