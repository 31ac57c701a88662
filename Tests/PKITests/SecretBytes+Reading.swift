import PKI

extension SecretBytes {
    /// A copy of the bytes.
    var array: [UInt8] { withBytes { bytes in bytes.indices.map { bytes[$0] } } }

    var string: String { String(decoding: array, as: UTF8.self) }
}
