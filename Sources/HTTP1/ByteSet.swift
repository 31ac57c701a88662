/// A set of ASCII bytes, one bit for each. Bytes above 127 are never in a set.
struct ByteSet {
    private let low: UInt64
    private let high: UInt64

    @inline(__always) private init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    /// `tchar` of RFC 9110 section 5.6.2: letters, digits and !#$%&'*+-.^_`|~
    static var token: ByteSet { ByteSet(low: 0x03FF_6CFA_0000_0000, high: 0x57FF_FFFF_C7FF_FFFE) }

    /// The bytes of a path that the gateway passes on unchanged: "/", "[", "]" and `pchar` of RFC 3986 section 3.3,
    /// except "%".
    static var path: ByteSet { ByteSet(low: 0x2FFF_FFD2_0000_0000, high: 0x47FF_FFFE_AFFF_FFFF) }

    /// The bytes of a query that the gateway passes on unchanged: the bytes of `path`, "?" (RFC 3986 section 3.4) and
    /// "%".
    static var query: ByteSet { ByteSet(low: 0xAFFF_FFF2_0000_0000, high: 0x47FF_FFFE_AFFF_FFFF) }

    /// The bytes of a host name: letters, digits, "-", "." and "_".
    static var hostName: ByteSet { ByteSet(low: 0x03FF_6000_0000_0000, high: 0x07FF_FFFE_87FF_FFFE) }

    /// `reg-name` of RFC 3986 section 3.2.2, except "%": letters, digits and -._~!$&'()*+,;=
    static var regName: ByteSet { ByteSet(low: 0x2BFF_7FD2_0000_0000, high: 0x47FF_FFFE_87FF_FFFE) }

    @inline(__always) func contains(_ byte: UInt8) -> Bool {
        byte < 128 && ((byte < 64 ? low : high) >> UInt64(byte & 63)) & 1 == 1
    }
}
