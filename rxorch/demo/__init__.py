"""The demo: a shop of small services, a tour of the six modes, and a stream of orders."""
