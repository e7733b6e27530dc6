"""Elements of HTML. Arguments named `html` are markup and are inserted as they are; all others are escaped here."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

from PIL import Image

JPEG_QUALITY = 82
LARGEST_CRISP_PX = 64
ABSENT = "&ndash;"


def text(value: object) -> str:
    """Any value as text that is safe in HTML, attributes included."""
    return escape(str(value))


def count(number: int, singular: str, plural: str = "") -> str:
    """A number with its noun: `1 slide`, `1,240 slides`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def section(title: str, *html: str) -> str:
    """A section with a heading; empty if it has no content."""
    content = "\n".join(filter(None, html))
    return f"<section>\n<h2>{text(title)}</h2>\n{content}\n</section>" if content else ""


def paragraph(html: str, kind: str = "") -> str:
    """A paragraph; `kind` is `note` for smaller print."""
    return f'<p class="{kind}">{html}</p>' if kind else f"<p>{html}</p>"


def figure(html: str, caption_html: str, kind: str = "") -> str:
    """A figure with a caption below."""
    return f'<figure class="{kind}">{html}<figcaption>{caption_html}</figcaption></figure>'


def details(summary: str, html: str) -> str:
    """Collapsed content that opens on a click."""
    return f"<details><summary>{text(summary)}</summary>{html}</details>"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table that scrolls on narrow screens. Cells are markup, the header is text."""
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in header)
    body = "\n".join(_row(cells) for cells in rows)
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'
    )


def _row(cells: Sequence[str]) -> str:
    first, *others = cells
    return f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in others) + "</tr>"


def picture(image: Image.Image, description: str) -> str:
    """An embedded image: small images as lossless PNG, enlarged with sharp pixels; others as JPEG."""
    crisp = max(image.size) <= LARGEST_CRISP_PX
    stream = io.BytesIO()
    if crisp:
        image.save(stream, format="PNG", optimize=True)
    else:
        image.convert("RGB").save(stream, format="JPEG", quality=JPEG_QUALITY)
    encoded = base64.b64encode(stream.getvalue()).decode("ascii")
    width, height = image.size
    return (
        f'<img src="data:image/{"png" if crisp else "jpeg"};base64,{encoded}" alt="{text(description)}" '
        f'width="{width}" height="{height}"{" class=crisp" if crisp else ""}>'
    )
