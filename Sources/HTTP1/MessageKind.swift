/// The kind of a message. The parser tolerates more in responses than in requests, but only where one reading is
/// possible.
public enum MessageKind: UInt8, Sendable {
    /// A client's request.
    case request
    /// An upstream's response.
    case response
}
