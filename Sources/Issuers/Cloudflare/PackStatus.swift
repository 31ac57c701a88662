import State

/// The meaning of a pack's status for Aegis. Cloudflare has more than twenty statuses and may add more.
enum PackStatus {
    /// The pack is not active yet, or its status is unknown.
    case pending
    case active
    /// The validation timed out. It can be restarted.
    case validationTimedOut
    /// The pack will never become active.
    case dead
    /// The pack is deleted or being deleted.
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
    /// The status that Aegis sets if Cloudflare no longer has the pack.
    static let goneStatus = "deleted"

    package var isActive: Bool { PackStatus(status) == .active }

    /// Whether the pack may still become active.
    package var isPending: Bool { [.pending, .validationTimedOut].contains(PackStatus(status)) }

    /// The reason to order a new pack, from the facts in the journal. Nil if there is none.
    package var loss: String? {
        if id == nil { return "its order was not ended" }
        return isActive || isPending ? nil : "is \(status) at Cloudflare"
    }

    /// When to read the pack's status again, in seconds since 1970. A pending pack is read after 15 s, and after an
    /// hour of waiting every 15 minutes. An active pack is read daily, any other pack every six hours.
    package var nextCheckAt: Int64 {
        switch PackStatus(status) {
        case .pending, .validationTimedOut: checkedAt + (checkedAt - since < 3600 ? 15 : 900)
        case .active: checkedAt + 86_400
        case .dead, .gone: checkedAt + 6 * 3600
        }
    }

    /// The pack's status with advice, in one or more lines.
    package var news: String {
        let lines = ["is \(status)" + (problem.map { ": \($0)" } ?? "")] + notes
        return lines.joined(separator: "\n  ")
    }

    /// The problem with the pack, as a clause for messages. Nil if there is none.
    package var problem: String? {
        switch PackStatus(status) {
        case .pending, .active: nil
        case .validationTimedOut: "its validation timed out, and is begun again"
        case .dead: "nothing comes of it any more; the next apply orders another"
        case .gone: "it is gone at Cloudflare; the next apply orders another"
        }
    }
}
