import PKI

/// Which end of a connection the peer is.
enum PeerRole {
    case client, upstream

    /// The direction of the connection, as audit events name it.
    var direction: String { self == .client ? "in" : "out" }
}

/// The kinds of refusals. Each has an allowance of its own, so that refusals of one kind can't keep another kind out of
/// the log. Anybody can connect without a certificate, so refusals for that reason are a kind of their own. The raw
/// value is the kind's index in arrays.
enum RefusalKind: Int {
    case client, upstream, withoutCertificate

    init(_ refusal: PeerRefusal, of role: PeerRole) {
        self = refusal.reason == .noCertificate ? .withoutCertificate : role == .client ? .client : .upstream
    }
}

/// Decides which refused certificates are logged and recorded as audit events. Anybody can cause refusals at any rate,
/// so above a limit they are only counted. This type does no I/O.
struct RefusalAllowance {
    /// How many refusals can be reported at once.
    static let most = 20
    /// After this many seconds, one more refusal can be reported.
    static let secondsForOne: Int64 = 3

    private var left = most
    private var refilledAt: Int64 = 0
    private var unreported = 0

    /// Counts a refusal. `now` is in seconds of the monotonic clock. Returns nil if the refusal must not be reported;
    /// otherwise how many earlier refusals were left out since the last reported one.
    mutating func noteRefusal(at now: Int64) -> Int? {
        let earned = max(0, now - refilledAt) / Self.secondsForOne
        if left + Int(clamping: earned) >= Self.most {
            (left, refilledAt) = (Self.most, now)
        } else {
            left += Int(earned)
            refilledAt += earned * Self.secondsForOne
        }
        guard left > 0 else {
            unreported += 1
            return nil
        }
        left -= 1
        defer { unreported = 0 }
        return unreported
    }
}
