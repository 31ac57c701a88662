import PKI
import PrivateFiles
import State
import SystemPackage

/// A development CA and a node's certificate, in a directory. Both are made if they are missing. For development only:
/// anybody who can read the directory can make certificates that the node's peers trust.
///
/// Several nodes, and `aegis-apply`, may share the directory.
package struct DevelopmentIdentity: Sendable {
    package let directory: FilePath
    /// The node's ID, a host name. The node's certificate contains it.
    package let nodeID: String
    /// The host of the node's address, a name or an IP address. The node's certificate contains it too.
    package let addressHost: String?

    package init(directory: FilePath, nodeID: String, addressHost: String? = nil) {
        (self.directory, self.nodeID, self.addressHost) = (directory, nodeID, addressHost)
    }

    /// The lifetime of the CA's certificate, in seconds: 365 days.
    package static let authorityLifetimeSeconds: Int64 = 365 * 86_400
    /// The lifetime of a node's certificate, in seconds: 90 days.
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

    /// The contents of the directory's files. Certificates are in PEM.
    package struct Content: Sendable {
        package let certificate: [UInt8]
        package let key: SecretBytes
        package let authority: [UInt8]
        /// When the node's certificate must be made again, in seconds since 1970.
        package let renewAt: Int64
    }

    /// Reads the files and makes the missing ones. A CA is made if there is none or if it has expired. A node's
    /// certificate is made if there is none, if a third of its lifetime is left, if another CA issued it, or if it
    /// lacks a name.
    ///
    /// - Parameter patienceSeconds: How long to wait if another process has locked the directory.
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
        // With the ID "ca", the files of the node would have the names of the CA's files.
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
        // A killed process may have left a key without a certificate. No client trusts that key yet. So the key is
        // replaced, and also the key of an expired certificate.
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
        // If the process is killed between the two writes, key and certificate don't match. The next call then makes
        // both again.
        try PrivateFile.write(content.key, to: directory.appending(names.key))
        try PrivateFile.write(SecretBytes(content.certificate), to: directory.appending(names.certificate))
        return content
    }

    /// The certificate and key in the files; nil if they are missing or can't be used.
    private func readNode() throws -> (CertificateChain, PrivateKey)? {
        guard let text = try read(names.certificate), let keyText = try readKey(names.key),
            let key = try? PrivateKey(pem: keyText), let chain = try? CertificateChain(pem: text.plainCopy(), key: key)
        else { return nil }
        return (chain, key)
    }

    /// When the node's certificate is made again: when a third of its lifetime is left. If it expires together with the
    /// CA's certificate, it is made again only at its expiry, since a new one would expire at the same time.
    private static func renewAt(_ leaf: Certificate, _ authority: Certificate) -> Int64 {
        leaf.notAfter < authority.notAfter ? leaf.notAfter - (leaf.notAfter - leaf.notBefore) / 3 : leaf.notAfter
    }

    // MARK: Files

    private func read(_ name: String) throws -> SecretBytes? { try PrivateFile.read(directory.appending(name)) }

    /// Reads a key; nil if its file is missing.
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
