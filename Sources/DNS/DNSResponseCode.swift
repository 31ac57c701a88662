/// The response codes of DNS (RFC 1035 section 4.1.1, RFC 2136 section 2.2).
enum DNSResponseCode {
    static let noError = 0
    static let noSuchName = 3
    static let refused = 5
    static let notAuthorized = 9

    static func words(_ code: Int) -> String {
        switch code {
        case noError: "NOERROR"
        case 1: "FORMERR: the server can't read the message"
        case 2: "SERVFAIL: the server has failed"
        case noSuchName: "NXDOMAIN: there is no such name"
        case 4: "NOTIMP: the server does not do that"
        case refused: "REFUSED: the server does not do that for us"
        case 6: "YXDOMAIN: a name exists that should not"
        case 7: "YXRRSET: records exist that should not"
        case 8: "NXRRSET: records do not exist that should"
        case notAuthorized: "NOTAUTH: the server has no authority, or we don't"
        case 10: "NOTZONE: the name is not in the zone"
        default: "response code \(code)"
        }
    }
}
