"""payonce docs."""

import argparse
import json
import sys

from payonce.edge.documents import DOCUMENTS


def execute(arguments: argparse.Namespace) -> int:
    """Print one of the documents that the edge serves."""
    json.dump(DOCUMENTS[arguments.document](), sys.stdout, ensure_ascii=False, indent=2)
    print()
    return 0
