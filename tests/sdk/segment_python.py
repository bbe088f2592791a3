"""segment_python.py URL WRITE_KEY CALLS.json"""

import sys

import segment.analytics as analytics
from calls import send

analytics.host, analytics.write_key = sys.argv[1:3]
send(analytics, sys.argv[3])
