import ConfigModel
import Gateway

/// Why a request was not carried out: an answer of type `application/problem+json` (RFC 9457).
struct Problem: Error {
    /// The kinds of problems. Programs tell them apart by the last part of `type`, which never changes.
    enum Kind: String, CaseIterable {
        /// No resource has this path.
        case notFound = "not-found"
        case methodNotAllowed = "method-not-allowed"
        /// The path is not in its normal form.
        case badPath = "bad-path"
        /// A part of the request is invalid; `errors` says which.
        case invalid
        /// The file declares the item.
        case ownedByFile = "owned-by-file"
        /// Another item has the name.
        case nameTaken = "name-taken"
        /// Other items use the item.
        case inUse = "in-use"
        /// The item's present state does not allow the change.
        case notPossible = "not-possible"
        /// The item is no longer as `If-Match` says.
        case stale
        /// The route does not accept the body's media type.
        case unsupportedType = "unsupported-type"
        /// Another request had the same `Idempotency-Key`.
        case keyReused = "key-reused"
        /// An apply, or another change, takes too long.
        case locked
        /// There is no token, or it is not valid.
        case unauthorized
        /// The token's scope does not allow this.
        case insufficientScope = "insufficient-scope"
        /// The configuration does not let the API change anything.
        case readOnly = "read-only"
        /// A page of another origin has sent the request.
        case foreignOrigin = "foreign-origin"
        /// Too many wrong tokens came from the client's address.
        case tooManyTries = "too-many-tries"
        /// There is no state yet, or it can't be read.
        case unavailable
        /// The gateway itself has failed.
        case `internal`

        var status: Int {
            switch self {
            case .notFound: 404
            case .methodNotAllowed: 405
            case .badPath, .invalid: 400
            case .ownedByFile, .nameTaken, .inUse, .notPossible: 409
            case .stale: 412
            case .unsupportedType: 415
            case .keyReused: 422
            case .locked: 503
            case .unauthorized: 401
            case .insufficientScope, .readOnly, .foreignOrigin: 403
            case .tooManyTries: 429
            case .unavailable: 503
            case .internal: 500
            }
        }

        var title: String {
            switch self {
            case .notFound: "There is nothing here"
            case .methodNotAllowed: "The method is not allowed here"
            case .badPath: "The path is not in its normal form"
            case .invalid: "The request is invalid"
            case .ownedByFile: "The file owns this"
            case .nameTaken: "The name is taken"
            case .inUse: "It is in use"
            case .notPossible: "This is not possible now"
            case .stale: "It has changed meanwhile"
            case .unsupportedType: "The body is of another type"
            case .keyReused: "Another request had this key"
            case .locked: "An apply is running"
            case .unauthorized: "A token is needed"
            case .insufficientScope: "The credential does not allow this"
            case .readOnly: "The API is for reading only"
            case .foreignOrigin: "The request comes from a page of another origin"
            case .tooManyTries: "Too many wrong tokens"
            case .unavailable: "The state can't be read now"
            case .internal: "The gateway has failed"
            }
        }
    }

    /// The place of a fault in a request.
    enum Place {
        /// A JSON pointer (RFC 6901) into the body.
        case pointer(String)
        /// The name of a query parameter.
        case parameter(String)
        /// A line and a column in a file, both from 1.
        case line(Int, Int)

        /// Whether the place is a member that takes a text in PEM. Faults of such a text quote nothing but its labels.
        fileprivate var takesPEM: Bool {
            if case .pointer(let pointer) = self { pointer.hasSuffix("_pem") } else { false }
        }

        fileprivate var harmless: Place {
            switch self {
            case .pointer(let pointer): .pointer(HarmlessText.pointer(pointer))
            case .parameter(let name): .parameter(HarmlessText.message(name))
            case .line: self
            }
        }
    }

    let kind: Kind
    /// What is wrong and what to do, in a sentence. Neither this nor `errors` quotes a part of the request that may be
    /// secret.
    let detail: String
    let errors: [(place: Place, detail: String)]
    /// Further header fields of the answer, such as Retry-After.
    var fields: [(name: String, value: String)] = []

    init(
        _ kind: Kind, _ detail: String, errors: [(place: Place, detail: String)] = [],
        fields: [(name: String, value: String)] = []
    ) {
        self.kind = kind
        let quotesRequest = kind == .invalid || kind == .nameTaken
        self.detail = quotesRequest ? HarmlessText.message(detail) : detail
        // A text in PEM in a wrong member can cause an error for each of its lines. `HarmlessText` would not hide the
        // last line, which may be short.
        let quotesPEM = errors.contains { HarmlessText.isPEM($0.detail) && !$0.place.takesPEM }
        self.errors = errors.map { place, detail in
            let isHidden = quotesPEM && !place.takesPEM
            let shown = isHidden ? "can't be used: a text in PEM does not belong here" : HarmlessText.message(detail)
            return (place.harmless, shown)
        }
        self.fields = fields
    }

    /// The answer to each change while the configuration allows none.
    static let readOnly = Problem(.readOnly, "gateway.admin says 'api: read'.")

    /// The most errors that an answer names.
    private static let mostErrors = 100

    static func type(_ kind: Kind) -> String { "urn:aegis:problem:\(kind.rawValue)" }

    func response(to requestID: String) -> AdminResponse {
        var members: [(String, PlainValue)] = [
            ("type", .string(Self.type(kind))), ("title", .string(kind.title)), ("status", .int(kind.status)),
            ("detail", .string(detail)), ("request_id", .string(requestID)),
        ]
        if !errors.isEmpty {
            members.append(
                (
                    "errors",
                    .list(
                        errors.prefix(Self.mostErrors).map { place, detail in
                            switch place {
                            case .pointer(let pointer):
                                .map([("pointer", .string(pointer)), ("detail", .string(detail))])
                            case .parameter(let name):
                                .map([("parameter", .string(name)), ("detail", .string(detail))])
                            case .line(let line, let column):
                                .map([("line", .int(line)), ("column", .int(column)), ("detail", .string(detail))])
                            }
                        })
                ))
        }
        return AdminResponse(
            status: kind.status,
            fields: [("Content-Type", "application/problem+json"), ("Cache-Control", "no-store")] + fields,
            body: PlainValue.map(members).json() + [UInt8(ascii: "\n")])
    }
}
