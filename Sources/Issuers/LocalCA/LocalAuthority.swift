import ConfigModel
import PKI
import PrivateFiles
import State
import SystemPackage

/// The local CA, and two certificates that it issues: for the admin listener, and as the gateway's fallback. Their
/// files are in the cache directory.
///
/// The CA's files are made if they are missing. A CA certificate is never replaced, since clients trust it. The other
/// two certificates are made again if they are missing, expire soon, lack a name, or come from another CA.
package struct LocalAuthority: Sendable {
    private static let rootName = "aegis-local-ca"
    private static let adminName = "admin-ui-self-signed"
    private static let proxyName = "proxy-self-signed"
    private static let serverLifetimeSeconds: Int64 = 365 * 86_400
    /// How long before its expiry a server certificate is made again, in seconds.
    private static let renewalSeconds: Int64 = 30 * 86_400
    private static let serverSubjects = [SubjectName.dns("localhost"), .ip("127.0.0.1"), .ip("::1")]

    package let certificateAuthority: CertificateAuthority
    private let directory: FilePath

    /// The SHA-256 of the CA's certificate. It distinguishes this CA from others with the same name.
    package var digest: [UInt8] { Digest.sha256(certificateAuthority.certificate.der) }

    /// The digest of the CA in a directory. Nil if the CA does not exist or can't be read. This function makes no CA.
    package static func digest(in directory: FilePath) -> [UInt8]? {
        certificate(in: directory).map { Digest.sha256($0.der) }
    }

    /// The certificate of the CA in a directory. Nil if the CA does not exist or can't be read. This function makes no
    /// CA.
    package static func certificate(in directory: FilePath) -> Certificate? {
        guard let text = try? PrivateFile.read(FilePair(directory, rootName).certificate) else { return nil }
        return try? CertificateChain(pem: text.plainCopy()).leaf
    }

    /// Returns the reason why the CA can't be opened or made in a directory. Returns nil if there is no known reason.
    /// This function makes no files.
    package static func obstacle(in directory: FilePath, now: Int64) -> IssuanceFailure? {
        if let reason = PrivateDirectory.obstacle(at: directory) {
            return IssuanceFailure("the local CA in '\(directory)': \(reason)")
        }
        do {
            _ = try readRoot(in: directory, now: now)
            return nil
        } catch {
            return error as? IssuanceFailure ?? IssuanceFailure("the local CA in '\(directory)': \(error)")
        }
    }

    /// Opens the CA in a directory. Makes the files that are missing.
    package init(directory: FilePath, now: Int64) throws(IssuanceFailure) {
        self.directory = directory
        certificateAuthority = try Self.exclusively(in: directory) {
            let authority = try Self.openRoot(in: directory, now: now)
            for name in [Self.adminName, Self.proxyName] {
                _ = try Self.server(name, for: Self.serverSubjects, in: directory, authority, now: now)
            }
            return authority
        }
    }

    /// A server certificate with its private key.
    package struct Server: Sendable {
        /// The server's certificate, followed by the CA's.
        package let chain: CertificateChain
        package let key: PrivateKey
        /// When the certificate is made again, in seconds since 1970: 30 days before its expiry. If it expires together
        /// with the CA's certificate, a new one could not last longer, so it is made again only at its expiry.
        package var renewAt: Int64 {
            let (end, last) = (chain.leaf.notAfter, chain.certificates.last?.notAfter ?? .max)
            return end < last ? end - LocalAuthority.renewalSeconds : end
        }
    }

    /// Returns the admin listener's certificate from its files. It is for localhost, the loopback addresses and
    /// `names`. Names that no certificate can contain are ignored.
    package func adminServer(for names: [String], now: Int64) throws(IssuanceFailure) -> Server {
        let subjects = Self.serverSubjects + names.compactMap { try? SubjectName($0) }
        return try Self.exclusively(in: directory) {
            try Self.server(Self.adminName, for: subjects, in: directory, certificateAuthority, now: now)
        }
    }

    /// Locks the directory while `body` runs, since several states may share the directory.
    private static func exclusively<Result>(
        in directory: FilePath, _ body: () throws -> Result
    ) throws(IssuanceFailure) -> Result {
        do {
            return try PrivateDirectory.exclusively(in: directory, body)
        } catch let error as PKIError {
            throw IssuanceFailure(error, "the local CA in '\(directory)'")
        } catch let failure as IssuanceFailure {
            throw failure
        } catch {
            throw IssuanceFailure("the local CA in '\(directory)': \(error)")
        }
    }

    /// Issues a certificate. It is valid for 397 days, since Apple's clients reject certificates of more than 398 days.
    package func issue(for names: [String], _ algorithm: KeyAlgorithm, now: Int64) throws(IssuanceFailure)
        -> IssuedMaterial
    {
        do throws(PKIError) {
            let key = try PrivateKey.generate(algorithm)
            let subjects = try names.map { (name) throws(PKIError) in try SubjectName(name) }
            let leaf = try certificateAuthority.issue(
                for: key, names: subjects, now: now,
                lifetimeSeconds: CertificateAuthority.maximumLeafLifetimeSeconds)
            let chain = try CertificateChain(certificates: [leaf, certificateAuthority.certificate], key: key)
            return IssuedMaterial(chain: chain, key: key, source: .localCA, sourceDigest: digest)
        } catch {
            throw IssuanceFailure(error, "the local CA")
        }
    }

    private static func openRoot(in directory: FilePath, now: Int64) throws -> CertificateAuthority {
        if let root = try readRoot(in: directory, now: now) { return root }
        // A crash may have left a key without a certificate. No client trusts that key yet, so it is replaced.
        let pair = FilePair(directory, rootName)
        let root = try CertificateAuthority.makeRoot(commonName: "Aegis Local CA", now: now)
        try PrivateFile.write(root.key.pem(), to: pair.key)
        try PrivateFile.write(SecretBytes(Array(root.certificate.pem.utf8)), to: pair.certificate)
        return root
    }

    /// Reads the existing CA. Returns nil if the CA must be made.
    private static func readRoot(in directory: FilePath, now: Int64) throws -> CertificateAuthority? {
        let pair = FilePair(directory, rootName)
        switch (try PrivateFile.read(pair.certificate), try PrivateFile.read(pair.key)) {
        case (let certificate?, let key?):
            let root = try readRoot(pair, certificate, key)
            guard now < root.certificate.notAfter else {
                let end = UTCTime.text(root.certificate.notAfter)
                throw IssuanceFailure("the local CA '\(pair.certificate)' expired on \(end)", hint: renewal)
            }
            return root
        case (.some, nil):
            throw IssuanceFailure(
                "'\(pair.certificate)' is there, but its key '\(pair.key)' is not",
                hint: "put the key back, or \(renewal)")
        case (nil, _): return nil
        }
    }

    private static let renewal =
        "delete certificate and key to have a new CA made, which clients must then trust"

    private static func readRoot(_ pair: FilePair, _ certificate: SecretBytes, _ key: SecretBytes)
        throws(IssuanceFailure) -> CertificateAuthority
    {
        do throws(PKIError) {
            let chain = try CertificateChain(pem: certificate.plainCopy())
            return try CertificateAuthority(key: PrivateKey(pem: key), certificate: chain.leaf)
        } catch {
            throw IssuanceFailure(
                "the local CA '\(pair.certificate)' and its key can't be used: \(error)",
                hint: "put both back from a backup, or \(renewal)")
        }
    }

    /// Returns a server certificate with at least these names. If the one in the files is unusable, makes a new one.
    private static func server(
        _ name: String, for subjects: [SubjectName], in directory: FilePath, _ authority: CertificateAuthority,
        now: Int64
    ) throws -> Server {
        let pair = FilePair(directory, name)
        if let server = read(pair), server.isUsable(for: subjects, from: authority, now: now) { return server }
        let key = try PrivateKey.generate(.ecdsaP256)
        var known: Set<SubjectName> = []
        let leaf = try authority.issue(
            for: key, names: subjects.filter { known.insert($0).inserted }, now: now,
            lifetimeSeconds: serverLifetimeSeconds)
        let chain = try CertificateChain(certificates: [leaf, authority.certificate], key: key)
        try PrivateFile.write(key.pem(), to: pair.key)
        try PrivateFile.write(SecretBytes(Array(chain.pem.utf8)), to: pair.certificate)
        return Server(chain: chain, key: key)
    }

    private static func read(_ pair: FilePair) -> Server? {
        guard let text = try? PrivateFile.read(pair.certificate), let keyText = try? PrivateFile.read(pair.key),
            let key = try? PrivateKey(pem: keyText), let chain = try? CertificateChain(pem: text.plainCopy(), key: key)
        else { return nil }
        return Server(chain: chain, key: key)
    }
}

extension LocalAuthority.Server {
    fileprivate func isUsable(for subjects: [SubjectName], from authority: CertificateAuthority, now: Int64) -> Bool {
        now < renewAt && chain.leaf.isIssued(by: authority.certificate) && Set(subjects).isSubset(of: chain.leaf.names)
    }
}

private struct FilePair {
    let certificate: FilePath
    let key: FilePath

    init(_ directory: FilePath, _ name: String) {
        certificate = directory.appending("\(name).crt")
        key = directory.appending("\(name).key")
    }
}
