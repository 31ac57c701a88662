/// What a message is, and so who sends it: more is taken from servers than from clients, where it has one reading.
public enum MessageKind: UInt8, Sendable {
    /// A client's request.
    case request
    /// An upstream's response.
    case response
}
