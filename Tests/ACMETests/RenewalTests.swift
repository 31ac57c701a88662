import PKI
import Testing

@testable import ACME

@Suite struct RenewalTests {
    static let day: Int64 = 86_400

    @Test("The certificate identifier of RFC 9773 section 4.1 consists of key identifier and serial number")
    func certificateID() throws {
        let keyIdentifier: [UInt8] = [
            0x69, 0x88, 0x5B, 0x6B, 0x87, 0x46, 0x40, 0x41, 0xE1, 0xB3, 0x7B, 0x84, 0x7B, 0xA0, 0xAE, 0x2C, 0xDE, 0x01,
            0xC8, 0xD4,
        ]
        #expect(
            ACMERenewalInfo.certificateID(keyIdentifier: keyIdentifier, serial: [0x00, 0x87, 0x65, 0x43, 0x21])
                == "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE")
        let root = try CertificateAuthority.makeRoot(commonName: "Root", now: ScriptedEdge.now).certificate
        let parts = try #require(ACMERenewalInfo.certificateID(of: root)).split(separator: ".")
        #expect(Base64URL.bytes(String(parts[0])) == root.subjectKeyIdentifier)
        #expect(Base64URL.bytes(String(parts[1])) == root.serialBytes)
    }

    @Test("The renewal time is spread evenly over the window, and kept while it is inside")
    func instant() {
        let info = ACMERenewalInfo(start: 1000, end: 2000)
        let chosen = (0..<1000).map { _ in info.instant() }
        #expect(chosen.allSatisfy { 1000..<2000 ~= $0 })
        #expect(Set(chosen.map { $0 / 250 }).count == 4)
        #expect(info.instant(keeping: 1234) == 1234)
        #expect(info.instant(keeping: 2000) < 2000)
    }

    @Test(
        "The CA's Retry-After counts within limits of one minute and one day",
        arguments: [(nil, 21_600), (0, 60), (7200, 7200), (1_000_000, 86_400)])
    func checkDelay(_ retryAfter: Int64?, _ expected: Int64) {
        let info = ACMERenewalInfo(start: 1, end: 2, retryAfter: retryAfter.map { .seconds($0) })
        #expect(info.checkDelaySeconds == expected)
    }

    @Test("Retries after failures wait minutes, then hours, and a day after 30 days")
    func retries() {
        let delays = (1...200).map { RetrySchedule.delaySeconds(afterFailures: $0) / 60 }
        #expect(delays[..<7] == [1, 2, 2, 5, 10, 10, 10])
        #expect(delays[7..<17] == [20, 20, 20, 20, 30, 30, 30, 30, 30, 30])
        #expect(delays[17..<25] == [60, 60, 60, 120, 120, 180, 180, 360])
        let steps = delays.prefix { $0 < 1440 }
        #expect(29 * 1440...30 * 1440 ~= steps.reduce(0, +))
        #expect(delays[steps.count...].allSatisfy { $0 == 1440 })
        #expect(RetrySchedule.delaySeconds(afterFailures: 0) == 0)
        // Let's Encrypt pauses a name after 1,152 failures in a row.
        #expect(steps.count < 200)
    }

    @Test("A certificate is due with a third of its lifetime left, a short-lived one with half")
    func lifetime() {
        #expect(RenewalScheduler.dueAt(notBefore: 0, notAfter: 6 * Self.day) == 3 * Self.day)
        #expect(RenewalScheduler.dueAt(notBefore: 0, notAfter: 90 * Self.day) == 60 * Self.day)
        #expect(RenewalScheduler.dueAt(notBefore: 5, notAfter: 0) == 0)
    }

    private func candidate(_ change: (inout RenewalCandidate) -> Void = { _ in }) -> RenewalCandidate {
        var candidate = RenewalCandidate(name: "a.test", notBefore: 0, notAfter: 90 * Self.day)
        change(&candidate)
        return candidate
    }

    private func dueDay(_ change: (inout RenewalCandidate) -> Void = { _ in }) -> Double {
        Double(RenewalScheduler.dueAt(candidate(change), seed: 1)) / Double(Self.day)
    }

    @Test(
        "No certificate is due before the lower bound that needs no hash", arguments: [1, 7, 10, 90, 5475] as [Int64])
    func rest(days: Int64) {
        let rest = RenewalScheduler.restsUntil(notBefore: 0, notAfter: days * 86_400)
        for (renewBefore, name) in [(nil, "a"), (1, "b"), (days * 86_400, "c"), (days * 43_200, "d")]
            as [(Int64?, String)]
        {
            let candidate = RenewalCandidate(
                name: name, notBefore: 0, notAfter: days * 86_400, renewBeforeSeconds: renewBefore)
            #expect(rest <= RenewalScheduler.dueAt(candidate, seed: 0))
        }
    }

    @Test("The operator's renew_before counts, unless it would renew without end")
    func renewBefore() {
        // An eighth of 90 days is 11.25.
        #expect(48.75...60 ~= dueDay())
        #expect(68.75...80 ~= dueDay { $0.renewBeforeSeconds = 10 * Self.day })
        #expect(18.75...30 ~= dueDay { $0.renewBeforeSeconds = 100 * Self.day })
        #expect(18.75...30 ~= dueDay { $0.renewBeforeSeconds = 10_000 * Self.day })
    }

    @Test("The CA's advice counts if the operator set nothing, or if it is urgent")
    func advice() {
        #expect(dueDay { $0.advisedAt = 62 * Self.day } == 62)
        #expect(dueDay { $0.advisedAt = 2 * Self.day } == 2)
        #expect(dueDay { $0.advisedAt = -Self.day } == -1)
        #expect(dueDay { $0.advisedAt = 200 * Self.day } == 81)
        #expect(
            68.75...80
                ~= dueDay {
                    $0.renewBeforeSeconds = 10 * Self.day
                    $0.advisedAt = 58 * Self.day
                })
        #expect(
            dueDay {
                $0.renewBeforeSeconds = 10 * Self.day
                $0.advisedAt = 40 * Self.day
            } == 40)
    }

    @Test("A certificate that is due when issued is reissued only after a pause")
    func pause() throws {
        // The clock was 75 days ahead when the certificate was obtained.
        let at = RenewalScheduler.dueAt(candidate { $0.obtainedAt = 75 * Self.day }, seed: 1)
        #expect(at == 75 * Self.day + 6 * 3600)
        // A certificate with a short lifetime has a shorter pause.
        let short = candidate {
            $0.notAfter = 80
            $0.renewBeforeSeconds = 80
            $0.obtainedAt = 30
        }
        #expect(RenewalScheduler.dueAt(short, seed: 1) == 36)
    }

    @Test("Advice counts for a certificate of any age", arguments: [-90, 0, 1] as [Int64])
    func adviceAtOnce(day: Int64) {
        let young = candidate {
            $0.advisedAt = day * Self.day
            $0.obtainedAt = Self.day
        }
        #expect(RenewalScheduler.dueAt(young, seed: 1) == day * Self.day)
        // The operator's `renew_before` does not prevent an urgent renewal.
        let wished = candidate {
            $0.advisedAt = day * Self.day
            $0.obtainedAt = Self.day
            $0.renewBeforeSeconds = 10 * Self.day
        }
        #expect(RenewalScheduler.dueAt(wished, seed: 1) == day * Self.day)
    }

    @Test(
        "As a CA's chain runs out, renewals become more frequent, but not endless, whatever the CA advises",
        arguments: [0, 3600], [nil, 60])
    func chainThatEnds(backdated: Int64, advisedDay: Int64?) {
        // Until the CA renews its own certificate on day 50, every certificate that it issues expires on day 40.
        let (end, mended) = (40 * Self.day, 50 * Self.day)
        var now: Int64 = 0
        var tries = 0
        while now < mended, tries < 1000 {
            let obtained = now
            now = RenewalScheduler.dueAt(
                candidate {
                    $0.notBefore = obtained - backdated
                    $0.notAfter = end
                    $0.obtainedAt = obtained
                    $0.advisedAt = advisedDay.map { obtained + $0 * Self.day }
                }, seed: 1)
            #expect(now > obtained)
            tries += 1
        }
        // About thirty tries before day 40, and four each day after it.
        #expect(tries < 80, "\(tries)")
        #expect(now < mended + Self.day)
    }

    @Test("After failures the next try comes a little after the scheduled time, and never before the due time")
    func failures() {
        let due = RenewalScheduler.dueAt(candidate(), seed: 1)
        let retry = { (failures: Int, last: Int64) in
            RenewalScheduler.dueAt(
                self.candidate {
                    $0.failures = failures
                    $0.lastTryAt = last
                }, seed: 1)
        }
        #expect(retry(1, due)...due + 68 ~= retry(1, due) && retry(1, due) >= due + 60)
        #expect(due + 21_600...due + 24_300 ~= retry(30, due))
        #expect(retry(3, 0) == due)
    }

    @Test("The same seed gives the same times, another seed other times")
    func seed() {
        let times = { (seed: UInt64) in
            (0..<100).map { number in
                RenewalScheduler.dueAt(self.candidate { $0.name = "\(number).test" }, seed: seed)
            }
        }
        #expect(times(1) == times(1))
        #expect(zip(times(1), times(2)).allSatisfy { $0 != $1 })
    }

    @Test("Due certificates are sorted by expiry, and the time of the next one is known")
    func order() {
        let candidates = [
            candidate { $0.name = "late.test" },
            candidate {
                $0.name = "soon.test"
                $0.notAfter = 89 * Self.day
            },
            candidate {
                $0.notBefore = 60 * Self.day; $0.notAfter = 150 * Self.day
            },
        ]
        let (due, nextAt) = RenewalScheduler.due(candidates, now: 61 * Self.day, seed: 1)
        #expect(due.map(\.name) == ["soon.test", "late.test"])
        #expect(nextAt == RenewalScheduler.dueAt(candidates[2], seed: 1))
        #expect(RenewalScheduler.due([], now: 0, seed: 1).nextAt == nil)
    }
}
