import State

/// Why an operation is not carried out. Nothing was changed then.
package struct OperationFailure: Error, Sendable {
    package enum Kind: Sendable {
        /// The given settings or certificate are invalid; `faults` says where.
        case invalid
        /// There is no such item.
        case missing
        /// The file declares the item, so only the file can change it.
        case ownedByFile
        /// Another item has the name.
        case nameTaken
        /// Other items use the item.
        case inUse
        /// The item's present state does not allow the operation.
        case notPossible
    }

    /// A fault in the given settings or certificate.
    package struct Fault: Sendable, Equatable {
        /// The place: a JSON pointer (RFC 6901).
        package var pointer: String
        package let message: String

        package init(at pointer: String, _ message: String) {
            self.pointer = pointer
            self.message = message
        }
    }

    package let kind: Kind
    /// What is wrong: a clause without a full stop. Never quotes a secret.
    package let message: String
    /// What to do: a clause too.
    package let hint: String?
    package var faults: [Fault]

    package init(_ kind: Kind, _ message: String, hint: String? = nil, faults: [Fault] = []) {
        self.kind = kind
        self.message = message
        self.hint = hint
        self.faults = faults
    }

    /// The failure of a change of an item that the file declares. The message names `generation`, the state's latest one.
    static func ownedByFile(_ id: ItemID, generation: Int) -> OperationFailure {
        OperationFailure(
            .ownedByFile, "the file declares \(id.kind.rawValue) '\(id.name)' (generation \(generation))",
            hint: "change the file, and apply it")
    }
}
