import Materials
import PKI
import Testing

/// Revocation lists that another thread parses.
struct ListFilesTests {
    private var files = ListFiles()

    private static let list = """
        -----BEGIN X509 CRL-----
        MIGpMFECAQEwCgYIKoZIzj0EAwIwEDEOMAwGA1UEAwwFbGlzdHMXDTI2MDEwMTAw
        MDAwMFoYDzIwOTAwMTAxMDAwMDAwWqAOMAwwCgYDVR0UBAMCAQEwCgYIKoZIzj0E
        AwIDSAAwRQIhAJQ47rK15RViVSVkDFInbxIY9hHva0446TCdI1IRKXujAiBoRksb
        PHliemeoTPvlH8FjeZRGHMdFMEt+KMVg5F/aLg==
        -----END X509 CRL-----
        """
    private static let newer = """
        -----BEGIN X509 CRL-----
        MIGpMFECAQEwCgYIKoZIzj0EAwIwEDEOMAwGA1UEAwwFbGlzdHMXDTI2MDEwMTAw
        MDAwMFoYDzIwOTEwMTAxMDAwMDAwWqAOMAwwCgYDVR0UBAMCAQIwCgYIKoZIzj0E
        AwIDSAAwRQIgNrVWOj9jyzCmyAoCxxCGxsyJlvdrh9BO/Ze/MQzXLMkCIQCBWDtJ
        ZRcVRW+hgPnme6AXKDCJ4nXUxavQH/zhYZARIA==
        -----END X509 CRL-----
        """

    /// The next updates of the lists in force, in seconds since 1970. Nil if the first lists are pending.
    private mutating func ends(_ version: Int, _ text: String) throws -> [Int64?]? {
        do {
            return try files.lists(in: "a.crl", version: version, SecretBytes(Array(text.utf8))).map(\.nextUpdate)
        } catch is ListFiles.Pending {
            return nil
        }
    }

    /// Does the other thread's work.
    private mutating func read() -> [Bool] { files.takeRequests().map { files.put($0.read()) } }

    private static let (end, newerEnd): (Int64, Int64) = (3_786_912_000, 3_818_448_000)

    @Test("The first lists are pending until they are parsed, and each content is parsed once")
    mutating func first() throws {
        #expect(!files.isPending)
        let before = try [ends(1, Self.list), ends(1, Self.list)]
        #expect(before == [nil, nil])
        #expect(files.isPending)
        let results = read()
        #expect(results == [true] && !files.isPending)
        let present = try ends(1, Self.list)
        #expect(present == [Self.end])
        let further = read()
        #expect(further == [])
        #expect(files.nextUpdates == ["a.crl": Self.end])
    }

    @Test("The former lists are in use until the new ones are parsed, and when these can't be used")
    mutating func further() throws {
        _ = try ends(1, Self.list)
        _ = read()
        let before = try ends(2, Self.newer)
        #expect(before == [Self.end] && !files.isPending)
        _ = read()
        let present = try ends(2, Self.newer)
        #expect(present == [Self.newerEnd])
        let meanwhile = try ends(3, "no list")
        #expect(meanwhile == [Self.newerEnd])
        _ = read()
        let former = try ends(3, "no list")
        #expect(former == [Self.newerEnd] && files.fault(of: "a.crl") != nil)
        #expect(files.nextUpdates == ["a.crl": Self.newerEnd])
        _ = try? ends(4, Self.newer)
        _ = read()
        let mended = try ends(4, Self.newer)
        #expect(mended == [Self.newerEnd] && files.fault(of: "a.crl") == nil)
    }

    @Test("Without former lists, content that can't be used is an error")
    mutating func unusable() throws {
        _ = try ends(1, "no list")
        _ = read()
        #expect(throws: PKIError.self) { try ends(1, "no list") }
    }

    @Test("A result that arrives late, or for a file without users, changes nothing")
    mutating func late() throws {
        _ = try ends(1, Self.list)
        let old = files.takeRequests().map { $0.read() }
        _ = try ends(2, Self.newer)
        _ = read()
        let late = old.map { files.put($0) }
        #expect(late == [false])
        let present = try ends(2, Self.newer)
        #expect(present == [Self.newerEnd])
        files.forget("a.crl")
        let unused = old.map { files.put($0) }
        #expect(unused == [false])
        #expect(files.nextUpdates.isEmpty && !files.isPending)
    }
}
