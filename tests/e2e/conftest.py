"""With `QUORATE_TEST_TLS=1`, what the programs of these tests are told about TLS and tokens.

See `tests.support.tls`: clusters of real processes are locked then, and whoever talks to them (the
SDK, the command line, in this process or another) finds its certificate and token as users' do.
"""

from __future__ import annotations

import os

from tests.support import tls

if tls.ON:
    os.environ.update(tls.client_environment())
    os.environ["QUORATE_UP_TLS"] = "1"
