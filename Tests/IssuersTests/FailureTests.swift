import ACME
import ConfigModel
import Foundation
import HTTPClient
import PKI
import Testing

@testable import Issuers

/// How a CA's errors are shown to operators and used by the retry schedule.
@Suite struct FailureTests {
    private static func refusal(retryAfter: Duration?) throws -> ACMEError {
        let body = #"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"}"#
        let edge = RefusingEdge(
            response: ACMEHTTPResponse(
                status: 429, retryAfter: retryAfter.map { "\($0.components.seconds)" }, body: Array(body.utf8)))
        let client = try ACMEClient(
            directory: ACMEURL("https://ca.test/directory"), key: PrivateKey.generate(.ecdsaP256), edge: edge,
            wait: { _, _ in }, now: { 1000 })
        return try #require(#expect(throws: ACMEError.self) { try client.directory() })
    }

    private struct RefusingEdge: ACMEEdge {
        let response: ACMEHTTPResponse
        func send(_ request: ACMEHTTPRequest) throws -> ACMEHTTPResponse { response }
    }

    @Test(
        "The next try follows the CA's Retry-After, but is at most a day away",
        arguments: [(7200, 8200), (86_400 * 30, 87_400), (nil, nil)] as [(Int64?, Int64?)])
    func retryAfter(_ wait: Int64?, _ notBefore: Int64?) throws {
        let error = try Self.refusal(retryAfter: wait.map { .seconds($0) })
        #expect(IssuanceFailure(error, now: 1000).notBefore == notBefore)
        #expect(IssuanceFailure(IssuanceFailure("x", notBefore: 5), now: 1000) == IssuanceFailure("x", notBefore: 5))
    }

    @Test(
        "A quoted secret is hidden in JSON with and without escaped slashes",
        arguments: [
            ("bad key can/ary!", "bad key ****!"), (#"{"sent": "Bearer can\/ary"}"#, #"{"sent": "Bearer ****"}"#),
            ("can/arycan/ary", "********"), ("can/ar", "can/ar"), ("", ""),
        ])
    func hidden(text: String, expected: String) {
        let mask = SecretMask([SecretBytes(Array("can/ary".utf8)), SecretBytes([])])
        #expect(String(decoding: mask.hiding(in: Array(text.utf8)), as: UTF8.self) == expected)
        let failure = mask.hiding(in: IssuanceFailure(text, hint: text, notBefore: 7))
        #expect(failure == IssuanceFailure(expected, hint: expected, notBefore: 7))
    }

    private static let key = #"p+4/"s\%é-Ü"#

    private static func mask() -> SecretMask { SecretMask([SecretBytes(Array(key.utf8))]) }

    @Test(
        "A quoted secret is hidden in each encoding",
        arguments: [
            (key, "****"), (#"P+4/"S\%é-Ü"#, "****"), (#"{"sent": "p+4\/\"s\\%é-Ü"}"#, #"{"sent": "****"}"#),
            (#"p\u002b4\u002F\u0022s\u005c\u0025é-Ü"#, "****"),
            ("?k=p%2B4%2F%22s%5C%25%C3%A9-%C3%9C&x=%20", "?k=****&x=%20"),
            ("p%2b4/%22s%5c%25%c3%a9-%c3%9c", "****"), ("702b342f22735c25c3a92dc39c", "****"),
            ("<702B342F22735C25C3A92DC39C>", "<****>"), ("p+4/\"s\\", "p+4/\"s\\"),
            // HTML escapes, and escapes that were encoded twice or more often.
            ("p&#43;4&#x2F;&quot;s&#x5c;&#37;é-Ü", "****"), ("p+4&#x0002f;&#34;s\\%é-Ü", "****"),
            ("p%252B4%252F%2522s%255C%2525%25C3%25A9-%25C3%259C.", "****."),
            ("p%25252B4%25252F%252522s%25255C%252525é-Ü", "****"),
            // The text ends within the secret.
            ("sent: p+4/\"s\\%", "sent: ****"), ("sent: p%2B4%2F%22s%5C%25\u{2026}", "sent: ****\u{2026}"),
            (#"{"sent": "p+4/\"s\\%é"}"#, #"{"sent": "****"}"#), ("702b342f22735c25c3", "****"),
            ("p%2B4%2F%22s%5C%25%", "****%"), ("p%2B4%2F%22s%5C%25%C", "****%C"),
            ("p&#43;4&sol;&quot;s&bsol;&percnt;&#x", "****&#x"), ("p+4/\"s\\%... (truncated)", "****... (truncated)"),
            ("p+4/\"s\\%\u{2026} and more", "****\u{2026} and more"),
            ("p+4/\"s\\%% was", "p+4/\"s\\%% was"),
            ("p+4/\"s\\% was sent", "p+4/\"s\\% was sent"), ("702b342f22735c", "702b342f22735c"),
            ("&", "&"), ("&#;&#x;&#999;&amp", "&#;&#x;&#999;&amp"), ("%25", "%25"), ("%252", "%252"),
        ])
    func encoded(text: String, expected: String) {
        #expect(String(decoding: Self.mask().hiding(in: Array(text.utf8)), as: UTF8.self) == expected)
    }

    @Test("A secret with HTML characters is hidden both raw and HTML-escaped")
    func html() {
        let mask = SecretMask([SecretBytes(Array("a&b<c>d'e&lt;%25f".utf8))])
        let texts = [
            "a&amp;b&lt;c&gt;d&apos;e&amp;lt;%25f", "a&b<c>d'e&lt;%25f", "a&#38;b&#60;c&#62;d&#39;e&#38;lt;%25f",
            "a%26b%3Cc%3Ed%27e%26lt%3B%2525f",
        ]
        for text in texts { #expect(mask.hiding(in: text) == "****", "\(text)") }
    }

    @Test("The decoded bytes of a base64 key are hidden too", arguments: ["", "=", " \n"])
    func decoded(after end: String) {
        let bytes = Array("k\u{1}".utf8) + [0x00, 0xE9, 0xC3, 0xA9, 0x7F, 0xFF, 0xAD] + Array("ey!/\\".utf8)
        let text = Data(bytes).base64EncodedString()
        let mask = SecretMask([SecretBytes(Array((end == "=" ? text : text.replacing("=", with: "") + end).utf8))])
        let latin1 = String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
        let json = String(decoding: (try? JSONEncoder().encode([latin1])) ?? Data(), as: UTF8.self)
        let escaped = latin1.unicodeScalars.map { "\\u00" + String($0.value + 0x100, radix: 16).suffix(2) }.joined()
        let texts = [
            bytes.map { String(Int($0) + 0x100, radix: 16).suffix(2) }.joined(), text, text.replacing("=", with: ""),
            bytes.map { "%" + String(Int($0) + 0x100, radix: 16).suffix(2) }.joined(), latin1,
            latin1.oneLine(limit: 99), json, escaped, String(decoding: bytes, as: UTF8.self).oneLine(limit: 99),
        ]
        for text in texts {
            // The padding of base64 reveals nothing.
            let hidden = mask.hiding(in: "<\(text)>").replacing("=", with: "")
            #expect(hidden == "<****>" || hidden == #"<["****"]>"#, "\(text): \(hidden)")
        }
        let raw = mask.hiding(in: [0x3C] + bytes + [0x3E])
        #expect(raw == Array("<****>".utf8))
    }

    @Test("A secret inside base64 text is hidden in both alphabets, at any offset", arguments: 0..<6)
    func base64(offset: Int) {
        for end in 0..<4 {
            let whole = Array("user:x".utf8.suffix(offset)) + Array(Self.key.utf8) + Array("after".utf8.prefix(end))
            let plain = Data(whole).base64EncodedString()
            let url = plain.replacing("+", with: "-").replacing("/", with: "_")
            let texts = [
                plain, url, url.replacing("=", with: ""), plain.replacing("/", with: #"\/"#),
                plain.replacing("+", with: "%2B"),
            ]
            for text in texts {
                let hidden = String(decoding: Self.mask().hiding(in: Array(">\(text)<".utf8)), as: UTF8.self)
                // The text before and after the secret may still be readable, but only the digits that encode it.
                #expect(hidden.contains("****") && hidden.hasPrefix(">") && hidden.hasSuffix("<"), "\(text): \(hidden)")
                #expect(hidden.count - 6 <= (offset * 4 + 2) / 3 + (end * 4 + 2) / 3 + 3, "\(text): \(hidden)")
            }
        }
    }

    /// The text with all UTF-16 code units escaped as JSON does.
    private static func jsonEscaped(_ text: String, uppercase: Bool = false) -> String {
        text.utf16.map { unit in
            let digits = String(unit, radix: 16, uppercase: uppercase)
            return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }.joined()
    }

    @Test(
        "A secret with any characters is hidden in its JSON and HTML escapes",
        arguments: ["Ж€y-秘密-😀-ключ", "é\u{2028}n\u{FEFF}😀"])
    func escapedUnicode(_ secret: String) {
        let mask = SecretMask([SecretBytes(Array(secret.utf8))])
        let partly = secret.unicodeScalars.map { $0.value > 0xFFF ? Self.jsonEscaped(String($0)) : String($0) }.joined()
        let html = secret.unicodeScalars.map { "&#\($0.value);" }.joined()
        let hexHTML = secret.unicodeScalars.map { "&#x\(String($0.value, radix: 16));" }.joined()
        for text in [
            secret, Self.jsonEscaped(secret), Self.jsonEscaped(secret, uppercase: true), partly, html, hexHTML,
        ] {
            #expect(mask.hiding(in: "<\(text)> \\u20 \\ud83d \\udc00x") == "<****> \\u20 \\ud83d \\udc00x", "\(text)")
        }
        // The text ends within the secret.
        let cut = Self.jsonEscaped(secret).prefix(6 * 7 + 3)
        #expect(mask.hiding(in: String(cut)).hasPrefix("****"), "\(cut)")
    }

    @Test("A secret in base64 is hidden even if each character is escaped", arguments: 0..<3)
    func escapedBase64(offset: Int) {
        let whole = Array("user:x".utf8.suffix(offset)) + Array(Self.key.utf8) + Array("\u{7F}".utf8)
        let plain = Data(whole).base64EncodedString()
        for text in [plain, plain.replacing("+", with: "-").replacing("/", with: "_")] {
            for escaped in [Self.jsonEscaped(text), text.utf8.map { "%" + String($0, radix: 16) }.joined()] {
                let hidden = Self.mask().hiding(in: "<\(escaped)>")
                #expect(hidden.hasPrefix("<") && hidden.hasSuffix(">") && hidden.contains("****"), "\(hidden)")
                // No part of an escape is left. Of the characters, at most those without bits of the secret are left.
                let units = hidden.dropFirst().dropLast().replacing("****", with: "")
                let size = escaped.hasPrefix("%") ? 3 : 6
                #expect(units.count % size == 0 && units.count / size <= (offset > 0 ? 1 : 0) + 4, "\(hidden)")
            }
        }
    }

    /// A text as a JSON string without its quotation marks. Some programs escape slashes too.
    private static func quoted(_ text: String, slashes: Bool, unicode: Bool) throws -> String {
        let formatting: JSONEncoder.OutputFormatting = slashes ? [] : .withoutEscapingSlashes
        let encoder = JSONEncoder()
        encoder.outputFormatting = formatting
        let json = String(decoding: try encoder.encode(text), as: UTF8.self).dropFirst().dropLast()
        return json.unicodeScalars.map { unicode && $0.value > 0x7E ? jsonEscaped(String($0)) : String($0) }.joined()
    }

    @Test("A secret is hidden in JSON that JSON quotes, up to three times", arguments: 1..<4)
    func nestedJSON(times: Int) throws {
        let base64 = Data(Array("user:".utf8) + Array(Self.key.utf8) + Array("???>>>".utf8)).base64EncodedString()
        for (slashes, unicode) in [(true, true), (true, false), (false, true), (false, false)] {
            for secret in [Self.key, "a/b\\c\"d\n\t秘密-😀/", "////++++////", base64, "\\\\\\\\\\\\/\\"] {
                let mask = SecretMask([SecretBytes(Array(secret.utf8))])
                let forms = [secret, Data(secret.utf8).base64EncodedString(), Self.jsonEscaped(secret)]
                for form in forms {
                    let text = try (0..<times - (form == forms[2] ? 1 : 0)).reduce("<\(form)>") { text, _ in
                        try Self.quoted(text, slashes: slashes, unicode: unicode)
                    }
                    #expect(mask.hiding(in: text).replacing("=", with: "") == "<****>", "\(text)")
                    // The text ends within the secret.
                    let start = try #require(text.firstIndex(of: "<"))
                    let cut = text[start...].prefix(max(text.count * 3 / 4, 11 * 4))
                    guard form == secret, secret.utf8.count > 20 else { continue }
                    #expect(mask.hiding(in: String(cut)).hasPrefix("<****"), "\(cut)")
                }
            }
            let text = try (0..<times).reduce("<\(base64)>") { text, _ in
                try Self.quoted(text, slashes: slashes, unicode: unicode)
            }
            let hidden = Self.mask().hiding(in: text)
            #expect(hidden.contains("****") && hidden.hasPrefix("<") && hidden.hasSuffix(">"), "\(text): \(hidden)")
            #expect(hidden.count <= 6 + 4 + 8 + 4 * (times + 1), "\(text): \(hidden)")
        }
    }

    @Test("Short secrets are hidden only literally, and texts without secrets stay unchanged")
    func short() {
        let mask = SecretMask([SecretBytes(Array("abc".utf8))])
        let text = "abc YWJj 616263 %61bc %"
        #expect(String(decoding: mask.hiding(in: Array(text.utf8)), as: UTF8.self) == "**** YWJj 616263 **** %")
        for text in [
            "", "%", "%4", "\\", "\\u00", "\\u004", "\\\\\\", "\\\\u00", "+", "é",
            String(repeating: "p+4/", count: 1000),
        ] {
            #expect(Self.mask().hiding(in: Array(text.utf8)) == Array(text.utf8))
        }
    }

    @Test(
        "A secret of a few letters is hidden as a word, and not in other words",
        arguments: [
            (
                "a", "no CA certificates: 'a' and \"a\", a=a,Bearer a",
                "no CA certificates: '****' and \"****\", ****=****,Bearer ****"
            ),
            ("cat", "certificates of the cat", "certificates of the ****"),
            ("a", "a", "****"), ("1", "HTTP 401, 1 try, v1, -1-", "HTTP 401, **** try, v1, -****-"),
            ("cert", "certificates", "****ificates"),
        ])
    func shortWords(_ secret: String, _ text: String, _ hidden: String) {
        #expect(SecretMask([SecretBytes(Array(secret.utf8))]).hiding(in: text) == hidden)
    }

    @Test("An issuer's mask knows all secrets that the issuer refers to")
    func issuer() throws {
        let record = """
            {"type":"acme","directory":"https://ca.test/dir","challenge":"dns-01",
            "eab":{"kid":"k","hmac_key":"canary-one"},
            "dns":{"provider":"webhook","url":"https://dns.test/","token":"canary-two"}}
            """
        let settings = try #require(Issuer(record: Array(record.utf8))).settings
        let mask = SecretMask(settings, SecretReader(directory: "."))
        #expect(mask.hiding(in: IssuanceFailure("canary-one, canary-two")).reason == "****, ****")
    }
}
