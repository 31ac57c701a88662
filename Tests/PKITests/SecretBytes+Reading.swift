import PKI

extension SecretBytes {
    /// A copy, for tests alone.
    var array: [UInt8] { withBytes { bytes in bytes.indices.map { bytes[$0] } } }

    var string: String { String(decoding: array, as: UTF8.self) }
}
