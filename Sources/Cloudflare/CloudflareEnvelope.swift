import PKI
import Remote

struct CloudflareEnvelope<Result: Decodable>: Decodable {
    struct Info: Decodable {
        @IfReadable var totalPages: CloudflareNumber?

        enum CodingKeys: String, CodingKey {
            case totalPages = "total_pages"
        }
    }

    let result: Result?
    @IfReadable var resultInfo: Info?

    init(result: Result?, resultInfo: Info?) {
        self.result = result
        self.resultInfo = resultInfo
    }

    enum CodingKeys: String, CodingKey {
        case result
        case resultInfo = "result_info"
    }
}

/// The result of a DELETE call. Its members are not needed.
struct Removed: Decodable {}

/// The envelope's members that tell whether a call succeeded. They are read apart from the result, which may have any
/// form when a call fails.
struct CloudflareVerdict: Decodable {
    @IfReadable var success: Bool?
    @IfReadable var errors: ReadableList<Complaint>?

    struct Complaint: Decodable {
        struct Source: Decodable {
            @IfReadable var pointer: String?
        }

        @IfReadable var code: CloudflareNumber?
        @IfReadable var message: String?
        @IfReadable var documentation: String?
        @IfReadable var source: Source?
        /// The causes of the error. Only older parts of the API send this member.
        @IfReadable var chain: ReadableList<Link>?

        enum CodingKeys: String, CodingKey {
            case code, message, source
            case documentation = "documentation_url"
            case chain = "error_chain"
        }
    }

    struct Link: Decodable {
        @IfReadable var code: CloudflareNumber?
        @IfReadable var message: String?
    }

    /// The maximum number of errors that are reported.
    private static let maximumComplaints = 10

    var complaints: [CloudflareRefusal.Complaint] {
        (errors?.elements ?? []).prefix(Self.maximumComplaints).map { error in
            let causes = (error.chain?.elements ?? []).prefix(Self.maximumComplaints).map { link in
                ": \((link.message ?? "").oneLine(limit: 500))\(link.code.map { " (code \($0.value))" } ?? "")"
            }
            let place = error.source?.pointer.map { ", at \($0.oneLine(limit: 200))" } ?? ""
            let more = error.documentation.map { ", see \($0.oneLine(limit: 300))" } ?? ""
            return CloudflareRefusal.Complaint(
                code: error.code?.value ?? 0,
                message: (error.message ?? "").oneLine(limit: 1000) + causes.joined() + place + more)
        }
    }
}
