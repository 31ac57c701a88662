"""A server of gRPC for tests, and a client's channel to it through the gateway."""

import concurrent.futures
import threading

import grpc

from tls_server import make_certificate

MIB = 1 << 20


class Service(grpc.GenericRpcHandler):
    """Methods whose messages are bytes."""

    def __init__(self):
        self.cancelled, self.ended = threading.Event(), threading.Event()
        self.deadlines, self.metadata, self.peers = [], [], set()

    def service(self, call):
        self.metadata.append(dict(call.invocation_metadata))
        method = call.method.rsplit("/", 1)[1]
        kinds = {
            "Echo": grpc.unary_unary_rpc_method_handler(self.echo),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "Hang": grpc.unary_unary_rpc_method_handler(self.hang),
            "Count": grpc.unary_stream_rpc_method_handler(self.count),
            "Sum": grpc.stream_unary_rpc_method_handler(self.sum),
            "Talk": grpc.stream_stream_rpc_method_handler(self.talk)}
        return kinds.get(method)

    def echo(self, message, context):
        self.peers.add(context.peer())
        context.set_trailing_metadata((("x-length", str(len(message))),))
        return message

    def fail(self, message, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today: ä")

    def hang(self, message, context):
        self.deadlines.append(context.time_remaining())
        context.add_callback(self.cancelled.set)
        self.ended.wait(30)
        return b""

    def count(self, message, context):
        for number in range(int(message)):
            yield b"%d" % number

    def sum(self, messages, context):
        return b"%d" % sum(len(message) for message in messages)

    def talk(self, messages, context):
        yield b"hello"
        for message in messages:
            yield message.upper()


class Health(grpc.GenericRpcHandler):
    """grpc.health.v1, for the service that is named `shop`."""

    def __init__(self):
        self.serving, self.asked = True, []

    def service(self, call):
        if call.method == "/grpc.health.v1.Health/Check":
            return grpc.unary_unary_rpc_method_handler(self.check)
        return None

    def check(self, message, context):
        self.asked.append(message)
        if message != b"\x0a\x04shop":
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return b"\x08\x01" if self.serving else b"\x08\x02"


class Server:
    def __init__(self, folder=None):
        self.service, self.health = Service(), Health()
        self.server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(100), handlers=(self.health, self.service),
            options=[("grpc.max_receive_message_length", 8 * MIB), ("grpc.so_reuseport", 0)])
        if folder:
            self.ca, key = make_certificate(folder)
            credentials = grpc.ssl_server_credentials([(key.read_bytes(), self.ca.read_bytes())])
            self.url = f"https://127.0.0.1:{self.server.add_secure_port('127.0.0.1:0', credentials)}"
        else:
            self.url = f"h2c://127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def stop(self):
        self.service.ended.set()
        self.server.stop(0).wait()


def channel(gateway, host="app.test"):
    credentials = grpc.ssl_channel_credentials(gateway.root.read_bytes())
    return grpc.secure_channel(f"127.0.0.1:{gateway.https}", credentials, options=[
        ("grpc.ssl_target_name_override", host), ("grpc.default_authority", host),
        ("grpc.max_receive_message_length", 8 * MIB), ("grpc.use_local_subchannel_pool", 1)])
