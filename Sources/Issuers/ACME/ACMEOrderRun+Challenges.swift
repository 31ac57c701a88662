import ACME
import ConfigModel
import State

/// Publishes the answers to an order's challenges: on the challenge board for http-01 and tls-alpn-01, as TXT records
/// for dns-01.
extension ACMEOrderRun {
    /// The published answers to challenges, which the run must remove at its end.
    enum Published {
        case onBoard(tokens: [String])
        case records(DNSChallengeRecords, [(name: String, value: String)])
    }

    func publish(_ answers: [OrderMachine.Answer], _ client: ACMEClient) throws -> Published {
        switch settings.challenge {
        case .http01: try publishOnBoard(answers, as: .http01, client)
        case .tlsALPN01: try publishOnBoard(answers, as: .tlsALPN01, client)
        case .dns01: try publishRecords(answers, client)
        }
    }

    private func publishOnBoard(
        _ answers: [OrderMachine.Answer], as kind: ACMEChallenge.Kind, _ client: ACMEClient
    ) throws -> Published {
        let challenges = try answers.map { answer in
            let authorization = try client.keyAuthorization(answer.challenge)
            let challenge = ACMEChallenge(
                kind: kind, token: authorization.token, keyAuthorization: authorization.text,
                domain: try identifier(of: answer), createdAt: now())
            guard let challenge else {
                throw IssuanceFailure("the CA's challenge for \(answer.authorization.name) is none")
            }
            return challenge
        }
        try board.publish(challenges, for: need.name)
        return .onBoard(tokens: challenges.map(\.token))
    }

    /// Writes TXT records and waits until they are visible in the DNS. After a failure, removes the records that were
    /// written.
    private func publishRecords(_ answers: [OrderMachine.Answer], _ client: ACMEClient) throws -> Published {
        guard let dns = settings.dns else { throw IssuanceFailure("issuer '\(issuer.name)' has no 'dns'") }
        let records = try DNSChallengeRecords(dns, secrets: secrets, now: now)
        var written: [(name: String, value: String)] = []
        do {
            for answer in answers {
                let name = "_acme-challenge.\(try identifier(of: answer))"
                let value = try client.keyAuthorization(answer.challenge).dnsValue
                written.append((name, value))
                try records.present(name: name, value: value)
            }
            for record in written { try records.awaitPropagation(name: record.name, value: record.value) }
        } catch {
            withdraw(.records(records, written))
            throw error
        }
        return .records(records, written)
    }

    /// The name that the challenge is about, without the `*.` of a wildcard.
    private func identifier(of answer: OrderMachine.Answer) throws(IssuanceFailure) -> String {
        guard let identifier = answer.authorization.identifier else {
            throw IssuanceFailure("the CA does not say which name its challenge is for")
        }
        return identifier.text
    }

    func withdraw(_ published: Published) {
        switch published {
        case .onBoard(let tokens): board.withdraw(tokens: tokens, for: need.name)
        // A TXT record that can't be removed is harmless, so errors are ignored.
        case .records(let records, let written):
            for record in written { try? records.cleanup(name: record.name, value: record.value) }
        }
    }
}

extension ACMEIssuer.Challenge {
    var type: ACMEChallengeType {
        switch self {
        case .http01: .http01
        case .tlsALPN01: .tlsALPN01
        case .dns01: .dns01
        }
    }
}
