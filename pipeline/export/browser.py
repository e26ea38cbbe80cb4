"""One HTML file that runs the exported prediction of nets in a browser, without access to a network."""

import base64
import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from pipeline.data import samples
from pipeline.errors import InputError
from pipeline.export import face_detector
from pipeline.export.web_runtime import WebRuntime
from pipeline.inference import detection
from pipeline.inference.loaded import FACE, LoadedNets
from pipeline.units import size

MOST_BYTES = 25_000_000
FOLDER = Path(__file__).parent / "page"
WORKER, SCRIPT = ("crop.js", "faces.js", "worker.js"), ("crop.js", "view.js", "app.js")
LICENCES = {"ONNX Runtime": "onnxruntime.txt", "YuNet, the face detector": "yunet.txt"}


@dataclass(frozen=True)
class Embedded:
    """What a page runs: a chain of nets as an ONNX file, the runtime, and YuNet as an ONNX file, or None if the user draws the boxes."""

    chain: bytes
    runtime: WebRuntime
    detector: bytes | None


@dataclass(frozen=True)
class Card:
    """What a page says about its nets.

    name: of the keypoint set. facts: titles and values. limits: sentences. columns: of the table of accuracy. accuracy: its rows, each a
    title and one text for each column; empty if the accuracy is not known.
    """

    name: str
    facts: dict[str, str]
    limits: list[str]
    columns: list[str]
    accuracy: list[tuple[str, list[str]]]


def page(nets: LoadedNets, parts: Embedded, card: Card) -> str:
    """The page as HTML; the same nets and parts give the same text. Raises InputError if it is larger than MOST_BYTES."""
    settings, style, script = _settings(nets, detects=parts.detector is not None), _text("style.css"), _joined(SCRIPT)
    embedded = {"worker": _joined(WORKER).encode(), "runtime": parts.runtime.script, "wasm": parts.runtime.binary, "chain": parts.chain}
    if parts.detector is not None:
        embedded["yunet"] = parts.detector
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made = environment.get_template("page.html").render(
        policy=_policy(style, script),
        style=style,
        script=script,
        card=card,
        settings=settings,
        settings_json=json.dumps(settings).replace("<", "\\u003c"),
        parts={name: base64.b64encode(gzip.compress(content, 9, mtime=0)).decode() for name, content in embedded.items()},
        licences={name: _text(file) for name, file in LICENCES.items() if parts.detector is not None or file != "yunet.txt"},
    )
    if (count := len(made.encode())) > MOST_BYTES:
        raise InputError(
            f"The page was not written, because it would have {size(count)}; at most {size(MOST_BYTES)} are accepted. `--part base` makes a"
            " smaller one."
        )
    return made


def _settings(nets: LoadedNets, *, detects: bool) -> dict[str, Any]:
    """What the programs of the page know about the nets."""
    return {
        "names": list(nets.keypointset.names),
        "lines": [list(pair) for pair in nets.lines],
        "noun": nets.noun,
        "side": nets.frame.side,
        "channels": nets.frame.channels,
        "margin": detection.FRAME if nets.detector == FACE else samples.BOX_FRAME,
        "detector": face_detector.settings() if detects else None,
    }


def _policy(style: str, script: str) -> str:
    """The Content-Security-Policy: only these texts and what they unpack may run, and nothing may be loaded or sent."""
    rules = {
        "default-src": "'none'",
        "script-src": f"{_digest(script)} blob: 'wasm-unsafe-eval'",
        "worker-src": "blob:",
        "style-src": _digest(style),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _joined(names: tuple[str, ...]) -> str:
    return "\n".join(_text(name) for name in names)


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
