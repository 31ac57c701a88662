import PKI

/// The number of the rules for client certificates, the same in all workers. Hosts with the same rules share a number.
/// So when CAs or revocation lists change, each worker needs only one message, however many hosts use them.
typealias ClientTrustNumber = UInt32

/// The present rules for client certificates. `trust` is nil if the rules could not be made yet, for example because
/// the CA file is missing. Hosts with such rules refuse all handshakes.
struct ClientTrustDefinition: Sendable {
    let number: ClientTrustNumber
    let trust: PeerTrust?
}

/// How a host authenticates clients by certificates. The value has no references, since it lies in the site's memory.
struct ClientCertificateRule: Sendable, Equatable {
    enum Mode: UInt8, Sendable {
        /// The site asks for no certificate.
        case none
        /// A client may connect without a certificate. A certificate that it shows must be valid.
        case optional
        /// Without a valid certificate the handshake fails.
        case require
    }

    /// The header field that describes the client's certificate to upstreams.
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
