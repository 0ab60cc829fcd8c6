"""HTTP/1.1 on Rust's reqwest, by way of pyreqwest (extra ``fast``)."""

from rxorch.http.pyreqwest_transport.transport import PyreqwestTransport

__all__ = ["PyreqwestTransport"]
