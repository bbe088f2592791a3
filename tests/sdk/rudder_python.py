"""rudder_python.py URL WRITE_KEY CALLS.json"""

import sys

import rudderstack.analytics as analytics
from calls import send

analytics.dataPlaneUrl, analytics.write_key = sys.argv[1:3]
send(analytics, sys.argv[3])
