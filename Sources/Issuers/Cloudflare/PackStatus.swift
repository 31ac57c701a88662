import State

/// What a pack's status means to us. Cloudflare has more than twenty, and may have others one day: those count as under way.
enum PackStatus {
    /// It is on its way, or says nothing that we know.
    case pending
    /// The edge serves it.
    case active
    /// Its validation has taken too long, and can be begun again.
    case validationTimedOut
    /// Nothing comes of it any more.
    case dead
    /// It is gone, or goes.
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
    /// The status of a pack that the provider does not know any more.
    static let goneStatus = "deleted"

    /// Whether the edge serves it.
    package var isActive: Bool { PackStatus(status) == .active }

    /// Whether something is to come of it.
    package var isPending: Bool { [.pending, .validationTimedOut].contains(PackStatus(status)) }

    /// Why another has to be ordered, as far as is known without asking; nil when it need not.
    package var loss: String? {
        if id == nil { return "its order was not ended" }
        return isActive || isPending ? nil : "is \(status) at Cloudflare"
    }

    /// When to look at it again, in seconds since 1970: soon while it is new, once a day when it is in force.
    package var nextCheckAt: Int64 {
        switch PackStatus(status) {
        case .pending, .validationTimedOut: checkedAt + (checkedAt - since < 3600 ? 15 : 900)
        case .active: checkedAt + 86_400
        case .dead, .gone: checkedAt + 6 * 3600
        }
    }

    /// How it stands, with what is to be done about it, in lines.
    package var news: String {
        let lines = ["is \(status)" + (problem.map { ": \($0)" } ?? "")] + notes
        return lines.joined(separator: "\n  ")
    }

    /// What is wrong with it; nil when nothing is.
    package var problem: String? {
        switch PackStatus(status) {
        case .pending, .active: nil
        case .validationTimedOut: "its validation timed out, and is begun again"
        case .dead: "nothing comes of it any more; the next apply orders another"
        case .gone: "it is gone at Cloudflare; the next apply orders another"
        }
    }
}
