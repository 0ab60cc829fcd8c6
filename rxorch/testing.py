"""For tests of code that calls APIs: a transport without a network.

>>> from rxorch.testing import MockTransport
>>> MockTransport({"GET https://api.example.com/users/{id}": {"name": "Ada"}})
<MockTransport, 0 calls>
"""

from rxorch.http.mock_transport import MockRequest, MockTransport

__all__ = ["MockRequest", "MockTransport"]
