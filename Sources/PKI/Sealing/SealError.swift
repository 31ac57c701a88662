/// Why sealed bytes don't open. The description is a clause for an operator; who calls says what it was that did not open.
package enum SealError: Error, Equatable {
    /// There are fewer bytes than any envelope has.
    case truncated
    /// Sealed in a way that this program doesn't know, by this version number.
    case unknownVersion(UInt8)
    /// Sealed with a key of another id than those at hand.
    case wrongKey(sealedWith: String, atHand: [String])
    /// The key is right, but the bytes were changed, or are another row's or another purpose's.
    case damaged
    /// More than `Sealer.maximumBytes`.
    case tooLarge
    /// OpenSSL failed.
    case failed(PKIError)
}

extension SealError: CustomStringConvertible {
    /// The error as one line for an operator.
    package var description: String {
        switch self {
        case .truncated: "the sealed bytes are cut off"
        case .unknownVersion(let version): "the sealed bytes have the unknown version \(version)"
        case .wrongKey(let sealedWith, let atHand):
            "sealed with the master key \(sealedWith), but the one at hand is \(atHand.joined(separator: ", "))"
        case .damaged: "the sealed bytes are damaged, or were moved here from another place"
        case .tooLarge: "too large to be sealed"
        case .failed(let error): error.description
        }
    }
}
