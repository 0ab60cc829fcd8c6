"""HTML as a notebook that is not trusted takes it."""

from __future__ import annotations

from html.parser import HTMLParser


class Checked(HTMLParser):
    """Finds what an untrusted notebook would drop, and tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "wbr":
            return
        known = {
            "div",
            "span",
            "code",
            "pre",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "details",
            "summary",
        }
        if tag == "img":
            if not (dict(attrs).get("src") or "").startswith("data:image/svg+xml;base64,"):
                self.wrong.append("img")
            return
        if tag not in known or {name for name, _ in attrs} - {"style", "open"}:
            self.wrong.append(f"{tag} {attrs}")
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "img" and self.open.pop() != tag:
            self.wrong.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"
