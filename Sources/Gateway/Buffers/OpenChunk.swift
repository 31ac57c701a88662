/// A chunk (RFC 9112 section 7.1) that is put together at the end of a scratch memory. What one read has brought of a body
/// goes on as one, however small its pieces were.
struct OpenChunk {
    /// Where its size stands; nil as long as there is no piece.
    private var sizeAt: Int?
    /// Where its data begins.
    private var dataAt = 0
    /// The size as it was written.
    private var size = 0

    /// Adds a piece, which is not empty.
    mutating func append(_ piece: Bytes, to scratch: borrowing Scratch) {
        if sizeAt == nil {
            // Most often there is no other piece.
            (sizeAt, size) = (scratch.count, piece.count)
            scratch.append(hex: UInt64(size))
            scratch.append("\r\n")
            dataAt = scratch.count
        }
        scratch.append(piece)
    }

    /// Ends the chunk, if there is one.
    mutating func close(in scratch: borrowing Scratch) {
        guard let sizeAt else { return }
        let size = scratch.count - dataAt
        if size != self.size { scratch.replace(sizeAt..<dataAt - 2, withHex: UInt64(size)) }
        scratch.append("\r\n")
        self.sizeAt = nil
    }
}
