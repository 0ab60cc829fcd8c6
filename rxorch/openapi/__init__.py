"""Floor 5: endpoints out of the OpenAPI description of an API. Needs the extra ``openapi``."""

from rxorch.openapi.declaring import body, cookie, header, operation, path, query
from rxorch.openapi.endpoint_set import EndpointSet
from rxorch.openapi.objects import DescribedModel
from rxorch.openapi.reading import endpoints_from_openapi
from rxorch.openapi.security import SecurityScheme

__all__ = [
    "DescribedModel",
    "EndpointSet",
    "SecurityScheme",
    "body",
    "cookie",
    "endpoints_from_openapi",
    "header",
    "operation",
    "path",
    "query",
]
