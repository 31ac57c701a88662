/// The answer to a request that changed an item by the admin API. It is remembered, so that a client that repeats the
/// request gets the same answer, and nothing is changed twice.
package struct RememberedAnswer: Sendable, Equatable {
    /// How long an answer is remembered, in seconds.
    package static let seconds: Int64 = 86_400
    /// The largest number of remembered answers. Beyond it, the oldest are deleted.
    package static let most = 10_000

    /// The sender of the request, as events name it: a token or a certificate.
    package let actor: String
    /// The key that the client gave its request.
    package let key: String
    /// SHA-256 of the request, to detect that a client gives its key to another request, which is an error.
    package let request: [UInt8]
    package let status: Int
    /// The item that the request has changed.
    package let item: ItemID
    /// The certificate's number; nil for other items, and until the answer is stored.
    package var number: Int64?
    /// The revision that the change has made; 0 until the answer is stored.
    package var revision = 0
    /// When the change was made, in seconds since 1970.
    package let at: Int64

    package init(
        actor: String, key: String, request: [UInt8], status: Int, item: ItemID, number: Int64? = nil,
        revision: Int = 0, at: Int64
    ) {
        self.actor = actor
        self.key = key
        self.request = request
        self.status = status
        self.item = item
        self.number = number
        self.revision = revision
        self.at = at
    }
}
