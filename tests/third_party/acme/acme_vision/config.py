"""Options; without torch, so that they are shown and checked at once."""

from __future__ import annotations

from pydantic import Field

from xaitool import Config as Base


class Config(Base):
    """Options of the smoothed gradient."""

    width: int = Field(1, ge=1, description="Pixels to smooth over, an odd number.")
