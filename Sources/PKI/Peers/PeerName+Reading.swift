import COpenSSL
import PeerNames

extension PeerName {
    /// Reads the names in a certificate or request. Throws if there are too many names or the extension can't be read.
    static func names(of reader: X509ExtensionReader) throws(PKIError) -> [PeerName] {
        try unsafe SubjectNameReader.contents(of: reader).compactMap { content in
            switch content.kind {
            case GEN_DNS: PeerName(hostName: content.bytes)
            case GEN_IPADD: PeerName(address: content.bytes)
            case GEN_URI: PeerName(uri: content.bytes)
            case GEN_EMAIL: PeerName(email: content.bytes)
            default: nil
            }
        }
    }
}
