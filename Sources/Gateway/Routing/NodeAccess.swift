import ConfigModel
import PKI

/// Who may use the node listener, and the certificate that this node shows there.
struct NodeAccess: Sendable {
    let credential: TLSCredential
    /// The identity that `credential` belongs to.
    let identityVersion: [UInt8]
    /// The rules for clients. A certificate must have a SAN that `node.allow` names.
    let trust: PeerTrust

    /// Throws the reason why nobody can use the node listener.
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
    }

    func isSame(as other: NodeAccess) -> Bool {
        identityVersion == other.identityVersion && trust.rules.digest == other.trust.rules.digest
    }
}

struct NodeAccessFault: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
