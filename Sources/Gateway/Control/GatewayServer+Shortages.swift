extension GatewayServer {
    private static let complaintSeconds: Int64 = 10

    /// Whether to log this shortage now. After it was logged, the answer is false for `complaintSeconds`. A nil
    /// `shortage` means that connections can't be accepted.
    func mayComplain(of shortage: Shortage?) -> Bool {
        guard Self.uptime >= nextComplaints[shortage, default: 0] else { return false }
        nextComplaints[shortage] = Self.uptime + Self.complaintSeconds
        return true
    }

    func tell(of shortage: Shortage, client: String) {
        switch shortage {
        case .descriptors:
            log.warning(
                "there are not enough descriptors (\(DescriptorLimit.current)): connections that wait are closed for others"
            )
        case .connections:
            log.warning(
                "all \(toldBudget?.connections ?? 0) connections of clients are in use: idle and slow ones are closed to make room for new ones"
            )
        case .connectionsOfClient:
            log.warning(
                "\(client) has all \(toldBudget?.perClient ?? 0) connections that one client may have: others of it are closed"
            )
        case .resets:
            log.warning(
                "the HTTP/2 connection of \(client) was ended: it reset too many requests, or sent too many malformed ones (limits.http2.resets_per_second)"
            )
        case .controlFrames:
            log.warning(
                "the HTTP/2 connection of \(client) was ended: it sent too many frames without data (limits.http2.control_frames_per_second)"
            )
        }
    }
}
