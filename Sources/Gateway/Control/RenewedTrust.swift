/// What follows from changed files and identities.
struct RenewedTrust: Sendable {
    var upstreams: [UpstreamNumber: UpstreamTrust] = [:]
    var clients: [ClientTrustDefinition] = []
}
