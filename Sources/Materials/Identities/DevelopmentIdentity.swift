import PKI
import PrivateFiles
import State
import SystemPackage

/// A CA and a node's certificate in a directory, which are made when they are missing. For development alone: whoever
/// reads the directory can make certificates that the node's peers trust.
///
/// Several nodes, and `aegis-apply`, may share the directory.
package struct DevelopmentIdentity: Sendable {
    package let directory: FilePath
    /// The node's ID, a host name. Its certificate is for that.
    package let nodeID: String
    /// The host of the node's address, a name or an IP address; its certificate is for that too.
    package let addressHost: String?

    package init(directory: FilePath, nodeID: String, addressHost: String? = nil) {
        (self.directory, self.nodeID, self.addressHost) = (directory, nodeID, addressHost)
    }

    /// How long the CA lasts, in seconds: 365 days.
    package static let authorityLifetimeSeconds: Int64 = 365 * 86_400
    /// How long a node's certificate lasts, in seconds: 90 days.
    package static let nodeLifetimeSeconds: Int64 = 90 * 86_400

    /// The names of the files in the directory.
    package struct FileNames: Sendable {
        package let certificate: String
        package let key: String
        package let authority = "ca-cert.pem"
        package let authorityKey = "ca-key.pem"

        init(nodeID: String) { (certificate, key) = ("\(nodeID)-cert.pem", "\(nodeID)-key.pem") }
    }

    package var names: FileNames { FileNames(nodeID: nodeID) }

    /// What the directory has in it.
    package struct Content: Sendable {
        package let certificate: [UInt8]
        package let key: SecretBytes
        package let authority: [UInt8]
        /// When the node's certificate is to be made again, in seconds since 1970.
        package let renewAt: Int64
    }

    /// Opens the directory, and makes what is missing: the CA when it is missing or expired, the node's certificate also
    /// when a third of its life is left, it is another CA's, or it lacks a name.
    ///
    /// - Parameter patienceSeconds: How long to wait for another process that has the directory locked.
    package func open(now: Int64, patienceSeconds: Int = 5) throws(IdentityFault) -> Content {
        let subjects = try subjects()
        return try IdentityFault.of("the development CA in '\(directory)'") { () throws(any Error) -> Content in
            try PrivateDirectory.exclusively(in: directory, patienceSeconds: patienceSeconds) {
                let authority = try openAuthority(now: now)
                return try node(of: authority, for: subjects, now: now)
            }
        }
    }

    private func subjects() throws(IdentityFault) -> [SubjectName] {
        // The files of a node with this ID would be the CA's.
        guard nodeID.lowercased() != "ca", !nodeID.contains("*") else {
            throw IdentityFault("a node of a development CA can't have the ID '\(nodeID)'")
        }
        return try IdentityFault.of("the node's names") { () throws(PKIError) -> [SubjectName] in
            var subjects: [SubjectName] = []
            for name in [nodeID, addressHost, "localhost", "127.0.0.1", "::1"].compactMap(\.self) {
                let subject = try SubjectName(name)
                if !subjects.contains(subject) { subjects.append(subject) }
            }
            return subjects
        }
    }

    // MARK: The CA

    private struct Authority {
        let certificate: Certificate
        /// The CA's key; nil when its file is missing.
        let key: SecretBytes?
    }

    private func openAuthority(now: Int64) throws -> Authority {
        if let text = try read(names.authority) {
            let certificate: Certificate
            do {
                certificate = try CertificateChain(pem: text.plainCopy()).leaf
            } catch {
                throw IdentityFault(
                    "'\(names.authority)' can't be used; put it back, or delete it to have a new CA made: \(error)")
            }
            if now < certificate.notAfter {
                return Authority(certificate: certificate, key: try readKey(names.authorityKey))
            }
        }
        // After a kill there may be a key without a certificate, or beside an expired one. Nobody can trust it yet.
        let made = try CertificateAuthority.makeRoot(
            commonName: "Aegis Development CA", now: now, lifetimeSeconds: Self.authorityLifetimeSeconds)
        let key = try made.key.pem()
        try PrivateFile.write(key, to: directory.appending(names.authorityKey))
        try PrivateFile.write(SecretBytes(Array(made.certificate.pem.utf8)), to: directory.appending(names.authority))
        return Authority(certificate: made.certificate, key: key)
    }

    // MARK: The node

    private func node(of authority: Authority, for subjects: [SubjectName], now: Int64) throws -> Content {
        let ca = Array(authority.certificate.pem.utf8)
        let former = try readNode()
        if let (chain, key) = former, chain.leaf.isIssued(by: authority.certificate),
            Set(subjects).isSubset(of: chain.leaf.names), chain.leaf.notBefore <= now
        {
            let renewAt = Self.renewAt(chain.leaf, authority.certificate)
            if now < renewAt {
                return Content(
                    certificate: Array(chain.pem.utf8), key: try key.pem(), authority: ca, renewAt: renewAt)
            }
        }
        guard let authorityKey = authority.key else {
            throw IdentityFault(
                "'\(names.authorityKey)' is missing, and the node needs a certificate; put it back, or delete"
                    + " '\(names.authority)' to have a new CA made")
        }
        let signer = try CertificateAuthority(key: PrivateKey(pem: authorityKey), certificate: authority.certificate)
        let key = try PrivateKey.generate(.ecdsaP256)
        let leaf = try signer.issue(
            for: key, names: subjects, now: now, lifetimeSeconds: Self.nodeLifetimeSeconds, isForClients: true)
        let content = Content(
            certificate: Array(leaf.pem.utf8), key: try key.pem(), authority: ca,
            renewAt: Self.renewAt(leaf, authority.certificate))
        // A kill between the two leaves a pair that does not match, which the next one makes again.
        try PrivateFile.write(content.key, to: directory.appending(names.key))
        try PrivateFile.write(SecretBytes(content.certificate), to: directory.appending(names.certificate))
        return content
    }

    /// The pair in the files; nil when there is none, or one that can't be used.
    private func readNode() throws -> (CertificateChain, PrivateKey)? {
        guard let text = try read(names.certificate), let keyText = try readKey(names.key),
            let key = try? PrivateKey(pem: keyText), let chain = try? CertificateChain(pem: text.plainCopy(), key: key)
        else { return nil }
        return (chain, key)
    }

    /// With a third of its life left; but one that ends with its CA only then, since a new one would end then too.
    private static func renewAt(_ leaf: Certificate, _ authority: Certificate) -> Int64 {
        leaf.notAfter < authority.notAfter ? leaf.notAfter - (leaf.notAfter - leaf.notBefore) / 3 : leaf.notAfter
    }

    // MARK: Files

    private func read(_ name: String) throws -> SecretBytes? { try PrivateFile.read(directory.appending(name)) }

    /// A key; nil when its file is missing.
    private func readKey(_ name: String) throws -> SecretBytes? {
        let path = directory.appending(name)
        do {
            if let exposure = PrivateFile.exposure(try path.stat().permissions, path.string) {
                throw IdentityFault("'\(name)': \(exposure)")
            }
        } catch Errno.noSuchFileOrDirectory {
            return nil
        }
        return try read(name)
    }
}
