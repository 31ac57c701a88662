/// The kind of a message. The parser tolerates more in responses than in requests, but only where the bytes can be read
/// in one way.
public enum MessageKind: UInt8, Sendable {
    /// A client's request.
    case request
    /// An upstream's response.
    case response
}
