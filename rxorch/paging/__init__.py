"""The items of all pages of an endpoint, as one Observable."""

from rxorch.paging.pages import paginate
from rxorch.paging.rules import Page, PageRule, Turn, cursor, link_header, next_url, offset, page_number

__all__ = [
    "Page",
    "PageRule",
    "Turn",
    "cursor",
    "link_header",
    "next_url",
    "offset",
    "page_number",
    "paginate",
]
