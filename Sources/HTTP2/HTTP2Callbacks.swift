import CNghttp2

/// nghttp2's table of callbacks and its options. The callbacks pass what nghttp2 reports to the connection. Both are
/// made once and never freed.
@safe
struct HTTP2Callbacks: @unchecked Sendable {
    // `@unchecked Sendable` is sound: nghttp2 only reads both after they are made.
    let callbacks: OpaquePointer?
    let options: OpaquePointer?

    static let shared = HTTP2Callbacks()

    /// Gives nghttp2 the body of the message that is sent on a stream.
    @unsafe static func provider(_ stream: HTTP2Stream) -> nghttp2_data_provider {
        // This is safe, since the connection keeps the stream until nghttp2 has closed it.
        unsafe nghttp2_data_provider(
            source: nghttp2_data_source(ptr: Unmanaged.passUnretained(stream).toOpaque()),
            read_callback: { _, _, _, length, flags, source, _ in
                let stream = unsafe Self.stream(source)
                let count = min(length, stream.body.count)
                let isLast = stream.body.isEnding && count == stream.body.count
                guard count > 0 || isLast else { return Int(NGHTTP2_ERR_DEFERRED.rawValue) }
                unsafe flags?.pointee |= NGHTTP2_DATA_FLAG_NO_COPY.rawValue
                if isLast {
                    unsafe flags?.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
                    if !stream.trailers.isEmpty {
                        unsafe flags?.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
                        stream.submitTrailers()
                    }
                }
                return count
            })
    }

    private static func stream(_ source: UnsafeMutablePointer<nghttp2_data_source>?) -> HTTP2Stream {
        // This is safe, since the connection keeps the stream until nghttp2 has closed it.
        unsafe Unmanaged<HTTP2Stream>.fromOpaque(source.unsafelyUnwrapped.pointee.ptr).takeUnretainedValue()
    }

    private init() {
        var callbacks: OpaquePointer?
        var options: OpaquePointer?
        _ = unsafe nghttp2_session_callbacks_new(&callbacks)
        _ = unsafe nghttp2_option_new(&options)
        (unsafe self.callbacks, unsafe self.options) = unsafe (callbacks, options)
        // The gateway opens a window itself when it has passed the bytes on.
        unsafe nghttp2_option_set_no_auto_window_update(options, 1)
        // Otherwise nghttp2 keeps 256 bytes for each stream that has ended.
        unsafe nghttp2_option_set_no_closed_streams(options, 1)
        unsafe nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(options, 1)
        // The connection counts resets itself (`HTTP2Limits.resets`). nghttp2's own limit is 33 in a second.
        unsafe nghttp2_option_set_stream_reset_rate_limit(options, .max, .max)
        // If a CONTINUATION frame's header arrives in parts, nghttp2 counts each part as a frame. So its usual limit is
        // too low for honest clients. `HTTP2Limits.headBytes` bounds the fields in any case.
        unsafe nghttp2_option_set_max_continuations(options, 64)
        // A client's head has at most 1 MiB, and its target may become three times as long. Upstreams' heads are smaller.
        unsafe nghttp2_option_set_max_send_header_block_length(options, 4 << 20)
        // Frames of unknown types (RFC 9113 section 4.1) are ignored. nghttp2 reports only those of types named here, and
        // the connection counts them.
        let priorityUpdate = UInt8(NGHTTP2_PRIORITY_UPDATE.rawValue)
        for type in UInt8(NGHTTP2_CONTINUATION.rawValue + 1)...UInt8.max where type != priorityUpdate {
            unsafe nghttp2_option_set_user_recv_extension_type(options, type)
        }
        // nghttp2 sends bodies in the order that clients ask for by Priority fields and these frames (RFC 9218).
        unsafe nghttp2_option_set_builtin_recv_extension_type(options, priorityUpdate)
        setReceiving()
        setSending()
    }

    private static func connection(_ user: UnsafeMutableRawPointer?) -> HTTP2Connection {
        // This is safe, since the connection deletes its session, and so outlives every callback.
        unsafe Unmanaged<HTTP2Connection>.fromOpaque(user.unsafelyUnwrapped).takeUnretainedValue()
    }

    private func setReceiving() {
        unsafe nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks) { _, header, user in
            if let header = unsafe header { unsafe Self.connection(user).beginFrame(header.pointee) }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, user in
            if let frame = unsafe frame {
                unsafe Self.connection(user).beginFields(frame.pointee.headers.cat, of: frame.pointee.hd.stream_id)
            }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks) {
            _, _, name, nameCount, value, valueCount, _, user in
            // This is safe, since nghttp2 keeps the bytes unchanged during the callback.
            let (name, value) = unsafe (
                UnsafeBufferPointer(start: name, count: nameCount), UnsafeBufferPointer(start: value, count: valueCount)
            )
            let isGood = unsafe Self.connection(user).addField(name.span, value.span)
            return isGood ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
        }
        // By default nghttp2 leaves out fields with invalid characters and passes the rest on. RFC 9113 section 8.2.1
        // calls such a request malformed.
        unsafe nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks) { _, _, _, _, _, _, _, _ in
            NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
        }
        unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
            if let frame = unsafe frame { unsafe Self.connection(user).endFrame(frame.pointee.hd) }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { _, _, stream, data, count, user in
            if let data = unsafe data { unsafe Self.connection(user).received(data, count, on: stream) }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_extension_chunk_recv_callback(callbacks) { _, _, _, _, _ in
            NGHTTP2_ERR_CANCEL.rawValue
        }
        unsafe nghttp2_session_callbacks_set_unpack_extension_callback(callbacks) { _, _, _, _ in
            NGHTTP2_ERR_CANCEL.rawValue
        }
        unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, stream, code, user in
            unsafe Self.connection(user).closed(stream, code)
            return 0
        }
    }

    private func setSending() {
        unsafe nghttp2_session_callbacks_set_send_data_callback(callbacks) { _, _, header, count, source, user in
            guard let header = unsafe header else { return 0 }
            unsafe Self.connection(user).writeData(header, count, of: Self.stream(source))
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, user in
            guard let frame = unsafe frame else { return 0 }
            switch unsafe UInt32(frame.pointee.hd.type) {
            case NGHTTP2_RST_STREAM.rawValue:
                unsafe Self.connection(user).sentReset(frame.pointee.hd.stream_id, frame.pointee.rst_stream.error_code)
            case NGHTTP2_GOAWAY.rawValue: unsafe Self.connection(user).sentGoAway(frame.pointee.goaway.error_code)
            case NGHTTP2_HEADERS.rawValue, NGHTTP2_DATA.rawValue:
                if unsafe UInt32(frame.pointee.hd.flags) & NGHTTP2_FLAG_END_STREAM.rawValue != 0 {
                    unsafe Self.connection(user).sentEnd(of: frame.pointee.hd.stream_id)
                }
            default: break
            }
            return 0
        }
    }
}
