"""Inputs from message brokers: Redis Streams, NATS JetStream, AMQP. Delivered at least once.

Each needs the client of its broker, which is loaded when it is used: extras `redis`, `nats` and `amqp`.
"""

from rxorch.brokers.acknowledged import acknowledged
from rxorch.brokers.amqp import amqp_queue
from rxorch.brokers.broker_stream import BrokerStream
from rxorch.brokers.message import BadMessage, Message
from rxorch.brokers.nats_jetstream import nats_stream
from rxorch.brokers.redis_streams import redis_stream

__all__ = [
    "BadMessage",
    "BrokerStream",
    "Message",
    "acknowledged",
    "amqp_queue",
    "nats_stream",
    "redis_stream",
]
