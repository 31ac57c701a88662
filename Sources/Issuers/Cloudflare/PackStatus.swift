import State

/// The meaning of a pack's status for Aegis. Cloudflare has more than twenty statuses, and may add others; an unknown
/// one counts as pending.
enum PackStatus {
    /// The pack is not active yet, or its status is unknown.
    case pending
    /// The edge serves the pack.
    case active
    /// The validation timed out, and can be started again.
    case validationTimedOut
    /// The pack will never become active.
    case dead
    /// The pack is deleted, or is being deleted.
    case gone

    init(_ text: String) {
        self =
            switch text {
            case "active", "pending_expiration": .active
            case "validation_timed_out": .validationTimedOut
            case "initializing_timed_out", "issuance_timed_out", "deployment_timed_out", "expired", "inactive",
                "deactivating":
                .dead
            case "deleted", "pending_deletion", "deletion_timed_out", "pending_cleanup": .gone
            default: .pending
            }
    }
}

extension EdgePack {
    /// The status for a pack that Cloudflare no longer knows.
    static let goneStatus = "deleted"

    /// Whether the edge serves the pack.
    package var isActive: Bool { PackStatus(status) == .active }

    /// Whether the pack may still become active.
    package var isPending: Bool { [.pending, .validationTimedOut].contains(PackStatus(status)) }

    /// The reason to order another pack, as far as it is known without asking Cloudflare; nil when there is none.
    package var loss: String? {
        if id == nil { return "its order was not ended" }
        return isActive || isPending ? nil : "is \(status) at Cloudflare"
    }

    /// When to ask for the pack's status again, in seconds since 1970: 15 s after the last check while its status is
    /// new and pending, 15 minutes while it is pending for over an hour, a day while it is active, else six hours.
    package var nextCheckAt: Int64 {
        switch PackStatus(status) {
        case .pending, .validationTimedOut: checkedAt + (checkedAt - since < 3600 ? 15 : 900)
        case .active: checkedAt + 86_400
        case .dead, .gone: checkedAt + 6 * 3600
        }
    }

    /// The pack's status and advice, in lines.
    package var news: String {
        let lines = ["is \(status)" + (problem.map { ": \($0)" } ?? "")] + notes
        return lines.joined(separator: "\n  ")
    }

    /// The problem with the pack; nil when there is none.
    package var problem: String? {
        switch PackStatus(status) {
        case .pending, .active: nil
        case .validationTimedOut: "its validation timed out, and is begun again"
        case .dead: "nothing comes of it any more; the next apply orders another"
        case .gone: "it is gone at Cloudflare; the next apply orders another"
        }
    }
}
