import ACME
import Foundation
import FuzzDriver
import PKI

// Reads any bytes as a CA's message. Each is parsed or refused. A parsed message contains only https URLs, has no line
// breaks in its texts, and obeys all limits.

let base = try ACMEURL("https://ca.test:14000/acme/order/1?a=b")

func take(_ bytes: [UInt8]) {
    if let directory = try? ACMEDirectory(bytes, from: base) {
        [directory.newNonce, directory.newAccount, directory.newOrder].forEach(check)
        [directory.revokeCert, directory.keyChange, directory.renewalInfo].compactMap(\.self).forEach(check)
        check([directory.termsOfService ?? ""] + directory.caaIdentities + directory.oddities)
    }
    if let order = try? ACMEOrder(bytes, url: base, from: base, retryAfter: nil) {
        (order.authorizations + [order.finalize, order.certificate].compactMap(\.self)).forEach(check)
        precondition(order.authorizations.count <= 1000)
        precondition(order.completed(by: nil) == order && order.completed(by: order) == order)
        check([order.error?.description ?? ""])
        var machine = OrderMachine(answering: .http01)
        for now: Int64 in [0, 300, 600] { _ = machine.next(order: order, authorizations: [], now: now) }
    }
    if let authorization = try? ACMEAuthorization(bytes, url: base, retryAfter: nil) {
        for challenge in authorization.challenges {
            check(challenge.url)
            precondition(1...256 ~= challenge.token.utf8.count && Base64URL.isText(challenge.token.utf8))
            check([challenge.error?.description ?? ""])
        }
        check(authorization.offeredTypes + authorization.faults.values)
    }
    if let advice = try? ACMERenewalInfo(bytes, retryAfter: nil) {
        precondition(advice.start < advice.end && advice.start..<advice.end ~= advice.instant())
    }
    check([ACMEProblem(of: ACMEHTTPResponse(status: 400, body: bytes)).description])
    references(in: String(decoding: bytes, as: UTF8.self))
}

/// Reads the same bytes as a Link field and as a reference.
func references(in text: String) {
    let links = WebLink.links(of: text)
    precondition(links.count <= 100)
    for link in links { precondition(!link.relations.isEmpty && !link.target.contains(">")) }
    for reference in links.map(\.target) + [text] {
        guard let url = try? ACMEURL(reference, from: base, of: "URL") else { continue }
        check(url)
        precondition((try? ACMEURL(url.text, from: base, of: "URL")) == url, "a URL stands for itself")
    }
}

func check(_ url: ACMEURL) {
    precondition(url.text.prefix(8).lowercased() == "https://" && url.text.utf8.count <= 2048)
    precondition(url.text.utf8.allSatisfy { 0x21...0x7E ~= $0 })
}

func check(_ texts: [String]) {
    for text in texts { precondition(text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }) }
}

exit(fuzz(take))
