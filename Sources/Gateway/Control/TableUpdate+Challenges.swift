import ConfigModel
import PKI
import State

extension TableUpdate {
    /// Adds the answer to a challenge: a text for http-01, a certificate for tls-alpn-01.
    mutating func add(_ challenge: ACMEChallenge, now: Int64) throws(PKIError) {
        let token = Array(challenge.token.utf8)
        switch challenge.kind {
        case .http01: challenges.append((token, Array(challenge.keyAuthorization.utf8)))
        case .tlsALPN01:
            let subject = try SubjectName(challenge.domain)
            let made = try ChallengeCertificate(
                name: subject, keyAuthorization: challenge.keyAuthorization, now: now)
            challengeCertificates.append(
                ChallengeEntry(
                    token: token, serverName: subject.challengeServerName,
                    credential: try TLSCredential(chain: [made.certificate.der], key: made.key)))
        }
    }
}

extension SubjectName {
    /// The server name that a CA sends when it validates this name. For an IP address, that is the address's name in
    /// the reverse zone (RFC 8738 section 6).
    var challengeServerName: String {
        guard case .ip(let text) = self, let address = IPAddress(text) else { return self.text }
        if address.family == .v4 {
            return address.bytes.reversed().map { "\($0)." }.joined() + "in-addr.arpa"
        }
        let nibbles = address.bytes.flatMap { [$0 >> 4, $0 & 15] }
        return nibbles.reversed().map { String($0, radix: 16) + "." }.joined() + "ip6.arpa"
    }
}
