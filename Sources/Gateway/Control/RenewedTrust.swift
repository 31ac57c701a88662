/// The new trust of upstreams and the new rules for clients, after files or identities have changed.
struct RenewedTrust: Sendable {
    var upstreams: [UpstreamNumber: UpstreamTrust] = [:]
    var clients: [ClientTrustDefinition] = []
}
