/// The reason why sealed bytes can't be opened. The description is only a clause; the caller adds which secret it is
/// about.
package enum SealError: Error, Equatable {
    /// The bytes are too few for an envelope.
    case truncated
    /// The program does not know the envelope's version.
    case unknownVersion(UInt8)
    /// None of the available master keys has the id of the key that sealed the envelope.
    case wrongKey(sealedWith: String, atHand: [String])
    /// The key is right, but the authentication failed. The bytes were changed, or were sealed for another row, purpose
    /// or partner.
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
