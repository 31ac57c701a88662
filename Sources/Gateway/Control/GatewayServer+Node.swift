import ConfigModel

extension GatewayServer {
    /// Gives the admin worker new values for the node listener if they have changed. If they can't be made, the former
    /// values stay in force, unless the configuration no longer has a node listener.
    func updateNodeAccess() {
        guard let node = compiler.node, node.address != nil else {
            guard nodeAccess != nil || nodeFailure != nil else { return }
            (nodeAccess, nodeFailure) = (nil, nil)
            return admin.mailbox.post(.node(nil))
        }
        do {
            let access = try NodeAccess(node, compiler.materials)
            nodeFailure = nil
            if let nodeAccess, nodeAccess.isSame(as: access) { return }
            nodeAccess = access
            admin.mailbox.post(.node(access))
        } catch {
            let stays = nodeAccess == nil ? "it lets nobody in" : "the former clients may still use it"
            let failure = "the node listener: \(error); \(stays)"
            if nodeFailure != failure { log.error(failure) }
            nodeFailure = failure
        }
    }
}
