/// The status codes of gRPC calls (https://grpc.github.io/grpc/core/md_doc_statuscodes.html), from 0 (OK) to 16.
enum CallStatus {
    static let names = [
        "ok", "cancelled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists",
        "permission_denied", "resource_exhausted", "failed_precondition", "aborted", "out_of_range", "unimplemented",
        "internal", "unavailable", "data_loss", "unauthenticated",
    ]

    /// Stands for a status that is not known.
    static let unknown = UInt8.max

    /// The code for an answer that the gateway gives itself, by the status that another client would get.
    static func code(for status: Int) -> UInt8 {
        switch status {
        case 400, 408, 414, 417, 431: 13
        case 401: 16
        case 403: 7
        case 404, 405, 501: 12
        case 413: 8
        case 429, 502, 503: 14
        case 504: 4
        default: 2
        }
    }

    /// Reads the value of a Grpc-Status field. Nil if it is no code.
    static func code(_ value: Bytes) -> UInt8? {
        guard let number = value.number, number < UInt64(names.count) else { return nil }
        return UInt8(number)
    }
}
