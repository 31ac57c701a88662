import CNghttp2
import Glibc

/// The memory of nghttp2's sessions of servers that belong to one thread.
///
/// Each session needs a block for the frame that it writes, which is by far its largest block. Its content is no longer
/// needed once `nghttp2_session_mem_send` has returned the frame and the caller has copied it. So all these sessions
/// share one block. Sessions of clients can't: at first, their block holds the connection preface (RFC 9113 section 3.4).
@safe
final class SessionMemory {
    /// The size of the block: a frame's header, the length of its padding, and the largest payload. If another version of
    /// nghttp2 asks for another size, each of its sessions has its own block.
    private static let frameBytes = 9 + 1 + (16 << 10)

    private let frame = UnsafeMutableRawPointer.allocate(byteCount: frameBytes, alignment: 16)
    /// Whether a session is being made that has not yet asked for its block of `frameBytes`. Only the first such block
    /// is the shared one. If a session needs a larger block for a long head, it gets one of its own (`reallocate`).
    private var awaitsFrame = false

    deinit { unsafe frame.deallocate() }

    /// Calls `make`, which must make one session of a server with the given functions. The session may use them as long
    /// as this object exists.
    @unsafe
    func making(_ make: (UnsafeMutablePointer<nghttp2_mem>) -> Int32) -> Int32 {
        awaitsFrame = true
        defer { awaitsFrame = false }
        var functions = unsafe nghttp2_mem(
            mem_user_data: Unmanaged.passUnretained(self).toOpaque(),
            malloc: { size, user in unsafe SessionMemory.of(user).allocate(size) },
            free: { block, user in unsafe SessionMemory.of(user).free(block) },
            calloc: { count, size, _ in unsafe Glibc.calloc(count, size) },
            realloc: { block, size, user in unsafe SessionMemory.of(user).reallocate(block, size) })
        return unsafe make(&functions)
    }

    private static func of(_ user: UnsafeMutableRawPointer?) -> SessionMemory {
        // This is safe, since each connection keeps this object longer than its session.
        unsafe Unmanaged<SessionMemory>.fromOpaque(user.unsafelyUnwrapped).takeUnretainedValue()
    }

    private func allocate(_ size: Int) -> UnsafeMutableRawPointer? {
        guard awaitsFrame, size == Self.frameBytes else { return unsafe malloc(size) }
        awaitsFrame = false
        return unsafe frame
    }

    private func free(_ block: UnsafeMutableRawPointer?) {
        if unsafe block != frame { unsafe Glibc.free(block) }
    }

    private func reallocate(_ block: UnsafeMutableRawPointer?, _ size: Int) -> UnsafeMutableRawPointer? {
        guard let block = unsafe block else { return unsafe allocate(size) }
        guard unsafe block == frame else { return unsafe realloc(block, size) }
        guard let own = unsafe malloc(size) else { return nil }
        unsafe own.copyMemory(from: frame, byteCount: min(size, Self.frameBytes))
        return unsafe own
    }
}
