"""The component under test, and what a check may build from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from xaitool.component import Kind
from xaitool.plugins import Offer

# What a model is built for unless the author says otherwise: small, so that a check takes no time.
NUM_CLASSES = 4
INPUT_SIZE = (3, 32, 32)


@dataclass(frozen=True)
class Specimen:
    """One component under test.

    options: those it is tried with; its own `example` unless the author gives others. input_size: C, H, W of the images
    that a model is built for.
    """

    offer: Offer
    options: Mapping[str, Any] = field(default_factory=dict)
    input_size: tuple[int, int, int] = INPUT_SIZE

    @property
    def kind(self) -> Kind:
        """The component's kind."""
        return self.offer.kind

    @property
    def name(self) -> str:
        """``kind/name``, as reports and expected failures have it."""
        return f"{self.kind}/{self.offer.component.name}"

    def config(self, **changes: Any) -> Any:
        """The checked options, with some changed. Raises CheckError where they do not pass the component's config."""
        from xaitool.testing.checks import CheckError

        try:
            return self.offer.component.load_config()(**{**self.options, **changes})
        except ValidationError as error:
            raise CheckError(
                f"cannot be built with the options {dict(self.options)}: give the component an `example`, or the test "
                f"its options ({'; '.join(_told(each) for each in error.errors())})"
            ) from error

    def build(self, **given: Any) -> Any:
        """What the factory makes of the options. given: what its kind's factory gets besides them."""
        return self.offer.component.load_factory()(self.config(), **{**self._usual(), **given})

    def _usual(self) -> dict[str, Any]:
        match self.kind:
            case "dataset":
                return {"seed": 0}
            case "model":
                return {"num_classes": NUM_CLASSES, "input_size": self.input_size}
            case _:
                return {}


def _told(problem: Any) -> str:
    return f"{'.'.join(map(str, problem['loc'])) or 'options'}: {problem['msg']}"
