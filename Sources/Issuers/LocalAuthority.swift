import ConfigModel
import PKI
import PrivateFiles
import State
import SystemPackage

/// The CA that Aegis keeps itself, with the files that the admin listener and the fallback certificate come from.
///
/// The CA's files are made when missing and never replaced: whoever trusts it trusts the file. The other two pairs are made
/// anew when they are missing, have expired, or are no longer issued by the CA.
public struct LocalAuthority: Sendable {
    private static let rootName = "aegis-local-ca"
    private static let serverNames = ["admin-ui-self-signed", "proxy-self-signed"]
    private static let serverLifetimeSeconds: Int64 = 365 * 86_400
    private static let serverSubjects = [SubjectName.dns("localhost"), .ip("127.0.0.1"), .ip("::1")]

    /// The CA's certificate and key.
    public let certificateAuthority: CertificateAuthority

    /// Tells this CA from another of the same name: SHA-256 of its certificate.
    public var digest: [UInt8] { Digest.sha256(certificateAuthority.certificate.der) }

    /// The digest of a directory's CA, which is not made; nil when there is none to be read.
    public static func digest(in directory: FilePath) -> [UInt8]? {
        guard let text = try? PrivateFile.read(FilePair(directory, rootName).certificate),
            let chain = try? CertificateChain(pem: text.plainCopy())
        else { return nil }
        return Digest.sha256(chain.leaf.der)
    }

    /// The CA of a cache directory, which is made with all its files where something is missing.
    public init(directory: FilePath, now: Int64) throws(IssuanceFailure) {
        do {
            // Several states may share a cache directory, each with a lock of its own.
            certificateAuthority = try PrivateDirectory.exclusively(in: directory) {
                let authority = try Self.openRoot(in: directory, now: now)
                for name in Self.serverNames { try Self.ensureServer(name, in: directory, authority, now: now) }
                return authority
            }
        } catch let error as PKIError {
            throw IssuanceFailure(error, "the local CA in '\(directory)'")
        } catch let failure as IssuanceFailure {
            throw failure
        } catch {
            throw IssuanceFailure("the local CA in '\(directory)': \(error)")
        }
    }

    /// A certificate for names, as strong and long-lived as Apple's clients accept.
    public func issue(for names: [String], _ algorithm: KeyAlgorithm, now: Int64) throws(IssuanceFailure)
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
        case (nil, _):
            // A key without certificate is what a crash leaves behind here: nobody can have trusted it yet.
            let root = try CertificateAuthority.makeRoot(commonName: "Aegis Local CA", now: now)
            try PrivateFile.write(root.key.pem(), to: pair.key)
            try PrivateFile.write(SecretBytes(Array(root.certificate.pem.utf8)), to: pair.certificate)
            return root
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

    private static func ensureServer(
        _ name: String, in directory: FilePath, _ authority: CertificateAuthority, now: Int64
    ) throws {
        let pair = FilePair(directory, name)
        if isUsable(pair, authority, now: now) { return }
        let key = try PrivateKey.generate(.ecdsaP256)
        let leaf = try authority.issue(
            for: key, names: serverSubjects, now: now, lifetimeSeconds: serverLifetimeSeconds)
        try PrivateFile.write(key.pem(), to: pair.key)
        try PrivateFile.write(SecretBytes(Array((leaf.pem + authority.certificate.pem).utf8)), to: pair.certificate)
    }

    private static func isUsable(_ pair: FilePair, _ authority: CertificateAuthority, now: Int64) -> Bool {
        guard let text = try? PrivateFile.read(pair.certificate), let keyText = try? PrivateFile.read(pair.key),
            let key = try? PrivateKey(pem: keyText),
            let chain = try? CertificateChain(
                pem: text.plainCopy(), key: key)
        else { return false }
        return now < chain.leaf.notAfter && chain.leaf.isIssued(by: authority.certificate)
    }
}

/// A certificate and its key by one name.
private struct FilePair {
    let certificate: FilePath
    let key: FilePath

    init(_ directory: FilePath, _ name: String) {
        certificate = directory.appending("\(name).crt")
        key = directory.appending("\(name).key")
    }
}
