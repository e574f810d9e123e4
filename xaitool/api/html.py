"""An explanation as a notebook shows it: a piece of HTML that needs nothing else, all text in it escaped."""

from __future__ import annotations

import base64
import io
from functools import cache
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from PIL import Image

if TYPE_CHECKING:
    from xaitool.api.explanation import Explanation
    from xaitool.api.verdicts import Verdicts

# Small images are enlarged, pixel by pixel, until they can be looked at.
_SIDE = 112


def as_html(explanation: Explanation, most: int) -> str:
    """The first `most` images, each with its maps."""
    images = []
    for index, row in enumerate(explanation.rows[:most]):
        overlays = [(label, embedded(explanation.overlay(index, label))) for label in explanation.methods]
        images.append((row, embedded(Image.fromarray(explanation.pictures[index])), overlays))
    pixelated = max(explanation.pictures.shape[1:3]) < _SIDE
    return _template("explanation.html").render(
        title=repr(explanation).strip("<>"),
        notes=explanation.notes,
        images=images,
        more=len(explanation) - len(images),
        side=_SIDE,
        pixelated=pixelated,
    )


def verdicts_as_html(verdicts: Verdicts) -> str:
    """Each method's verdict in sentences."""
    said = [(label, words.splitlines()) for label, words in verdicts.sentences.items()]
    return _template("verdicts.html").render(said=said)


def embedded(image: Image.Image) -> str:
    """A picture as a data URI."""
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader("xaitool.api", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
