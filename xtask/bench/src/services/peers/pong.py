"""The article's ping, with address and port as arguments. Usage: pong.py IP PORT"""

import socket
import sys
from http.server import HTTPServer, BaseHTTPRequestHandler


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(bytes('Pong from %s\n' % socket.gethostname(), 'utf8'))


HTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
