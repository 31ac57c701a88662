import ConfigModel
import PKI
import PeerNames

/// Who may use the node listener, and the certificate that this node shows there.
struct NodeAccess: Sendable {
    let credential: TLSCredential
    /// The identity that `credential` belongs to.
    let identityVersion: [UInt8]
    /// The rules for clients. A certificate must have a SAN that `node.allow` names.
    let trust: PeerTrust
    /// What each of these clients may do.
    private let allowed: [NodeSettings.Allowed]

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
        allowed = node.allowed
    }

    /// Who a client with these names is, by the name that gives it the widest scope, and whether it may change anything.
    /// Nil if `node.allow` has none of the names.
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
