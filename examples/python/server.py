"""Serves every socket that the host passes, and ends in good order: nothing but the standard library."""
import os
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FIRST_FD = 3  # SD_LISTEN_FDS_START of sd_listen_fds(3)
draining = threading.Event()

try:
    with open(".deployctl-version") as file:
        version = file.read().strip()
except FileNotFoundError:
    version = "development"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An idle connection ends after this many seconds, so that draining ends as well.
    timeout = 2

    def do_GET(self):
        body = f"{version} from Python\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if draining.is_set():
            # The client opens another connection, which the new release gets.
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "client"  # A Unix socket has no address to log.

    def log_request(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close waits for requests that are being answered.

    def __init__(self, listener):
        super().__init__(("", 0), Handler, bind_and_activate=False)
        self.socket.close()
        # Two releases accept on the same socket: who comes second must not wait for the next client.
        listener.setblocking(False)
        self.socket = listener


def listeners():
    if os.environ.get("LISTEN_PID") == str(os.getpid()):
        count = int(os.environ["LISTEN_FDS"])
        return [socket.socket(fileno=FIRST_FD + n) for n in range(count)]
    return [socket.create_server(("127.0.0.1", 8080))]


servers = [Server(listener) for listener in listeners()]
threads = [threading.Thread(target=server.serve_forever, args=(0.1,)) for server in servers]


def drain(*_):
    draining.set()
    for server in servers:
        threading.Thread(target=server.shutdown).start()


signal.signal(signal.SIGTERM, drain)
for thread in threads:
    thread.start()
print(f"{version} begins", flush=True)
for thread in threads:
    thread.join()
for server in servers:
    server.server_close()
