"""What a recipe may say, apart from the options of the components it names."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from xaitool.config import Config


class ComponentRef(BaseModel):
    """A component by name, and its options, which its own config checks."""

    model_config = ConfigDict(extra="allow", frozen=True)

    use: str = Field(min_length=1, description="The component's name, bare or as distribution/name.")


class MethodRef(ComponentRef):
    """An explainer or a metric by name, its options, and what to call it."""

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True)

    label: str | None = Field(
        None,
        alias="as",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_+.-]*$",
        description="What to call it in files and figures; needed where one component is used twice.",
    )


class SmoothSettings(Config):
    """Averaging an explainer's maps over copies of each image; copies take as many times as long."""

    flips: StrictBool = Field(False, description="Mirror every other copy left to right, and its map back.")
    noise: float = Field(
        0.0, ge=0, le=1, description="Standard deviation of the noise on each copy, in pixel values from 0 to 1."
    )
    n: int = Field(16, ge=2, le=1000, description="Noisy copies; without noise there are two, one of them mirrored.")

    @model_validator(mode="after")
    def _something_differs(self) -> Self:
        if not (self.flips or self.noise):
            raise PydanticCustomError("at_value", "smooths nothing: set flips: true, or noise above 0")
        return self


class ExplainerRef(MethodRef):
    """An explainer by name, its options, what to call it, and how to smooth it."""

    smooth: SmoothSettings | None = Field(None, description="Average the maps over copies of each image.")


def _from_bare_name(value: Any) -> Any:
    if isinstance(value, str):
        return {"use": value}
    if not isinstance(value, dict | ComponentRef):
        raise PydanticCustomError("at_value", "should be a component's name, or a mapping with 'use' and its options")
    return value


Component = Annotated[ComponentRef, BeforeValidator(_from_bare_name)]
Method = Annotated[MethodRef, BeforeValidator(_from_bare_name)]
ExplainerEntry = Annotated[ExplainerRef, BeforeValidator(_from_bare_name)]


class RuntimeSettings(Config):
    """Where and how precisely to compute."""

    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="auto: CUDA or MPS where there is one.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="Of training. auto: bf16 on CUDA devices that have it, fp32 elsewhere."
    )
    workers: Annotated[int, Field(ge=0, le=256)] | Literal["auto"] = Field(
        "auto", description="Processes that load data."
    )
    timeout: int = Field(
        900, ge=0, description="Seconds that one of these may take for a batch before the run ends; 0: any time."
    )
    augment: Literal["loader", "device"] = Field(
        "loader",
        description="Where training images are augmented. device: whole batches at once, where the network computes, "
        "by those of the last transforms that have a form for it: equal in distribution, not image by image.",
    )


class SGDSettings(Config):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"] = Field("sgd", description="The optimizer.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum.")
    nesterov: StrictBool = Field(False, description="Nesterov's momentum.")
    weight_decay: float = Field(0.0, ge=0, le=1e6, description="Weight decay, added to the gradient.")
    decay_norms_and_biases: StrictBool = Field(False, description="Decay norm layers and biases too.")


class AdamWSettings(Config):
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101)."""

    name: Literal["adamw"] = Field(description="The optimizer.")
    betas: tuple[
        Annotated[float, Field(ge=0, lt=1)],
        Annotated[float, Field(ge=0, lt=1)],
    ] = Field((0.9, 0.999), description="Decay rates of the moments.")
    weight_decay: float = Field(0.01, ge=0, le=1e6, description="Weight decay, decoupled from the gradient.")
    decay_norms_and_biases: StrictBool = Field(False, description="Decay norm layers and biases too.")


Optimizer = Annotated[SGDSettings | AdamWSettings, Field(discriminator="name")]


def _sgd_unless_named(value: Any) -> Any:
    return {"name": "sgd", **value} if isinstance(value, dict) else value


class EMASettings(Config):
    """An exponential moving average of the weights, which is what is evaluated, explained and saved."""

    decay: float = Field(0.999, gt=0, lt=1, description="Per step, after a warm-up of 1 / (1 - decay) steps or so.")


class TrainSettings(Config):
    """Training."""

    epochs: int = Field(ge=1, description="Passes over the training images.")
    batch_size: int = Field(128, ge=2, description="Images a step.")
    eval_batch_size: int = Field(500, ge=1, description="Images at a time where nothing is learnt.")
    pieces: int = Field(
        1,
        ge=1,
        le=4096,
        description="Parts of a batch that draw their augmentation each by itself. With as many, or a multiple of as "
        "many, as there are processes, each of these loads no more than its own images.",
    )
    optimizer: Annotated[Optimizer, BeforeValidator(_sgd_unless_named)] = Field(
        SGDSettings(), description="How a gradient becomes a step."
    )
    scheduler: Component = Field(description="The learning-rate schedule: a component of kind scheduler.")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Part of the target spread over all classes.")
    compile: StrictBool = Field(
        False, description="Compile the network with torch.compile for its training: a minute or so, then faster steps."
    )
    ema: EMASettings | None = Field(None, description="Average the weights; left out: do not.")
    clip_grad_norm: float | None = Field(None, gt=0, description="Greatest norm of the gradient; left out: any.")
    checkpoint_minutes: float | None = Field(
        5.0, gt=0, description="Keep a checkpoint at least so often, besides after each epoch; null: not besides."
    )


class SelectSettings(Config):
    """Which test images to explain; what is random is drawn with the recipe's seed."""

    misclassified: int = Field(20, ge=0, description="How many that the model gets wrong.")
    correct: int = Field(0, ge=0, description="How many that it gets right; drawn at random.")
    by: Literal["random", "most_confident", "least_confident", "class_pairs"] = Field(
        "random",
        description="Which of those it gets wrong: drawn at random, by the predicted class's probability, or the pairs "
        "of true and predicted class taking turns, the commonest first.",
    )
    ids: tuple[str, ...] = Field((), description="Ids of test images to explain besides, right or wrong.")


def _true_is_a_word(value: Any) -> Any:
    """In YAML, ``targets: [predicted, true]`` holds a boolean; here it means the true class."""
    return "true" if value is True else value


Target = Annotated[
    str,
    BeforeValidator(_true_is_a_word),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, {"const": True}]}),
]


class JudgeSettings(Config):
    """Judging the explanations."""

    images: int = Field(
        200,
        ge=0,
        description="How many test images to judge on, drawn with the recipe's seed, and as many again, kept apart, to "
        "choose layers on; 0: do not judge.",
    )
    curves: int = Field(
        100, ge=0, description="Of how many explained images the report shows the perturbation curves, one by one."
    )


# What explanations are judged by where a recipe does not say; names, as in any recipe: the core imports none of them.
USUAL_METRICS = ("xaitool/abpc", "xaitool/randomisation", "xaitool/mass_in_mask")

Requirement = Literal["image_specific", "faithful", "about_the_model", "finds_the_object"]


class ExplainSettings(Config):
    """Explaining."""

    select: SelectSettings = Field(SelectSettings(), description="Which test images.")
    targets: tuple[Target, ...] = Field(
        ("predicted", "true"),
        min_length=1,
        description="Classes to explain: predicted, true, runner_up, or a class by its name.",
    )
    methods: tuple[ExplainerEntry, ...] = Field((), description="Components of kind explainer.")
    metrics: tuple[Method, ...] = Field(
        tuple(MethodRef(use=name) for name in USUAL_METRICS),
        description="Components of kind metric. The first that measures faithfulness, dependence on the model, and "
        "localisation decides that part of the verdict.",
    )
    judge: JudgeSettings = Field(JudgeSettings(), description="On what to judge the explanations.")
    triage: StrictBool = Field(True, description="Look at every misclassified test image with the first method.")
    require: tuple[Requirement, ...] = Field(
        (), description="What every explainer's verdict must be; the exit status is 3 where one falls short."
    )

    @model_validator(mode="after")
    def _can_be_required(self) -> Self:
        """What no run of this recipe could meet is a mistake in the recipe."""
        from xaitool.judge.verdict import FEWEST

        missing = []
        if not self.methods:
            missing.append("there is no method in explain.methods that could meet it")
        if self.judge.images < FEWEST:
            missing.append(f"it takes explain.judge.images of {FEWEST} at least, for a verdict")
        if not self.metrics:
            missing.append("there is no metric in explain.metrics that could tell")
        if self.require and missing:
            message = PydanticCustomError("at_key", "{message}", {"message": "; ".join(missing)})
            detail = InitErrorDetails(type=message, loc=("require",), input=None)
            raise ValidationError.from_exception_data("ExplainSettings", [detail])
        return self


class ReportSettings(Config):
    """The report."""

    html: StrictBool = Field(True, description="Write report.html.")
    svg: StrictBool = Field(False, description="Write every chart in figures/ as SVG too.")


class Locked(Config):
    """What a lock file was made with; for information, and compared when it runs again."""

    xaitool: str = Field(description="Version of xaitool.")
    python: str = Field(description="Version of Python.")
    distributions: dict[str, str] = Field(description="Versions of the distributions of all plugins used.")
    packages: dict[str, str] = Field(description="Versions of the main libraries.")


class Settings(Config):
    """A recipe: everything there is to say about one run."""

    recipe: Literal[1] = Field(description="Version of the recipe format.")
    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100, description="The run's name, and its folder's."
    )
    seed: int = Field(0, ge=0, lt=2**32, description="All that is random follows from it.")
    runtime: RuntimeSettings = Field(RuntimeSettings(), description="Where and how precisely to compute.")
    dataset: Component = Field(description="A component of kind dataset.")
    model: Component = Field(description="A component of kind model.")
    train: TrainSettings | None = Field(
        None,
        description="Training; left out: the model is judged and explained with its checkpoint's weights.",
    )
    explain: ExplainSettings = Field(ExplainSettings(), description="Explaining.")
    report: ReportSettings = Field(ReportSettings(), description="The report.")
    locked: Locked | None = Field(None, description="Written by xaitool into lock files.")
