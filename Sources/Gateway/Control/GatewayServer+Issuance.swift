import ACME
import ConfigModel
import Glibc
import Issuers
import PKI
import State
import SystemPackage

/// What the control side remembers of the certificates that the gateway orders and renews.
struct Issuance {
    /// The largest number of certificates that are ordered at the same time. Even beyond this number, a CA without a
    /// running order may start an order.
    static let jobsAtOnce = 8
    /// The largest number of certificates ordered at one CA at the same time, if orders at other CAs wait.
    static let jobsAtOneCA = 4
    /// The time between two searches for due renewals, in seconds. The lease for this work lasts longer.
    static let lookSeconds: Int64 = 20
    /// The largest number of certificates for which a CA is asked for renewal advice (RFC 9773) at a time.
    static let adviceAtOnce = 10
    /// The largest number of CAs that are asked for renewal advice at the same time.
    static let mostAskedCAs = 64

    /// The certificates that are being ordered, and the certificates that wait for their turn.
    var queue = JobQueue<String>(atOnce: jobsAtOnce, share: jobsAtOneCA)
    /// The time until which handshakes wait for a certificate, in milliseconds of the monotonic clock. The key is the
    /// certificate's name.
    var waits: [String: Int64] = [:]
    /// A certificate has an entry if an attempt has failed, or if its CA has given renewal advice.
    var progress: [String: RenewalProgress] = [:]
    var nextLook: Int64 = 0
    /// The directories of the CAs that are being asked for renewal advice.
    var askedCAs: Set<String> = []
    var isRevoking = false
    var isFollowing = false
    /// Counts the requests to CAs whose answers must not be lost, such as a new order. The gateway awaits these answers
    /// before it ends.
    let gate = StepGate()
    /// When an ending gateway stops waiting for these answers, in seconds of the monotonic clock. Nil while the gateway
    /// is not ending.
    private var waitsUntil: Int64?
    /// A connection to the state for other threads. If other threads used the control side's own connection, their
    /// commits and waits for locks would delay the control side.
    var store: (any StateStore)?
    /// The sources of certificates, and the settings from which the sources were created. When a setting changes, new
    /// sources are needed.
    var sources: (sources: CertificateSources, sealerID: String, directory: String, cache: FilePath?)?

    /// Whether a gateway that is ending must still wait for the answer of a CA. The first call closes `gate`, so that
    /// no new request of this kind begins.
    mutating func awaitsAnswer(uptime: Int64) -> Bool {
        if waitsUntil == nil { gate.close {} }
        let end = waitsUntil ?? uptime + StepGate.patienceSeconds
        waitsUntil = end
        return gate.hasOpenSteps && uptime < end
    }
}

extension GatewayServer {
    // MARK: Handshakes that wait

    /// Handles a report that a handshake needs a missing certificate. The certificate is ordered, unless an attempt has
    /// failed recently.
    func certificateWanted(_ name: String) {
        guard let certificate = compiler.managed(name), status.current.phase == .ready, !isEnding else {
            return settle(name)
        }
        // The certificate may have come into force while the worker's report was on its way.
        if isInForce(certificate) { return settle(name) }
        let mayTry = (issuance.progress[name]?.nextTryAt ?? 0) <= Self.now
        let wait = onDemandWait(for: certificate)
        guard mayTry, wait > 0 else {
            if mayTry { enqueue([name], isUrgent: true) }
            return settle(name)
        }
        issuance.waits[name] = Self.monotonicMilliseconds + wait
        enqueue([name], isUrgent: true)
    }

    /// Whether the certificate in force has all the wanted names and was issued by one of the wanted issuers.
    private func isInForce(_ certificate: ManagedCertificate) -> Bool {
        compiler.certificates[certificate.name].map { certificate.isMet(by: $0.facts, from: compiler.issuers) } ?? false
    }

    private func onDemandWait(for certificate: ManagedCertificate) -> Int64 {
        let waits = certificate.issuers.compactMap { compiler.issuers[$0]?.settings.onDemandWait.wholeMilliseconds }
        return waits.max() ?? 0
    }

    /// Resumes the handshakes that wait for a certificate. The certificate may or may not have been obtained.
    private func settle(_ name: String) {
        issuance.waits[name] = nil
        for worker in workers { worker.mailbox.post(.certificateSettled(name: name)) }
    }

    /// Resumes the handshakes whose certificate has come into force, or whose waiting time is over.
    func settleWaits() {
        guard !issuance.waits.isEmpty, heldChange == nil else { return }
        let now = Self.monotonicMilliseconds
        for (name, end) in issuance.waits
        where end <= now || compiler.managed(name).map(isInForce) ?? true { settle(name) }
    }

    // MARK: Renewals and other work that is due

    /// Searches for renewals that are due. If several gateways share the state, only the gateway that holds the
    /// maintenance lease searches.
    func maintain() {
        guard Self.uptime >= issuance.nextLook,
            !(compiler.certificates.isEmpty && compiler.hostCertificates.isEmpty && compiler.edgeCertificates.isEmpty),
            status.current.phase == .ready, !isEnding
        else { return }
        // While the state is checked for damage, no store can be opened. `maintain` is called again a second later.
        guard let store, issuanceStore() != nil else { return }
        issuance.nextLook = Self.uptime + Issuance.lookSeconds
        let now = Self.now
        do {
            let progress = try store.renewals()
            issuance.progress = Dictionary(progress.map { ($0.certificate, $0) }) { $1 }
            let attempt = try store.acquireLease(.maintenance, for: holder, now: now) { [holder] lease in
                lease.isFree(at: now, in: holder.scope, isAlive: LeaseHolder.isAlive)
            }
            guard attempt == .acquired else { return }
        } catch {
            return log.warning("certificates can't be looked after: \(error)")
        }
        enqueue(dueCertificates(now), isUrgent: false)
        askForAdvice(now)
        revokeSuperseded()
        followPacks(now)
    }

    private func dueCertificates(_ now: Int64) -> [String] {
        var due: [(endsAt: Int64, name: String)] = []
        for (name, certificate) in compiler.hostCertificates {
            let (stored, progress) = (compiler.certificates[name], issuance.progress[name])
            // A certificate that was never obtained is usually ordered when a handshake needs it. If such an order has
            // failed, the next attempt starts here.
            guard stored != nil || progress?.nextTryAt != nil,
                certificate.dueAt(stored?.facts, from: compiler.issuers, after: progress) <= now
            else { continue }
            due.append((stored?.expiresAt ?? .max, name))
        }
        for stored in compiler.certificates.values {
            let rests = stored.restsUntil > now
            // Nearly all certificates are skipped here, so the loop is cheap even with 100,000 certificates.
            if rests, issuance.progress.isEmpty { continue }
            let name = stored.name
            let progress = issuance.progress[name]
            guard progress != nil || !rests, compiler.hostCertificates[name] == nil else { continue }
            let dueAt = stored.managed?.dueAt(stored.facts, from: compiler.issuers, after: progress) ?? .max
            if progress == nil { stored.restsUntil = dueAt }
            if dueAt <= now { due.append((stored.expiresAt, name)) }
        }
        // The certificate that expires first is renewed first.
        return due.sorted { $0 < $1 }.map(\.name)
    }

    /// Asks the CAs when certificates should be renewed (RFC 9773). Each call asks about a few certificates of each CA.
    /// Each CA has a thread of its own, so that a silent CA does not delay the advice of other CAs.
    private func askForAdvice(_ now: Int64) {
        guard let store = issuanceStore(), let sources = certificateSources(store) else { return }
        let all = Array(compiler.issuers.values)
        let givesAdvice = CertificateFacts.Source.withAdvice
        var certificates: [String: [ManagedCertificate]] = [:]
        for stored in compiler.certificates.values where givesAdvice.contains(stored.source) {
            let name = stored.name
            let progress = issuance.progress[name]
            let directory = stored.facts.directory
            guard (progress?.nextAdviceAt ?? 0) <= now || progress?.advisedFingerprint != stored.facts.fingerprint,
                !issuance.askedCAs.contains(directory),
                certificates[directory]?.count ?? 0 < Issuance.adviceAtOnce,
                let certificate = compiler.managed(name)
            else { continue }
            certificates[directory, default: []].append(certificate)
        }
        let events = events
        for (directory, asked) in certificates where issuance.askedCAs.count < Issuance.mostAskedCAs {
            issuance.askedCAs.insert(directory)
            NamedThread("renewal-advice") {
                for certificate in asked {
                    sources.takeAdvice(on: certificate.value, named: certificate.name, from: all)
                }
                events.post(.adviceTaken(directory: directory))
            }.start()
        }
    }

    /// Revokes certificates that have been replaced. Another thread does the work, since the CA may be slow to answer.
    private func revokeSuperseded() {
        guard !issuance.isRevoking, let jobs = issuanceStore(), let context = issuanceContext(jobs),
            let waiting = try? store?.supersededCertificates(), !waiting.isEmpty
        else { return }
        issuance.isRevoking = true
        let issuers = Array(compiler.issuers.values)
        let (events, log) = (events, log)
        NamedThread("revocations") {
            for outcome in (try? OriginRevocations(context).revokeSuperseded(issuers: issuers)) ?? [] {
                if let failure = outcome.failure {
                    log.error("the former certificate of '\(outcome.certificate)' is not revoked: \(failure)")
                } else {
                    log.info("the former certificate of '\(outcome.certificate)' is revoked")
                }
            }
            events.post(.revocationsDone)
        }.start()
    }

    /// Asks Cloudflare for the status of the ordered certificate packs. Another thread does the work, since Cloudflare
    /// may be slow to answer.
    private func followPacks(_ now: Int64) {
        guard !issuance.isFollowing, !compiler.edgeCertificates.isEmpty, let jobs = issuanceStore(),
            let context = issuanceContext(jobs), let packs = try? store?.edgePacks()
        else { return }
        // A certificate may have several packs. Only the newest pack is followed; older packs will be deleted.
        let due = Dictionary(grouping: packs, by: \.certificate).values.compactMap { packs -> EdgePack? in
            guard let newest = packs.last, compiler.edgeCertificates[newest.certificate] != nil else { return nil }
            // While a certificate has older packs, a check is due every 15 minutes. The check also tries to delete the
            // older packs, which Cloudflare does not always allow at once.
            let isDue = newest.nextCheckAt <= now || packs.count > 1 && newest.checkedAt + 900 <= now
            return isDue ? newest : nil
        }
        guard !due.isEmpty else { return }
        issuance.isFollowing = true
        let (events, log, certificates) = (events, log, compiler.edgeCertificates)
        NamedThread("certificate-packs") {
            for pack in due {
                guard let certificate = certificates[pack.certificate] else { continue }
                do throws(IssuanceFailure) {
                    let seen = try EdgePacks(context).follow(certificate, named: pack.certificate)
                    guard let seen, seen.status != pack.status else { continue }
                    log.info("the edge certificate '\(pack.certificate)' is \(seen.status)")
                } catch {
                    log.warning("the edge certificate '\(pack.certificate)' can't be looked at: \(error)")
                }
            }
            events.post(.packsFollowed)
        }.start()
    }

    /// A CA's renewal advice is now in the state. Another search follows at once, since the advice may make a renewal
    /// due.
    func adviceTaken(from directory: String) {
        issuance.askedCAs.remove(directory)
        issuance.nextLook = 0
    }

    // MARK: Jobs

    private func enqueue(_ names: [String], isUrgent: Bool) {
        for name in names {
            let caID = compiler.managed(name)?.caID(among: compiler.issuers) ?? ""
            issuance.queue.add(name, at: caID, isUrgent: isUrgent)
        }
        startJobs()
    }

    func startJobs() {
        // While the state is checked for damage, no store can be opened. After the check, `stateChecked` calls this
        // function again.
        if issuance.store == nil, stateWatch.isChecking { return }
        while let name = issuance.queue.next() {
            guard let certificate = compiler.managed(name), let store = issuanceStore(),
                let sources = certificateSources(store), let sealer
            else {
                issuance.queue.ended(name)
                settle(name)
                continue
            }
            let job = CertificateJob(
                certificate, issuers: Array(compiler.issuers.values), store: store, sealer: sealer,
                sources: sources, actor: "gateway \(node.machine) \(node.process)")
            let events = events
            log.info("having the certificate '\(name)'")
            let gate = issuance.gate
            NamedThread("certificate") {
                events.post(.certificateDone(name: name, gate.including { job.run() }))
            }.start()
        }
    }

    func certificateDone(_ name: String, _ outcome: CertificateJob.Outcome) {
        issuance.queue.ended(name)
        switch outcome {
        case .stored(let warnings):
            status.change { $0.issuances += 1 }
            issuance.progress[name] = nil
            log.info("the certificate '\(name)' is there")
            for warning in warnings { log.warning("the certificate '\(name)' \(warning)") }
            // The new certificate is in the state. `reload` puts the certificate in force, so that the waiting
            // handshakes can continue.
            reload()
            // The replaced certificate may have to be revoked. `maintain` revokes certificates during a search, so a
            // search is due now.
            issuance.nextLook = 0
        case .busy:
            // Another process is ordering this certificate and will store it in the state.
            break
        case .obsolete: settle(name)
        case .failed(let failure):
            status.change { $0.failedIssuances += 1 }
            log.error("the certificate '\(name)' can't be obtained: \(failure)")
            issuance.progress[name] = (try? store?.renewal(of: name)) ?? nil
            settle(name)
        }
        settleWaits()
        startJobs()
    }

    // MARK: The store and the sources of jobs

    func issuanceStore() -> (any StateStore)? {
        // After a failure the state may be damaged. SQLite reads damaged files again only after all connections are
        // closed, so no connection is opened here.
        guard loadFailure == nil else { return nil }
        if issuance.store == nil, mayOpenState() { issuance.store = try? options.openState(StateDamage.jobPatience) }
        return issuance.store
    }

    /// Creates new sources if the state's key or one of the directories has changed.
    private func certificateSources(_ store: any StateStore) -> CertificateSources? {
        guard let sealer else { return nil }
        let directory = compiler.directory.string
        if let known = issuance.sources, known.sealerID == sealer.key.id, known.directory == directory,
            known.cache == fallbackDirectory
        {
            return known.sources
        }
        guard let context = issuanceContext(store) else { return nil }
        let board = ChallengeBoard(store: store, holder: holder) { () throws(IssuanceFailure) in
            throw IssuanceFailure("no gateway serves that could answer the CA's challenge")
        }
        let local = Result { () throws(IssuanceFailure) in
            guard let directory = fallbackDirectory else { throw IssuanceFailure("there is no local CA here") }
            return try LocalAuthority(directory: directory, now: Self.now)
        }
        let sources = CertificateSources(local: local, board: board, context)
        issuance.sources = (sources, sealer.key.id, directory, fallbackDirectory)
        return sources
    }

    private func issuanceContext(_ store: any StateStore) -> IssuanceContext? {
        sealer.map { sealer in
            IssuanceContext(
                store: store, holder: holder, sealer: sealer,
                secrets: SecretReader(directory: compiler.directory, store: store, sealer: sealer), now: { Self.now })
        }
    }

    /// The monotonic clock in seconds. Waiting times use this clock, since setting the system's clock does not change
    /// it.
    static var uptime: Int64 { monotonicMilliseconds / 1000 }

    static var monotonicMilliseconds: Int64 {
        let time = SystemClock.read(CLOCK_MONOTONIC)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
