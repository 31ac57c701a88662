import Materials
import PKI

/// Whom the gateway trusts as upstreams: the CAs of files, and the system's. Each file has one entry, which exists as
/// long as an upstream uses it.
struct UpstreamTrusts {
    private struct Entry {
        var users = 1
        var trust: UpstreamTrust
    }

    /// The entries by `ca_file`, as the state has it; nil stands for the system's CAs.
    private var entries: [String?: Entry] = [:]
    /// The files that can't be used now, with the reason for the log.
    private(set) var failures: [String: String] = [:]
    /// The context of connections that trust the CAs of a file.
    private var context: TLSClientContext?

    /// Adds an upstream whose CAs are in this file. For the first one the file is read.
    mutating func use(_ caFile: String?, _ files: inout WatchedFiles) -> UpstreamTrust {
        if let trust = entries[caFile]?.trust {
            entries[caFile]?.users += 1
            return trust
        }
        let trust: UpstreamTrust
        if let caFile {
            files.use(caFile)
            trust = made(from: caFile, files)
            failures[caFile] = trust.failure
        } else {
            trust = Self.systemTrust
        }
        entries[caFile] = Entry(trust: trust)
        return trust
    }

    /// Removes an upstream.
    mutating func release(_ caFile: String?, _ files: inout WatchedFiles) {
        guard let users = entries[caFile]?.users else { return }
        if users > 1 {
            entries[caFile]?.users = users - 1
            return
        }
        entries[caFile] = nil
        guard let caFile else { return }
        failures[caFile] = nil
        files.release(caFile)
    }

    /// Follows a change of a file. If it can't be used any more, its former CAs stay trusted.
    ///
    /// - Returns: The new trust, if it differs from the former one.
    mutating func renew(_ caFile: String, _ files: WatchedFiles) -> UpstreamTrust? {
        guard let former = entries[caFile]?.trust else { return nil }
        let present = made(from: caFile, files)
        failures[caFile] = present.failure.map { former.failure == nil ? "\($0); the former ones stay trusted" : $0 }
        guard former.mayBecome(present) else { return nil }
        entries[caFile]?.trust = present
        return present
    }

    private mutating func made(from caFile: String, _ files: WatchedFiles) -> UpstreamTrust {
        let file = files[caFile]
        do {
            if let failure = file.failure { throw failure }
            let rules = try PeerRules(serversOf: file.content?.plainCopy() ?? [])
            let context = try context ?? TLSClientContext(trust: .nobody)
            self.context = context
            return .known(context, try PeerTrust(rules: rules, now: { GatewayServer.now }))
        } catch {
            return .unusable("the CAs in '\(files.place(of: caFile))' can't be used: \(error)")
        }
    }

    private static var systemTrust: UpstreamTrust {
        do {
            return .known(try TLSClientContext(trust: .system), nil)
        } catch {
            return .unusable("the CAs of the system can't be used: \(error)")
        }
    }
}
