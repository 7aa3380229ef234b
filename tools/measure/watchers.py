"""Those who watch a server, as far as it notices: a collector of traces and a log store that take everything, and
somebody who reads the metrics once a second. Or bad ones: no collector, a log store that hangs, a reader without
patience."""

import contextlib
import http.server
import threading
import urllib.request

READ_EVERY_SECS = 0.7
READ_OFTEN_SECS = 0.1
# Nobody listens there.
NOWHERE = "http://127.0.0.1:9"
# Of a hundred traces.
SAMPLED = 10


class Watchers:
    """They listen from the start; `settings` are those of a server that tells them everything."""

    def __init__(self, takes_logs=False, is_bad=False):
        self.is_bad = is_bad
        # Requests that came.
        self.told = 0
        self.stopped = threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.settings = {"WEALTH__LOG__LEVEL": "info", "WEALTH__TRACES__EXPORTER": "otlp",
                         "WEALTH__TRACES__OTLP_ENDPOINT": NOWHERE if is_bad else url,
                         "WEALTH__TRACES__SAMPLE_PERCENT": str(SAMPLED)}
        if takes_logs or is_bad:
            self.settings["WEALTH__LOG__LOKI_URL"] = url

    def handler(self):
        watchers = self

        class Taking(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                watchers.told += 1
                if watchers.is_bad:
                    watchers.stopped.wait()
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        return Taking

    @contextlib.contextmanager
    def reading(self, server):
        """Reads the metrics of this server meanwhile."""
        through = threading.Event()

        def read():
            while not through.wait(READ_OFTEN_SECS if self.is_bad else READ_EVERY_SECS):
                with urllib.request.urlopen(f"http://{server.internal}/metrics") as answer:
                    answer.read()

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield
        finally:
            through.set()
            reader.join()

    def close(self):
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()
        if not self.told:
            raise SystemExit("bench: the watchers were told nothing")
