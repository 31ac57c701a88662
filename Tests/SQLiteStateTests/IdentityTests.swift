import State
import TestSupport
import Testing

@testable import SQLiteState

/// The stored identities from Vaults.
@Suite struct IdentityTests {
    private let folder: TemporaryFolder
    private let store: SQLiteStateStore
    private let mesh = ItemID(.identity, "mesh")
    private static let fromVault = Array(#"{"source":"vault","vault":"main","pki":{"role":"node"}}"#.utf8)

    init() throws {
        folder = try TemporaryFolder()
        store = try .leased(folder.path("state.db"))
        try store.commit([.putItem(mesh, owner: .file, record: Self.fromVault)], by: me)
    }

    private func lease(_ name: String = "mesh") throws {
        #expect(try store.acquireLease(.identity(name), for: me, now: 0, isFree: { _ in false }) == .acquired)
    }

    private func identity(_ name: String = "mesh", key: [UInt8] = [3]) -> ObtainedIdentity {
        ObtainedIdentity(
            name: name, declaration: [1], chain: [2], authorities: [], sealedKey: key, secretVersion: 7,
            notBefore: 10, notAfter: 20, obtainedAt: 11)
    }

    private func request(_ name: String = "mesh") -> IdentityRequest {
        IdentityRequest(name: name, declaration: [1], sealedKey: [9], createdAt: 5)
    }

    @Test("An identity is read back unchanged, ends its request, and does not raise the revision")
    func putAndRead() throws {
        try lease()
        let revision = try store.revision()
        #expect(try store.obtainedIdentity("mesh") == nil)
        try store.putIdentityRequest(request(), by: me)
        #expect(try store.identityRequest(for: "mesh") == request())
        #expect(try store.identityRequests() == [request()])
        try store.putObtainedIdentity(identity(), by: me)
        #expect(try store.obtainedIdentities() == [identity()])
        #expect(try store.obtainedIdentity("mesh") == identity())
        #expect(try store.identityRequest(for: "mesh") == nil)
        #expect(try store.revision() == revision)
    }

    @Test("Another connection notices a new identity by the data version")
    func noticed() throws {
        try lease()
        let other = try #require(try SQLiteStateStore(following: store.path))
        let before = try other.dataVersion()
        try store.putObtainedIdentity(identity(), by: me)
        #expect(try other.dataVersion() != before)
        #expect(try other.obtainedIdentity("mesh") == identity())
    }

    @Test("Only the holder of an identity's lease may write it")
    func leases() throws {
        #expect(throws: StateError.leaseLost) { try store.putIdentityRequest(request(), by: me) }
        #expect(throws: StateError.leaseLost) { try store.putObtainedIdentity(identity(), by: me) }
    }

    @Test("Keys are resealed in their rows")
    func reseal() throws {
        try lease()
        try store.putObtainedIdentity(identity(), by: me)
        try store.putIdentityRequest(request(), by: me)
        try store.commit(
            [.resealIdentity(name: "mesh", sealedKey: [5]), .resealIdentityRequest(name: "mesh", sealedKey: [6])],
            by: me)
        #expect(try store.obtainedIdentity("mesh") == identity(key: [5]))
        #expect(try store.identityRequest(for: "mesh")?.sealedKey == [6])
    }

    struct Change: Sendable, CustomStringConvertible {
        let description: String
        let mutation: StateMutation
        var isKept = false
    }

    @Test(
        "Stored material is deleted with its identity or source, and not written afterwards",
        arguments: [
            Change(description: "deleted", mutation: .deleteItem(ItemID(.identity, "mesh"))),
            Change(
                description: "another source",
                mutation: .putItem(
                    ItemID(.identity, "mesh"), owner: .file, record: Array(#"{"source":"dev"}"#.utf8))),
            Change(
                description: "a record that can't be read",
                mutation: .putItem(ItemID(.identity, "mesh"), owner: .file, record: [1])),
            Change(
                description: "other settings",
                mutation: .putItem(
                    ItemID(.identity, "mesh"), owner: .file, record: Array(#"{"source":"vault"}"#.utf8)),
                isKept: true),
            Change(description: "another identity", mutation: .deleteItem(ItemID(.identity, "other")), isKept: true),
            Change(description: "a host of its name", mutation: .deleteItem(ItemID(.host, "mesh")), isKept: true),
        ])
    func forgotten(_ change: Change) throws {
        try lease()
        try store.putObtainedIdentity(identity(), by: me)
        try store.putIdentityRequest(request(), by: me)
        try store.commit([change.mutation], by: me)
        #expect(try store.obtainedIdentities() == (change.isKept ? [identity()] : []))
        #expect(try store.identityRequests() == (change.isKept ? [request()] : []))
        guard !change.isKept else { return }
        #expect(throws: StateError.changedMeanwhile(mesh)) { try store.putObtainedIdentity(identity(), by: me) }
        #expect(throws: StateError.changedMeanwhile(mesh)) { try store.putIdentityRequest(request(), by: me) }
    }
}
