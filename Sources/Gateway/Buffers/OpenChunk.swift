/// A chunk of a chunked body (RFC 9112 section 7.1), written at the end of a scratch memory. All body bytes from one
/// read become one chunk, even if they came in small pieces.
struct OpenChunk {
    /// The offset of the size line; nil while the chunk is empty.
    private var sizeAt: Int?
    private var dataAt = 0
    /// The number that the size line states. If `append` has added more pieces since, `close` corrects the number.
    private var size = 0

    /// The piece must not be empty, since a chunk of size 0 would end the body.
    mutating func append(_ piece: Bytes, to scratch: borrowing Scratch) {
        if sizeAt == nil {
            // Usually there is only one piece, so the chunk's size is first written as the size of this piece. `close`
            // corrects the size if more pieces follow.
            (sizeAt, size) = (scratch.count, piece.count)
            scratch.append(hex: UInt64(size))
            scratch.append("\r\n")
            dataAt = scratch.count
        }
        scratch.append(piece)
    }

    /// Ends the chunk; does nothing if the chunk is empty.
    mutating func close(in scratch: borrowing Scratch) {
        guard let sizeAt else { return }
        let size = scratch.count - dataAt
        if size != self.size { scratch.replace(sizeAt..<dataAt - 2, withHex: UInt64(size)) }
        scratch.append("\r\n")
        self.sizeAt = nil
    }
}
