"""Those who watch a server, as far as it notices: a collector of traces and a log store that take everything, and
somebody who reads the metrics once a second."""

import http.server
import threading
import urllib.request

READ_EVERY_SECS = 1
# Of a hundred traces.
SAMPLED = 10


class Watchers:
    """They listen from the start; `settings` are those of a server that tells them everything."""

    def __init__(self, pushes_logs):
        self.taken = 0
        self.stopped = threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.settings = {"WEALTH__LOG__LEVEL": "info", "WEALTH__TRACES__EXPORTER": "otlp",
                         "WEALTH__TRACES__OTLP_ENDPOINT": url, "WEALTH__TRACES__SAMPLE_PERCENT": str(SAMPLED)}
        if pushes_logs:
            self.settings["WEALTH__LOG__LOKI_URL"] = url

    def handler(self):
        watchers = self

        class Taking(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                watchers.taken += len(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        return Taking

    def read(self, server):
        """Reads the metrics of this server until the watchers close."""
        def reading():
            while not self.stopped.wait(READ_EVERY_SECS):
                with urllib.request.urlopen(f"http://{server.internal}/metrics") as answer:
                    answer.read()

        reader = threading.Thread(target=reading, daemon=True)
        reader.start()
        return reader

    def close(self):
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()
        if not self.taken:
            raise SystemExit("bench: the watchers were told nothing")
