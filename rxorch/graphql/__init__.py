"""GraphQL: queries and mutations as endpoints, with the errors of an answer as errors of ours."""

from rxorch.errors import GraphQLFault
from rxorch.graphql.answers import GraphQLAnswer
from rxorch.graphql.batch import batch_endpoint
from rxorch.graphql.endpoint import graphql_endpoint

__all__ = ["GraphQLAnswer", "GraphQLFault", "batch_endpoint", "graphql_endpoint"]
