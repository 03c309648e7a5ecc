"""Python runs this at the start of every process of the replica: addresses on GitHub lead to the test's own server."""

import os
import urllib.request

_GITHUB = ("https://raw.githubusercontent.com/", "https://github.com/")
_urlopen = urllib.request.urlopen


def _urlopen_here(url, *arguments, **options):
    server = os.environ.get("COLAB_REPLICA_SERVER")
    if server and isinstance(url, str) and url.startswith(_GITHUB):
        url = f"{server}/{url.rpartition('/')[2]}"
    return _urlopen(url, *arguments, **options)


urllib.request.urlopen = _urlopen_here
