"""The calls as both SDKs for Python take them."""

import json
import sys
from datetime import datetime

NAMES = {"userId": "user_id", "anonymousId": "anonymous_id", "groupId": "group_id", "previousId": "previous_id"}


def send(analytics, file):
    """Makes the calls of the file, waits for the last answer, and ends the process with 1 if any was given up."""
    failed = []
    analytics.on_error = lambda error, items: failed.append(error)
    with open(file, encoding="utf-8") as text:
        calls = json.load(text)
    for call in calls:
        method = getattr(analytics, call.pop("type"))
        call["timestamp"] = datetime.fromisoformat(call["timestamp"].replace("Z", "+00:00"))
        method(**{NAMES.get(name, name): value for name, value in call.items()})
    analytics.shutdown()
    for error in failed:
        print(error, file=sys.stderr)
    sys.exit(1 if failed else 0)
