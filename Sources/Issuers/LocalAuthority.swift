import ConfigModel
import PKI
import PrivateFiles
import State
import SystemPackage

/// The local CA, and the certificates that it issues for the admin listener and as the gateway's fallback. All are kept
/// in files.
///
/// The CA's files are made when missing and never replaced, since clients trust that very certificate. The other two
/// certificates and their keys are made again when they are missing, near their end, lack a name, or were not issued by
/// this CA.
package struct LocalAuthority: Sendable {
    private static let rootName = "aegis-local-ca"
    private static let adminName = "admin-ui-self-signed"
    private static let proxyName = "proxy-self-signed"
    private static let serverLifetimeSeconds: Int64 = 365 * 86_400
    /// How long before its end a server's certificate is made again, in seconds.
    private static let renewalSeconds: Int64 = 30 * 86_400
    private static let serverSubjects = [SubjectName.dns("localhost"), .ip("127.0.0.1"), .ip("::1")]

    package let certificateAuthority: CertificateAuthority
    private let directory: FilePath

    /// Distinguishes this CA from others of the same name: the SHA-256 of its certificate.
    package var digest: [UInt8] { Digest.sha256(certificateAuthority.certificate.der) }

    /// The digest of the CA in a directory; nil when it can't be read. Makes no CA.
    package static func digest(in directory: FilePath) -> [UInt8]? {
        guard let text = try? PrivateFile.read(FilePair(directory, rootName).certificate),
            let chain = try? CertificateChain(pem: text.plainCopy())
        else { return nil }
        return Digest.sha256(chain.leaf.der)
    }

    /// The reason why the CA of a cache directory can't be opened or made; nil when none is known. Makes nothing.
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

    /// Opens the CA of a cache directory. Missing files are made.
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

    /// The certificate and key that a server uses.
    package struct Server: Sendable {
        /// The server's certificate and the CA's.
        package let chain: CertificateChain
        package let key: PrivateKey
        /// When the certificate is made again, in seconds since 1970: 30 days before its end. If it ends with the CA's
        /// own certificate, a new one would end then too, so it is made again only at its end.
        package var renewAt: Int64 {
            let (end, last) = (chain.leaf.notAfter, chain.certificates.last?.notAfter ?? .max)
            return end < last ? end - LocalAuthority.renewalSeconds : end
        }
    }

    /// The admin listener's certificate, from its files: for localhost, the loopback addresses, and `names`. Names that
    /// no certificate can contain are left out.
    package func adminServer(for names: [String], now: Int64) throws(IssuanceFailure) -> Server {
        let subjects = Self.serverSubjects + names.compactMap { try? SubjectName($0) }
        return try Self.exclusively(in: directory) {
            try Self.server(Self.adminName, for: subjects, in: directory, certificateAuthority, now: now)
        }
    }

    /// Runs `body` under a lock on the directory, since several states may share it.
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

    /// Issues a certificate for names. It is valid for 397 days, since Apple's clients accept no more than 398.
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
            return IssuedMaterial(chain: chain, key: key, sourceDigest: digest, warnings: [])
        } catch {
            throw IssuanceFailure(error, "the local CA")
        }
    }

    // MARK: Files

    private static func openRoot(in directory: FilePath, now: Int64) throws -> CertificateAuthority {
        if let root = try readRoot(in: directory, now: now) { return root }
        // After a crash there may be a key without a certificate. No client can trust it yet, so it is replaced.
        let pair = FilePair(directory, rootName)
        let root = try CertificateAuthority.makeRoot(commonName: "Aegis Local CA", now: now)
        try PrivateFile.write(root.key.pem(), to: pair.key)
        try PrivateFile.write(SecretBytes(Array(root.certificate.pem.utf8)), to: pair.certificate)
        return root
    }

    /// The existing CA; nil when one must be made.
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

    /// A server's certificate for at least these names. It is made again if the one in the files is not suitable.
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

/// The paths of a certificate and its key, which share a name.
private struct FilePair {
    let certificate: FilePath
    let key: FilePath

    init(_ directory: FilePath, _ name: String) {
        certificate = directory.appending("\(name).crt")
        key = directory.appending("\(name).key")
    }
}
