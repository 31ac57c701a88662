import PKI

/// The number of the rules for clients' certificates, the same in all workers. Hosts with the same rules share a
/// number, so that new CAs or revocation lists cost one message whatever the number of hosts.
typealias ClientTrustNumber = UInt32

/// Rules for clients' certificates as they are in force now. `trust` is nil as long as they could never be used, for
/// example because the file of the CAs is missing. The hosts with these rules then refuse all handshakes.
struct ClientTrustDefinition: Sendable {
    let number: ClientTrustNumber
    let trust: PeerTrust?
}

/// How a site authenticates its clients by certificates. A plain value, which lies in the site's memory.
struct ClientCertificateRule: Sendable, Equatable {
    enum Mode: UInt8, Sendable {
        /// The site asks for no certificate.
        case none
        /// A client may show none. One that is shown must be good.
        case optional
        /// Without a good certificate the handshake fails.
        case require
    }

    /// What the upstream is told of the certificate.
    enum Forwarding: UInt8, Sendable {
        case none
        /// Client-Cert (RFC 9440).
        case clientCert
        /// X-Forwarded-Client-Cert, as Envoy writes it.
        case xfcc
    }

    var mode = Mode.none
    var forwarding = Forwarding.none
    var trust: ClientTrustNumber = 0
}
