import Synchronization

/// The counters of a worker. Only this worker's thread writes them. Other threads may read them at any time.
@safe
final class WorkerMetrics: Sendable {
    enum Counter: Int, CaseIterable {
        case requests, malformedRequests, bytesReceived, bytesSent
        case responses1xx, responses2xx, responses3xx, responses4xx, responses5xx
        case connectionsAccepted, connectionsClosed, connectionsRefused, connectionsEvicted, acceptFailures
        case handshakesTLS12, handshakesTLS13, handshakesResumed, handshakesAborted, handshakesTimedOut
        case handshakesWithoutCertificate, handshakesPlain, handshakesAlerted, handshakesOfOtherVersions
        case handshakesWithoutAlgorithms, handshakesMalformed, handshakesWithoutTrust, handshakesOfRefusedClients
        case clientsFlooding, clientsAlerting, clientsMalformed, upstreamsFlooding, upstreamsAlerting, upstreamsGarbled
        case http2Connections, http2ConnectionsClosed, http2Requests, http2StreamsClosed
        case http2ResetsByClient, http2ResetsByGateway
        case http2FloodsOfResets, http2FloodsOfFrames, http2Malformed, http2WithoutMemory
        case http2UpstreamConnections, http2UpstreamConnectionsClosed, http2UpstreamRequests
        case http2ResetsByUpstream, http2ResetsOfUpstream
        /// Calls of gRPC, by their status.
        case calls0, calls1, calls2, calls3, calls4, calls5, calls6, calls7, calls8, calls9, calls10, calls11, calls12
        case calls13, calls14, calls15, calls16
        case certificateFailures, clientTimeouts, clientAborts, tunnelsOpened
        case upstreamConnections, upstreamReuses, upstreamRetries, upstreamEjections
        case upstreamHandshakesFull, upstreamHandshakesResumed
        case upstreamsUnresolved, upstreamsUnreached, upstreamsTimedOut, upstreamsWithoutTLS, upstreamsClosed
        case upstreamsMalformed
        case suppressedReports
    }

    enum Histogram: Int, CaseIterable {
        case request, handshake, upstream
    }

    /// The upper limits of a histogram's buckets, in nanoseconds. Longer durations are counted in one further bucket.
    static let bucketNanoseconds: [UInt64] = [
        500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000, 250_000_000,
        500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000,
    ]
    /// How many numbers a histogram consists of: one for each bucket, one for the bucket of longer durations, and the
    /// sum.
    private static let histogramSize = bucketNanoseconds.count + 2

    // This is safe to share between threads: each counter is an atomic, and only `deinit` frees the memory.
    private nonisolated(unsafe) let places: UnsafeMutablePointer<Atomic<UInt64>>
    private static let count = Counter.allCases.count + Histogram.allCases.count * histogramSize

    init() {
        unsafe places = .allocate(capacity: Self.count)
        for index in 0..<Self.count { unsafe (places + index).initialize(to: Atomic(0)) }
    }

    deinit {
        unsafe places.deinitialize(count: Self.count)
        unsafe places.deallocate()
    }

    func add(_ counter: Counter, _ amount: UInt64) { add(at: counter.rawValue, amount) }

    func countResponse(_ status: Int) {
        switch status {
        case ..<200: add(.responses1xx, 1)
        case ..<300: add(.responses2xx, 1)
        case ..<400: add(.responses3xx, 1)
        case ..<500: add(.responses4xx, 1)
        default: add(.responses5xx, 1)
        }
    }

    /// Counts a call of gRPC. `status` is from 0 to 16.
    func countCall(_ status: UInt8) { add(at: Counter.calls0.rawValue + Int(status), 1) }

    func observe(_ histogram: Histogram, nanoseconds: UInt64) {
        let start = Counter.allCases.count + histogram.rawValue * Self.histogramSize
        var bucket = 0
        while bucket < Self.bucketNanoseconds.count, nanoseconds > Self.bucketNanoseconds[bucket] { bucket += 1 }
        add(at: start + bucket, 1)
        add(at: start + Self.histogramSize - 1, nanoseconds)
    }

    func value(_ counter: Counter) -> UInt64 { unsafe places[counter.rawValue].load(ordering: .relaxed) }

    var openConnections: Int { open(.connectionsAccepted, .connectionsClosed) }

    /// How many of the things that `begun` has counted were not counted by `ended` yet.
    func open(_ begun: Counter, _ ended: Counter) -> Int {
        // `ended` is read first. In the other order, a thing that begins and ends between the two reads would make the
        // result too low.
        let ended = value(ended)
        return max(0, Int(value(begun)) - Int(ended))
    }

    /// The count of each bucket does not include lower buckets. The sum is in nanoseconds.
    func values(_ histogram: Histogram) -> (buckets: [UInt64], sum: UInt64) {
        let start = Counter.allCases.count + histogram.rawValue * Self.histogramSize
        let values = (0..<Self.histogramSize).map { unsafe places[start + $0].load(ordering: .relaxed) }
        return (Array(values.dropLast()), values[values.count - 1])
    }

    private func add(at place: Int, _ amount: UInt64) {
        // Only the worker's thread writes, so a load and a store are enough. `wrappingAdd` would need a slower, locked
        // instruction.
        unsafe places[place].store(places[place].load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }
}
