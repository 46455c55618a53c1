"""HTML of strangers as a flat row of tags and text, in time and memory proportional to its length.

No tree is built: all that is asked of a page is which tags it has, and trees can be made to explode. Of selectolax
(lexbor) 15 kB of nested and misnested elements took 340 MB and 100,000 open `<div>` more than a minute; Python's
`html.parser` is quadratic in unclosed quotes and stops on `<![<`.

Tags are told apart as the HTML standard's tokenizer does (section "Tokenization"), less what only trees need.
"""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MOST_BYTES = 4_000_000
"""How much of a page is read."""

_SNIFFED_BYTES = 1024

_SPACE = " \t\n\f\r"
_MARK = re.compile(r"<(?=[a-zA-Z/!?])")
_NAME = re.compile(rf"[a-zA-Z][^{_SPACE}/>]*+")
_GAP = re.compile(rf"[{_SPACE}/]*+")
_ATTRIBUTE_NAME = re.compile(rf"=?[^{_SPACE}/>=]*+")
_EQUALS = re.compile(rf"[{_SPACE}]*+=[{_SPACE}]*+")
_UNQUOTED = re.compile(rf"[^{_SPACE}>]*+")
# Without the semicolon, `&copy=1` in an address would become a sign.
_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_UNPARSED = frozenset({"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"})
_END_OF_UNPARSED = {name: re.compile(rf"</{name}(?=[{_SPACE}/>])", re.IGNORECASE) for name in _UNPARSED}
_UNSEEN = frozenset({"script", "style"})

_CHARSET = re.compile(rb"charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([a-zA-Z0-9_:.-]{1,40})", re.IGNORECASE)
_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
# The encodings of the WHATWG's Encoding standard, by Python's names, and what stands in for those that it widens.
_ENCODINGS = {
    **{name: name for name in ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "koi8-r", "koi8-u", "mac-roman", "cp866")},
    **{name: name for name in ("cp932", "cp949", "gb18030", "big5hkscs", "euc_jp", "iso2022_jp", "cp874")},
    **{f"iso8859-{part}": f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)},
    **{f"cp{page}": f"cp{page}" for page in range(1250, 1259)},
    **{"ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874"},
    **{"gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs", "euc_kr": "cp949", "shift_jis": "cp932"},
}


@dataclass(frozen=True)
class Tag:
    """A start tag or an end tag.

    Attributes:
        name: in lower case; that of an end tag begins with `/`.
        attributes: values by lower-case name, the first of each; those of end tags are left out.
    """

    name: str
    attributes: Mapping[str, str]


def decoded(body: bytes, content_type: str) -> str:
    """A page's text.

    The encoding is told by a byte order mark, then the header, then `<meta charset>`, as the HTML standard has it.
    Pages that tell none are UTF-8, or windows-1252 where they can't be.

    Args:
        body: what came; what follows its first 4,000,000 bytes is left out.
        content_type: the answer's header; may be empty.
    """
    body = body[:MOST_BYTES]
    for mark, name in _BYTE_ORDER_MARKS.items():
        if body.startswith(mark):
            return body[len(mark) :].decode(name, "replace")
    declared = _declared_encoding(content_type.encode(errors="replace"))
    meant = _declared_encoding(body[:_SNIFFED_BYTES])
    if meant and meant.startswith("utf-16"):  # could not have been read if it were
        meant = "utf-8"
    if encoding := declared or meant:
        return body.decode(encoding, "replace")
    try:
        # A character that the byte limit cuts is no sign of another encoding.
        return codecs.utf_8_decode(body, "strict", len(body) < MOST_BYTES)[0]
    except UnicodeDecodeError:
        return body.decode("cp1252", "replace")


def tokens(text: str) -> Iterator[Tag | str]:
    """The tags of a page and the text between them, in their order.

    What stands in `<script>` and the like is text, comments are left out, and what an unclosed comment, tag or script
    swallows is left out as browsers do.
    """
    at = 0
    while mark := _MARK.search(text, at):
        if at < mark.start():
            yield unescaped(text[at : mark.start()])
        tag, at = _read_tag(text, mark.end())
        if tag is None:
            continue
        yield tag
        if tag.name in _UNPARSED:
            end = _END_OF_UNPARSED[tag.name].search(text, at)
            content = text[at : end.start() if end else len(text)]
            at += len(content)
            if content:
                yield content if tag.name in _UNSEEN else unescaped(content)
    if at < len(text):
        yield unescaped(text[at:])


def text_of(markup: str) -> str:
    """What a reader sees of a piece of HTML, on one line."""
    seen, hidden = [], False
    for token in tokens(markup):
        if isinstance(token, Tag):
            hidden = token.name in _UNSEEN
        elif not hidden:
            seen.append(token)
    return one_line("".join(seen))


def one_line(text: str, most: int = 500) -> str:
    """Text with its white space reduced to single spaces, without control characters, and cut where it is longer."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * most]).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def unescaped(text: str) -> str:
    """Text with its character references (`&amp;`) replaced."""
    return _REFERENCE.sub(lambda reference: html.unescape(reference[0]), text) if "&" in text else text


def _read_tag(text: str, at: int) -> tuple[Tag | None, int]:
    """Reads what follows `<`; returns it, None for comments and what never ends, and where it ends."""
    if text.startswith("!--", at):
        return None, _after(text, "-->", at + 1)  # `<!-->` is a whole comment
    closing = text.startswith("/", at)
    name = _NAME.match(text, at + closing)
    if name is None:
        return None, _after(text, ">", at)
    attributes: dict[str, str] = {}
    at = name.end()
    while True:
        at = _end(_GAP, text, at)
        if at == len(text):
            return None, at
        if text[at] == ">":
            return (Tag(f"/{name[0].lower()}", {}) if closing else Tag(name[0].lower(), attributes)), at + 1
        start, at = at, _end(_ATTRIBUTE_NAME, text, at)
        attribute, value = text[start:at].lower(), ""
        if equals := _EQUALS.match(text, at):
            at = equals.end()
            quote = text[at : at + 1]
            if quote and quote in "\"'":
                start, at = at + 1, _after(text, quote, at + 1)
                value = text[start : at - 1]
                if text[at - 1] != quote or at == start:
                    return None, len(text)
            else:
                start, at = at, _end(_UNQUOTED, text, at)
                value = text[start:at]
        attributes.setdefault(attribute, unescaped(value))


def _after(text: str, end: str, at: int) -> int:
    """The place after the next `end`; that of the text's end where there is none."""
    found = text.find(end, at)
    return len(text) if found < 0 else found + len(end)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _declared_encoding(declaration: bytes) -> str | None:
    match = _CHARSET.search(declaration)
    try:
        return _ENCODINGS.get(codecs.lookup(match[1].decode()).name) if match else None
    except LookupError:
        return None
