"""payonce docs."""

import json

import pytest

from payonce.edge.documents import DOCUMENTS
from tests.cli.conftest import Payonce


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_a_document_is_printed(payonce: Payonce, name: str) -> None:
    """The one that is served; neither configuration nor server is needed."""
    ended = payonce("docs", name, PAYONCE_CONFIG="/nowhere.toml")

    assert (0, "") == (ended.status, ended.err)
    assert json.loads(json.dumps(DOCUMENTS[name]())) == json.loads(ended.out)
