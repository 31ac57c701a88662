import Issuers
import State

/// An event of an apply in progress.
package enum ApplyProgress: Sendable {
    /// Obtaining a certificate has begun. `at` is the address of the CA; empty for the local CA and for files.
    case started(ItemID, Action, at: String)
    /// Sent every few seconds while work is in progress. `queued` items have not begun. `waits` says what the items in
    /// progress wait for, as far as that is known.
    case stillWaiting(queued: Int, waits: [ItemID: String])
    /// A change is in force.
    case finished(ItemID, Action)
    /// A change failed; the other changes continue.
    case failed(ItemID, Action, IssuanceFailure)
    /// A warning about an item. The apply continues.
    case warning(ItemID, String)
}

/// How an apply ended.
package struct ApplyOutcome: Sendable {
    /// The number of the generation; nil when nothing changed.
    package var generation: Int?
    /// How many changes are in force, by action.
    package var done: [Action: Int] = [:]
    package var failures = 0
    /// The items that were not reached because of a request to stop, in the plan's order.
    package var left: [ItemID] = []

    /// Counts by action in one line, such as `3 created, 1 issued, 1 failed`.
    package var summary: String {
        let parts = Action.allCases.compactMap { action in done[action].map { "\($0) \(action.past)" } }
        let all =
            parts + (failures > 0 ? ["\(failures) failed"] : []) + (left.isEmpty ? [] : ["\(left.count) left undone"])
        return all.isEmpty ? "nothing changed" : all.joined(separator: ", ")
    }
}

extension Action {
    /// The past participle of the action, such as `created`.
    package var past: String {
        switch self {
        case .create: "created"
        case .update: "updated"
        case .delete: "deleted"
        case .issue: "issued"
        case .renew: "renewed"
        case .upload: "uploaded"
        case .order: "ordered"
        case .adopt: "adopted"
        }
    }
}
