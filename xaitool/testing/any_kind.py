"""Checks for every plugin, and for every kind of component."""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import torch
from pydantic import BaseModel, ValidationError

from xaitool.component import load
from xaitool.config import Config
from xaitool.engine.randomness import kept, seed_all
from xaitool.plugins import Plugin
from xaitool.testing.checks import CheckError, check, expect
from xaitool.testing.specimen import Specimen

# Runs in a process of its own: which step is the first to import torch, and which to reach for the network. As
# `plugins list` takes the first two, and `plugins show` the third.
_PROBE = """
import importlib, json, sys
from xaitool.component import KINDS
name, seen, reached = sys.argv[1], {}, []
sys.addaudithook(lambda event, args: event.startswith("socket.") and reached.append(event))

def note(step):
    if "torch" in sys.modules:
        seen.setdefault("torch", step)
    if reached:
        seen.setdefault("network", (step, reached[0]))

module = importlib.import_module(name)
note("importing " + name)
components = []
for hook in ("xaitool_" + kind + "s" for kind in KINDS):
    if hasattr(getattr(module, hook, None), "xaitool_impl"):
        components += getattr(module, hook)()
        note("calling its hook " + hook)
for component in components:
    component.load_config()
    note("importing the config of " + component.name)
print()
print(json.dumps(seen))
"""


def imports_lightly(plugin: Plugin) -> None:
    """Importing the plugin's module, calling its hooks and importing its configs import no torch and open no socket."""
    module = plugin.module.partition(":")[0].strip()
    done = subprocess.run(  # noqa: S603 - this very Python, with the program above
        [sys.executable, "-c", _PROBE, module],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    expect(done.returncode == 0, f"importing {module} fails: {done.stderr.strip()[-500:]}")
    seen = json.loads(done.stdout.splitlines()[-1])
    heavy = seen.get("torch")
    expect(not heavy, f"{heavy} imports torch, which takes seconds; leave that to the factory's module")
    expect("network" not in seen, f"{' reaches for the network: '.join(seen.get('network', ()))}")


@check("config")
def config(specimen: Specimen) -> None:
    """The config forbids unknown keys, describes every field, and goes to JSON and back."""
    cls = load(specimen.offer.component.config)
    expect(isinstance(cls, type) and issubclass(cls, Config), f"{cls!r} is not a subclass of xaitool.Config")
    for model in (cls, *_nested(cls)):
        silent = [name for name, field in model.model_fields.items() if not field.description]
        expect(not silent, f"{model.__name__} has options without a description: {', '.join(silent)}")
        expect(model.model_config.get("extra") == "forbid", f"{model.__name__} takes unknown options without a word")
    options = specimen.config()
    try:
        cls(**{**options.model_dump(by_alias=True), "no_such_option": 1})
    except ValidationError:
        pass
    else:
        raise CheckError(f"{cls.__name__} takes the unknown option no_such_option without a word")
    text = options.model_dump_json(by_alias=True)
    again = cls(**json.loads(text))
    expect(again == options, f"from JSON the options come back as {again!r}, and were {options!r}")
    cls.model_json_schema(by_alias=True)


@check("factory-leaves-no-trace")
def factory_leaves_no_trace(specimen: Specimen) -> None:
    """The factory leaves random state, default dtype and thread counts alone (a model may draw its weights)."""
    with kept():
        seed_all(1)
        before = _process_state()
        specimen.build()
        after = _process_state()
        # Initial weights come from torch's generator, which the engine has seeded and puts back.
        drawn = {"torch's random state"} if specimen.kind == "model" else set()
        changed = [name for name in before if name not in drawn and before[name] != after[name]]
        expect(not changed, f"the factory changes {', '.join(changed)}")
        if drawn:
            seed_all(2)
            specimen.build()
            reseeded = torch.equal(
                torch.get_rng_state(), torch.tensor(list(after["torch's random state"]), dtype=torch.uint8)
            )
            expect(
                not reseeded, "the factory seeds torch's generator: another seed gives the same random state after it"
            )


@check("pickles")
def pickles(specimen: Specimen) -> None:
    """The options and what the factory makes of them can be pickled, as worker processes need."""
    for what, thing in (("the options", specimen.config()), ("what the factory returns", _built(specimen))):
        try:
            pickle.loads(pickle.dumps(thing))  # noqa: S301 - what was pickled a moment ago
        except (pickle.PickleError, TypeError, AttributeError) as error:
            raise CheckError(f"{what} cannot be pickled: {error}") from error


def _built(specimen: Specimen) -> Any:
    with kept():
        return specimen.build()


def _nested(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The models that the options of a model are made of."""
    for field in model.model_fields.values():
        for found in _models(field.annotation):
            yield found
            yield from _nested(found)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]


def _process_state() -> dict[str, Any]:
    """What a factory has no business to change."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "torch's random state": bytes(torch.get_rng_state().tolist()),
        "numpy's random state": (name, bytes(np.asarray(keys)), *rest),
        "Python's random state": random.getstate(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's default device": torch.get_default_device(),
        "torch's number of threads": torch.get_num_threads(),
        "torch's number of interop threads": torch.get_num_interop_threads(),
        "whether gradients are computed": torch.is_grad_enabled(),
        "whether deterministic algorithms are used": torch.are_deterministic_algorithms_enabled(),
        "cuDNN's benchmark mode": torch.backends.cudnn.benchmark,
    }
