"""A data controller that speaks OpenDSR: makes a certificate, takes callbacks and says whether their signature is right."""

import base64
import datetime
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID


def make_certificate(folder):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cdp.shop.example")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("cdp.shop.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))


def is_right(certificate, signature, body):
    try:
        key = x509.load_pem_x509_certificate(certificate).public_key()
        key.verify(base64.b64decode(signature or ""), body, padding.PKCS1v15(), hashes.SHA256())
        return True
    except InvalidSignature:
        return False


folder = Path(sys.argv[1])
make_certificate(folder)


class Callbacks(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        right = is_right((folder / "certificate.pem").read_bytes(), self.headers["x-opendsr-signature"], body)
        told = {"right": right, "domain": self.headers["x-opendsr-processor-domain"], "body": json.loads(body)}
        self.send_response(202)
        self.end_headers()
        print(json.dumps(told), flush=True)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Callbacks)
print(json.dumps({"port": server.server_port}), flush=True)
server.serve_forever()
