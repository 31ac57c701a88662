import ConfigModel

extension GatewayServer {
    /// Sends the admin worker the clients that may use the node listener, if they have changed. While the present
    /// settings can't be carried out, the former clients that `node.allow` still lists may use the listener.
    func updateNodeAccess() {
        guard let node = compiler.node, node.address != nil else {
            guard nodeAccess != nil || nodeFailure != nil else { return }
            (nodeAccess, nodeFailure) = (nil, nil)
            return admin.mailbox.post(.node(nil))
        }
        var access: NodeAccess?
        do {
            access = try NodeAccess(node, compiler.materials)
            nodeFailure = nil
        } catch {
            access = nodeAccess?.restricted(to: node, node.identity.flatMap { compiler.materials.settings(of: $0) })
            let stays = access == nil ? "it accepts no client" : "the former clients that are still allowed may use it"
            let failure = "the node listener: \(error); \(stays)"
            if nodeFailure != failure { log.error(failure) }
            nodeFailure = failure
        }
        if let access, let nodeAccess, nodeAccess.isSame(as: access) { return }
        guard access != nil || nodeAccess != nil else { return }
        nodeAccess = access
        admin.mailbox.post(.node(access))
    }
}
