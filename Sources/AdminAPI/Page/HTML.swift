/// A piece of HTML. What a literal interpolates is escaped, unless it is a piece of HTML itself.
struct HTML: Sendable, ExpressibleByStringInterpolation {
    private(set) var text: String

    init(stringLiteral text: String) { self.text = text }

    init(stringInterpolation: StringInterpolation) { text = stringInterpolation.text }

    /// This piece with places in its text where a browser may break a long word: after each dot or slash, and after each
    /// `mostUnbroken` characters without such a place. So a table is never wider than the screen, and its short words
    /// stay whole.
    var withBreaks: HTML {
        var result = self
        result.text = ""
        var (isTag, isEntity, unbroken) = (false, false, 0)
        for character in text {
            if !isTag, !isEntity, unbroken == Self.mostUnbroken, character != " " {
                result.text += "<wbr>"
                unbroken = 0
            }
            result.text.append(character)
            switch character {
            case "<": isTag = true
            case ">": isTag = false
            case _ where isTag: break
            case "&": isEntity = true
            case ";" where isEntity: (isEntity, unbroken) = (false, unbroken + 1)
            case _ where isEntity: break
            case _ where character.isWhitespace || character == "-": unbroken = 0
            case ".", "/":
                result.text += "<wbr>"
                unbroken = 0
            default: unbroken += 1
            }
        }
        return result
    }

    /// Six columns of so many characters fit on a screen of 80 rem.
    private static let mostUnbroken = 20

    struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var text = ""

        init(literalCapacity: Int, interpolationCount: Int) { text.reserveCapacity(literalCapacity * 2) }

        mutating func appendLiteral(_ literal: String) { text += literal }

        /// Disfavored, so that a literal is HTML: `condition ? "<p>" : "<b>"` would else be text, and be escaped.
        @_disfavoredOverload
        mutating func appendInterpolation(_ value: String) {
            for scalar in value.unicodeScalars {
                switch scalar {
                case "&": text += "&amp;"
                case "<": text += "&lt;"
                case ">": text += "&gt;"
                case "\"": text += "&quot;"
                case "'": text += "&#39;"
                default: text.unicodeScalars.append(scalar)
                }
            }
        }

        mutating func appendInterpolation(_ value: some BinaryInteger) { text += "\(value)" }

        mutating func appendInterpolation(_ piece: HTML?) { text += piece?.text ?? "" }

        mutating func appendInterpolation(_ pieces: [HTML]) { for piece in pieces { text += piece.text } }
    }
}
