"""The decisions behind the operators, as plain classes: no Rx, no asyncio, no clock and no dice of their own.

The time comes in as monotonic seconds, chance as a `random.Random`. So each can be tested with numbers, used
from synchronous code, or put behind another shell.
"""
