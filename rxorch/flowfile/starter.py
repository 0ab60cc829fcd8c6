"""``starter``: a flow to begin with, as YAML or Python."""

from __future__ import annotations

from typing import Final, Literal

__all__ = ["starter"]

_YAML: Final = """\
# A flow for rxorch. Try it:
#   rxorch check flow.yaml                        what it is, and what one input can cost at worst
#   rxorch draw flow.yaml                         a picture of it
#   rxorch run flow.yaml -d '{"id": 7}'           one input
#   rxorch run flow.yaml -i in.jsonl -o out.jsonl --max-concurrent 50 --ledger run.sqlite
#
# ${NAME} is a variable of the environment, ${NAME:-text} one with a default, ${file:path} what a file has.
# {id} in urls, headers and params is filled from the input, {user.name} from an earlier result.

mode: hybrid                      # sequential, parallel, fanout, pipeline, conditional or hybrid
base_url: ${API_URL:-https://api.example.com}
rate: 100/s                       # of all endpoints together
max_concurrent: 10                # calls of one input at once
total_timeout: 60                 # seconds for one input

defaults:                         # what holds for each endpoint that does not say otherwise
  timeout: 10
  retry: {max_attempts: 4, base: 0.2, max_elapsed: 30}
  # auth: {bearer: "${API_TOKEN}"}

endpoints:
  - name: user
    url: /users/{id}

  - name: orders
    url: /users/{id}/orders
    params: {status: open, limit: 20}
    depends_on: [user]
    condition: user.active        # JMESPath over the input and the results that it depends on
    response_key: items           # what is taken from the answer
    error_handler: []             # what stands in where it fails

  - name: reward
    url: /rewards
    method: POST
    depends_on: [user, orders]
    condition: length(orders || `[]`) > `2`
    transform_input: "{user_id: user.id, orders: length(orders)}"   # becomes the body

# What a run gives: by default all results by name.
# result_merger: "{user: [0], orders: [1]}"
"""

_PYTHON: Final = '''\
"""A flow for rxorch. Try it:

rxorch check flow.py                       what it is, and what one input can cost at worst
rxorch draw flow.py                        a picture of it
rxorch run flow.py -d '{"id": 7}'          one input
rxorch run flow.py -i in.jsonl -o out.jsonl --max-concurrent 50 --ledger run.sqlite
"""

import os

from rxorch import APIEndpoint, APIOrchestrationConfig, OrchestrationMode

API = os.environ.get("API_URL", "https://api.example.com")

flow = APIOrchestrationConfig(
    mode=OrchestrationMode.HYBRID,
    global_rate_limit=100,
    rate_limit_window=1.0,
    total_timeout=60.0,
    endpoints=[
        APIEndpoint(name="user", url=f"{API}/users/{{id}}", timeout=10.0),
        APIEndpoint(
            name="orders",
            url=f"{API}/users/{{id}}/orders",
            params={"status": "open", "limit": 20},
            depends_on=["user"],
            condition=lambda data: data["user"]["active"],
            response_key="items",
            error_handler=lambda error: [],
            timeout=10.0,
        ),
        APIEndpoint(
            name="reward",
            url=f"{API}/rewards",
            method="POST",
            depends_on=["user", "orders"],
            condition=lambda data: len(data["orders"] or ()) > 2,
            transform_input=lambda data: {"user_id": data["user"]["id"], "orders": len(data["orders"])},
            timeout=10.0,
        ),
    ],
)
'''


def starter(kind: Literal["yaml", "python"] = "yaml") -> str:
    """A commented flow to begin with.

    Args:
        kind: As a flow file, or as Python.

    >>> starter().splitlines()[0]
    '# A flow for rxorch. Try it:'
    """
    return _PYTHON if kind == "python" else _YAML
