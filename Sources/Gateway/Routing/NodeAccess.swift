import ConfigModel
import PKI
import PeerNames

/// Which clients may use the node listener, and the certificate that the gateway shows there.
struct NodeAccess: Sendable {
    let credential: TLSCredential
    /// The version of the identity that `credential` comes from.
    let identityVersion: [UInt8]
    /// The rules for client certificates. A certificate must have a SAN that `node.allow` lists.
    let trust: PeerTrust
    /// The entries of `node.allow`, each with what the client may do.
    private let allowed: [NodeSettings.Allowed]

    /// Throws the reason why no client can use the node listener.
    init(_ node: NodeSettings, _ materials: PeerMaterials) throws {
        guard let name = node.identity else { throw NodeAccessFault("it has no identity") }
        guard !node.allowed.isEmpty else { throw NodeAccessFault("node.allow lets nobody in") }
        guard let identity = materials.identity(name) else {
            throw NodeAccessFault("the identity '\(name)' can't be used: \(materials.reasonForLack(of: name))")
        }
        credential = identity.credential
        identityVersion = identity.version
        let rules = try PeerRules(
            purpose: .client, authorities: identity.authorities, requiredNames: node.allowed.map(\.san),
            allowsExpired: materials.settings(of: name)?.peers.allowsExpired ?? false)
        trust = try PeerTrust(rules: rules, now: { GatewayServer.now })
        allowed = node.allowed
    }

    /// The client whose certificate has these names, and whether it may change anything. If several names are listed in
    /// `node.allow`, one that may write is used first. Nil if none is listed.
    func holder(of names: [PeerName]) -> AdminRequest.Holder? {
        func first(_ scopes: [NodeSettings.Scope]) -> PeerName? {
            let patterns = allowed.filter { scopes.contains($0.scope) }.map(\.san)
            return names.first { name in patterns.contains { $0.matches(name) } }
        }
        if let name = first([.write]) { return AdminRequest.Holder(name: name.text, mayChange: true) }
        return first([.read]).map { AdminRequest.Holder(name: $0.text, mayChange: false) }
    }

    func isSame(as other: NodeAccess) -> Bool {
        identityVersion == other.identityVersion && trust.rules.digest == other.trust.rules.digest
            && allowed == other.allowed
    }
}

struct NodeAccessFault: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
