/// The size of a head, counted field by field against the limits.
struct HeadSize {
    private let maximumBytes: Int
    private let maximumFields: Int
    private var bytes = 0
    private var fields = 0

    init(limits: HTTP2Limits) { (maximumBytes, maximumFields) = (limits.headBytes, limits.fields) }

    var isTooLarge: Bool { bytes > maximumBytes || fields > maximumFields }

    mutating func add(name: Span<UInt8>, value: Span<UInt8>) {
        fields += 1
        // In HTTP/1.1 a line has a colon, a space and a line end too.
        bytes += name.count + value.count + 4
    }

    mutating func clear() { (bytes, fields) = (0, 0) }
}
