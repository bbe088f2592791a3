"""A mail server on loopback that prints each mail it takes as a line of JSON; the first line is its port."""

import email
import json
import sys
from email import policy

from aiosmtpd.controller import Controller


class Printing:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=policy.default)
        text = mail.get_body(("plain",)).get_content()
        print(json.dumps({"from": envelope.mail_from, "to": envelope.rcpt_tos, "subject": mail["subject"], "text": text}), flush=True)
        return "250 taken"


class Anywhere(Controller):
    """Listens on whatever port is free."""

    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


controller = Anywhere(Printing(), hostname="127.0.0.1", port=0)
controller.start()
print(json.dumps({"port": controller.port}), flush=True)
# It ends with whoever started it.
sys.stdin.read()
