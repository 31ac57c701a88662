import ConfigModel
import PKI

/// A certificate that is to be had from an ACME CA.
public struct CertificateNeed: Sendable {
    /// One CA that may issue it.
    public struct Issuer: Sendable {
        /// Its name in the file.
        public let name: String
        /// How it is talked to.
        public let settings: ACMEIssuer
    }

    /// The certificate's name in the state.
    public let name: String
    /// The names it is for.
    public let names: [String]
    /// The CAs to try, in this order.
    public let issuers: [Issuer]
    /// The kind of its key; nil for what the issuer says.
    public let keyType: KeyType?

    init(name: String, names: [String], issuers: [Issuer], keyType: KeyType? = nil) {
        self.name = name
        self.names = names
        self.issuers = issuers
        self.keyType = keyType
    }
}
