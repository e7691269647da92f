"""Rendered HTML as a tree, to test what a browser would see."""

from html.parser import HTMLParser

VOID = {"img", "br", "input", "circle", "path"}


class Element:
    def __init__(self, tag, attributes):
        self.tag = tag
        self.attributes = dict(attributes)
        self.content = []  # elements and pieces of text, in order

    @property
    def children(self):
        return [piece for piece in self.content if isinstance(piece, Element)]

    def classes(self):
        return (self.attributes.get("class") or "").split()

    def all(self, tag=None, cls=None):
        found = []
        for child in self.children:
            if (tag is None or child.tag == tag) and (cls is None or cls in child.classes()):
                found.append(child)
            found += child.all(tag, cls)
        return found

    def one(self, tag=None, cls=None):
        (found,) = self.all(tag, cls)
        return found

    def full_text(self):
        return "".join(
            piece.full_text() if isinstance(piece, Element) else piece for piece in self.content
        )

    def style(self, name):
        rules = dict(rule.split(":") for rule in self.attributes["style"].split(";") if rule)
        return rules[name]


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.root = Element("root", [])
        self.open = [self.root]

    def handle_starttag(self, tag, attrs):
        element = Element(tag, attrs)
        self.open[-1].content.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.open[-1].content.append(Element(tag, attrs))

    def handle_endtag(self, tag):
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data):
        self.open[-1].content.append(data)


def read(html):
    """Parse; AssertionError for tags that do not match."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == [reader.root], "unclosed tags"
    return reader.root
