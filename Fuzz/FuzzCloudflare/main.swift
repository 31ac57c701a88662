import Cloudflare
import Foundation
import FuzzDriver
import HTTPClient
import PKI

// Reads any bytes as an answer of Cloudflare's API. It is parsed, or refused in one line. Identifiers must be usable in
// paths, and a search must end.

let request = try CertificateRequest(key: .generate(.ecdsaP256), names: [SubjectName("a.test")])

/// A client that gets these bytes as each answer, and an empty page at the end of a list.
func client(_ bytes: [UInt8], status: Int) -> CloudflareClient {
    CloudflareClient(
        baseURL: "https://api.test", credential: .bearer(SecretBytes(Array("token".utf8))),
        transport: { (request) throws(HTTPFailure) in
            let isLate = request.url.contains("page=") && !request.url.contains("page=1&")
            return HTTPResponse(status: status, body: isLate ? Array(#"{"result":[]}"#.utf8) : bytes)
        }, wait: { _, _ in }, now: { 1_800_000_000 })
}

func take(_ bytes: [UInt8]) {
    for status in [200, 400] {
        let client = client(bytes, status: status)
        told { () throws(CloudflareError) in check(try client.certificate("12").id) }
        told { () throws(CloudflareError) in
            let search = try client.certificate(for: request, named: ["a.test"], inZone: "abc")
            if let found = search.found { check(found.id) }
        }
        told { () throws(CloudflareError) in check(try client.pack("p", inZone: "abc")) }
        told { () throws(CloudflareError) in
            let (packs, oddities) = try client.packs(inZone: "abc")
            packs.forEach(check)
            precondition(oddities.count <= 10)
            oddities.forEach(isLine)
        }
        told { () throws(CloudflareError) in try client.revoke("12") }
    }
}

func told(_ work: () throws(CloudflareError) -> Void) {
    do throws(CloudflareError) {
        try work()
    } catch {
        isLine(error.description)
    }
}

func check(_ pack: CertificatePack) {
    check(pack.id)
    ([pack.status] + pack.validation + pack.problems).forEach(isLine)
    precondition(pack.validation.count <= 100 && pack.problems.count <= 100)
}

func check(_ id: String) {
    precondition(1...100 ~= id.utf8.count && id.utf8.allSatisfy { isalnum(Int32($0)) != 0 || $0 == UInt8(ascii: "-") })
}

func isLine(_ text: String) {
    precondition(text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F })
}

exit(fuzz(take))
