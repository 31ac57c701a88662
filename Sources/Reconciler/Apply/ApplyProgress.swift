import Issuers
import State

/// What an apply tells while it goes on.
package enum ApplyProgress: Sendable {
    /// A certificate is being obtained at a CA, or from a source whose name is empty.
    case started(ItemID, Action, at: String)
    /// What was started and has not ended is still waited for, and so many others that have not begun; told every few seconds.
    case stillWaiting(queued: Int)
    /// A change is in force.
    case finished(ItemID, Action)
    /// A change failed; all others go on.
    case failed(ItemID, Action, IssuanceFailure)
    /// Something to know about an item that is in force.
    case warning(ItemID, String)
}

/// How an apply ended.
package struct ApplyOutcome: Sendable {
    /// The number it is kept under; nil when nothing changed.
    package var generation: Int?
    /// How many changes are in force, by action.
    package var done: [Action: Int] = [:]
    /// How many failed.
    package var failures = 0
    /// The items that it did not come to, in the plan's order: it was asked to stop.
    package var left: [ItemID] = []

    /// What was done in one line, such as `3 created, 1 issued, 1 failed`.
    package var summary: String {
        let parts = Action.allCases.compactMap { action in done[action].map { "\($0) \(action.past)" } }
        let all =
            parts + (failures > 0 ? ["\(failures) failed"] : []) + (left.isEmpty ? [] : ["\(left.count) left undone"])
        return all.isEmpty ? "nothing changed" : all.joined(separator: ", ")
    }
}

extension Action {
    /// The action once it is done: `created`.
    package var past: String {
        switch self {
        case .create: "created"
        case .update: "updated"
        case .delete: "deleted"
        case .issue: "issued"
        case .renew: "renewed"
        case .upload: "uploaded"
        case .order: "ordered"
        }
    }
}
