/// The reason why sealed bytes don't open. The description is a clause for an operator; the caller says which thing did
/// not open.
package enum SealError: Error, Equatable {
    /// The input is shorter than any envelope.
    case truncated
    /// The envelope's version, given here, is unknown to this program.
    case unknownVersion(UInt8)
    /// The envelope was sealed with a key that has another id than those at hand.
    case wrongKey(sealedWith: String, atHand: [String])
    /// The key is right, but the bytes were changed, or belong to another row or another purpose.
    case damaged
    /// The content is larger than `Sealer.maximumBytes`.
    case tooLarge
    case failed(PKIError)
}

extension SealError: CustomStringConvertible {
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
