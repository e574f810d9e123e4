"""Options of folders of images."""

from __future__ import annotations

from pydantic import Field, StrictBool

from xaitool.config import UserPath
from xaitool.data.options import PictureOptions


class Config(PictureOptions):
    """A folder with a folder for each class, or with train/<class> and test/<class> (or val, valid, validation)."""

    root: UserPath = Field(description="The folder, from the recipe's own folder where it is relative.")
    test: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Which part of each class to test on, drawn with the recipe's seed, where there is no folder of "
        "test images; left out: a fifth.",
    )
    strict: StrictBool = Field(
        False, description="Files that cannot be read are an error; false: they are left out, counted and listed."
    )
