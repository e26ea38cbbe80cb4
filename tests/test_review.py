"""The review page: the order of samples, changes, requests that do not come from the page, and the page in a real browser."""

import contextlib
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from fresh import ROOT
from PIL import Image

from pipeline.data import corrected, corrections, ownset
from pipeline.data.corrections import LabelPlace
from pipeline.data.defining import define
from pipeline.data.definition import Asked
from pipeline.errors import InputError
from pipeline.keypoints.kaggle import KAGGLE
from pipeline.review.judgement import Judgement, RankedBy, Ranking, by_distance, by_rules
from pipeline.review.samples import OwnSamples, TableSamples
from pipeline.review.session import Review
from pipeline.review.wish import Wish, WrongRequestError
from pipeline.store.workspace import locks

server = pytest.importorskip("pipeline.review.server", reason="the packages of the extra review are missing", exc_type=ImportError)

NAMES = ("left", "right", "tip")
POINTS = np.array([[30, 40], [70, 42], [50, 80]], float)  # of the first image, in the pixels of the label file
KEY = "a-secret"


def locked(file):
    return locks.locked(file, lambda who: None)


def nan(*shape):
    return np.full(shape, np.nan)


# The order


def test_samples_are_ranked_by_the_first_judgement_that_knows_them():
    """Each group by its most doubtful label; samples of which nothing is known keep their order."""
    first, second = nan(5, 2), nan(5, 2)
    first[3], first[1] = [0.1, 0.5], [0.9, np.nan]
    second[3], second[4] = [9, 9], [0, 0.2]
    ranking = Ranking([Judgement("one", first), Judgement("two", second)], 5)
    assert ranking.order().tolist() == [1, 3, 4, 0, 2]
    assert [ranking.doubtful(sample) for sample in range(5)] == [None, 0, None, 1, 1]
    assert ranking.by(3) == "ranked by one"
    assert ranking.by(0) == "in the order of the label files"
    assert Ranking([], 3).order().tolist() == [0, 1, 2]


def test_distances_count_relative_to_the_size_of_the_sample():
    """Ten pixels in a small sample are more than twenty in one that is four times as large; the reason is in pixels of the image."""
    predictions, labels = nan(3, 1, 2), np.zeros((3, 1, 2))
    predictions[0], predictions[1] = [10, 0], [0, 20]
    found = by_distance(predictions, labels, np.array([1, 4, 1]))
    assert found.score.ravel().tolist() == pytest.approx([10, 5, np.nan], nan_ok=True)
    assert "20.0 px from the prediction" in found.reasons[1, 0]
    assert (2, 0) not in found.reasons


def test_contradicted_labels_come_before_outliers():
    """Larger distances come before smaller ones; labels that no rule doubts have no score."""
    outlier, conflict = np.array([[True, False], [True, False], [False, False]]), np.array([[False] * 2, [False] * 2, [False, True]])
    found = by_rules(outlier, np.array([[8.0, 1], [30, 1], [2, 2]]), conflict)
    assert Ranking([found], 3).order().tolist() == [2, 1, 0]
    assert np.isnan(found.score[0, 1])
    assert found.reasons[0, 0] == "The other labels of the sample suggest a place 8.0 px away."


def test_each_judgement_is_an_order_of_its_own():
    """Samples that it does not know come last; a keypoint counts alone if one is named. What to label next is no doubt about a label."""
    doubts, wanted = nan(4, 2), nan(4, 2)
    doubts[0], doubts[1], doubts[2] = [3, 1], [1, 2], [2, np.nan]
    wanted[3] = [5, 6]
    ranking = Ranking([Judgement("distance", doubts), Judgement("need", wanted, wanted=True)], 4)
    assert ranking.titles == ["distance", "need", "the order of the label files"]
    assert ranking.order().tolist() == [0, 1, 2, 3]  # 1 before 2 in the order of the label files
    assert ranking.order(RankedBy("distance", 1)).tolist() == [1, 0, 2, 3]
    assert ranking.order(RankedBy("need")).tolist() == [3, 0, 1, 2]
    assert ranking.order(RankedBy("the order of the label files")).tolist() == [0, 1, 2, 3]
    assert (ranking.by(3), ranking.by(3, RankedBy("need"))) == ("in the order of the label files", "ranked by need")
    assert (ranking.doubtful(1), ranking.doubtful(1, RankedBy("distance", 0)), ranking.doubtful(3, RankedBy("need"))) == (1, 0, None)


def test_a_judgement_may_rank_whole_samples():
    """Its own order of the samples counts, unless a keypoint is chosen."""
    score = np.array([[0.9, 0.1], [0.5, 0.5], [np.nan, np.nan]])
    ranking = Ranking([Judgement("one", score, overall=np.array([-2.0, -1.0, np.nan]))], 3)
    assert ranking.order().tolist() == [1, 0, 2]
    assert ranking.order(RankedBy("one", 0)).tolist() == [0, 1, 2]


# Changes


@pytest.fixture
def folder(tmp_path):
    """Three labelled images; in the third one the keypoint tip is missing."""
    root, rng = tmp_path / "set", np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    lines = [",".join(["image", *(f"{name}_{axis}" for name in NAMES for axis in "xy")])]
    for number in range(3):
        Image.fromarray(rng.integers(60, 120, (100, 120), np.uint8)).save(root / "images" / f"{number}.png")
        cells = [f"{value:g}" for value in (POINTS + number).ravel()]
        lines.append(",".join([f"images/{number}.png", *(cells if number < 2 else [*cells[:4], "", ""])]))
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    (root / "keypoints.toml").write_text('skeleton = [["left", "tip"], ["right", "tip"]]\n')
    (tmp_path / "outside.png").write_bytes((root / "images" / "0.png").read_bytes())
    return root


def reviewed(folder, file, *, who="ann"):
    definition = define(Asked(str(folder)))
    samples = OwnSamples(ownset.opened(definition, test=False), ownset.convention(definition), free=True)
    predictions = nan(len(samples), 3, 2)
    predictions[1] = samples.keypoints[1] + [[0, 0], [0, 0], [9, 0]]
    predictions[0] = samples.keypoints[0] + 1
    predictions[3:] = [[20.5, 20.5], [60.5, 20.5], [np.nan, np.nan]]
    need = Judgement(
        "need", np.where(np.isnan(samples.keypoints).all(axis=(1, 2), keepdims=True)[:, :, 0], 1, nan(1, 3)), {}, None, wanted=True
    )
    found = [by_distance(predictions, samples.keypoints, np.ones(len(samples))), *([need] if len(samples) > 3 else [])]
    return Review(samples, Ranking(found, len(samples)), file, who, locked)


@pytest.fixture
def review(folder, tmp_path):
    return reviewed(folder, tmp_path / "corrections.csv")


def test_a_sample_as_the_page_gets_it(review):
    """The most doubtful sample first; places in pixels of the image, values in those of the label file."""
    shown = review.shown(0)
    assert (shown["image"], shown["instance"], shown["size"], shown["doubtful"]) == ("images/1.png", "1", [120, 100], 2)
    label = shown["labels"][2]
    assert (label["value"], label["point"], label["prediction"]) == ("51 81", [51.5, 81.5], [60.5, 81.5])
    assert label["reasons"] == ["The label is 9.0 px from the prediction of nets that were not trained on it."]
    assert review.shown(2)["labels"][2]["value"] == "missing"
    assert review.summary()["lines"] == [[0, 2], [1, 2]]


def test_the_page_starts_with_a_sample(review):
    """With the one that is named, whatever samples are ranked by."""
    review.start_with(["images/2.png"])
    assert [review.samples.name(review.sample(review.summary(ranked)["first"], ranked)) for ranked in (RankedBy(), RankedBy("need"))] == [
        ("images/2.png", "1")
    ] * 2
    review.start_with(["images/1.png", "1"])
    assert review.samples.name(review.sample(review.summary()["first"]))[0] == "images/1.png"


@pytest.mark.parametrize(
    ("named", "told"),
    [
        (["images/7.png"], "the set has no such image; did you mean images/"),
        (["1"], "the set has no such image."),
        (["images/1.png", "2"], "the image has only the instances 1."),
    ],
    ids=["similar", "image", "instance"],
)
def test_samples_that_the_page_cannot_start_with(review, named, told):
    """The message names what there is instead."""
    with pytest.raises(InputError, match=re.escape(f"--sample {' '.join(named)}: {told}")):
        review.start_with(named)


def test_changes_of_a_label(review):
    """A point, a word, or a value as the file has it; each answer is the label as it is now, and the file has a line for each."""
    moved = review.change(Wish(0, 0, "30 40", point=(33.25, 40.5), why="moved"))
    assert (moved["value"], moved["original"], moved["corrected"], moved["by"][:7]) == ("32.75 40", "30 40", True, "ann on ")
    assert review.change(Wish(0, 0, "32.75 40", new="occluded"))["value"] == "32.75 40 occluded"
    assert review.change(Wish(0, 0, "32.75 40 occluded", new="missing"))["point"] is None
    back = review.change(Wish(0, 0, "missing", new="30 40", why="undone"))
    assert (back["corrected"], back["value"]) == (False, "30 40")
    assert review.change(Wish(0, 1, "70 42", new="70 42", why="correct"))["checked"]
    assert [str(each.new) for each in review.corrections().changes] == ["32.75 40", "32.75 40 occluded", "missing", "30 40", "70 42"]
    assert review.corrections().plain() == []
    assert review.summary()["first"] == 0  # images/1.png has no line


@pytest.mark.parametrize(
    "wish",
    [
        Wish(7, 0, "30 40", new="missing"),
        Wish(0, 9, "30 40", new="missing"),
        Wish(0, 0, "30 40"),
        Wish(0, 0, "30 40", new="here"),
        Wish(0, 0, "30 40", point=(np.nan, 1)),
        Wish(0, 0, "30 40", point=(4000, 1)),
        Wish(0, 0, "nonsense", new="missing"),
    ],
    ids=["sample", "keypoint", "nothing", "word", "NaN", "far outside", "old"],
)
def test_changes_that_cannot_be_made(review, wish):
    """They are refused, and no file appears."""
    with pytest.raises(WrongRequestError):
        review.change(wish)
    assert not review.file.exists()


def test_tables_have_no_occluded_keypoints(tmp_path):
    """Kaggle's format cannot say it, so the page does not offer it, and a request is refused."""
    samples = TableSamples(np.zeros((2, 96, 96), np.uint8), np.full((2, 15, 2), 40, np.float32), KAGGLE)
    review = Review(samples, Ranking([], 2), tmp_path / "c.csv", "", locked)
    assert samples.place(1, 10) == LabelPlace("2", "1", "nose_tip")
    assert not review.summary()["hasOccluded"]
    with pytest.raises(WrongRequestError, match="cannot be occluded"):
        review.change(Wish(0, 0, "40 40", new="occluded"))
    assert samples.picture(0).kind == "image/png"


def test_ten_thousand_samples(tmp_path):
    """Each of them is shown without a look at the others: nothing is computed for all of them but the order."""
    samples = TableSamples(np.zeros((10_000, 8, 8), np.uint8), np.full((10_000, 15, 2), 4, np.float32), KAGGLE)
    review = Review(samples, Ranking([], 10_000), tmp_path / "c.csv", "", locked)
    assert review.shown(9_999)["image"] == "10000"
    calls = []
    samples.original = lambda sample, keypoint: calls.append(sample) or TableSamples.original(samples, sample, keypoint)
    review.shown(5_000)
    assert set(calls) == {5_000}


# Requests


@contextlib.contextmanager
def served(opened):
    """The port of a server in a thread."""
    at = server.listening(0)
    running = server.server(opened, at, KEY)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [at]})
    thread.start()
    try:
        yield at.getsockname()[1]
    finally:
        running.should_exit = True
        thread.join(30)


@pytest.fixture(scope="module")
def serving():
    """The port of a server, and a list whose only element is the review that it shows."""
    current = []
    with served(lambda: current[0]) as found:
        yield found, current


@pytest.fixture
def port(serving, review):
    found, current = serving
    current[:] = [review]
    return found


OWN = {"X-Review-Key": KEY}
CHANGE = json.dumps({"sample": 0, "keypoint": 0, "old": "30 40", "new": "missing"})
JSON = {"Content-Type": "application/json"}


def asked(port, method, path, headers=None, body=None, host=None):
    """Status, headers and body of the answer to a request that is sent as given."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": host or f"127.0.0.1:{port}", **(headers or {})}.items():
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(None if body is None else body.encode())
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers, content


def test_a_change_from_the_page(port, review):
    """With the secret and as JSON it is made; the answer is the label, and a second one of the same old value is a conflict."""
    status, _, content = asked(port, "POST", "/api/changes", {**OWN, **JSON, "Origin": f"http://127.0.0.1:{port}"}, CHANGE)
    assert (status, json.loads(content)["value"]) == (200, "missing")
    assert review.corrections().plain() == [["images/0.png", "1", "left", "missing"]]
    status, _, content = asked(port, "POST", "/api/changes", {**OWN, **JSON}, CHANGE.replace("missing", "1 1"))
    assert (status, json.loads(content)["value"]) == (409, "missing")
    assert "is missing by now, not 30 40 by ann on" in json.loads(content)["told"]


@pytest.mark.parametrize(
    ("headers", "host", "status"),
    [
        ({}, None, 401),
        ({"X-Review-Key": "guess"}, None, 401),
        ({"X-Review-Key": "é"}, None, 401),
        ({"Cookie": f"key={KEY}"}, None, 401),
        ({**OWN, "Origin": "https://evil.example"}, None, 403),
        ({**OWN, "Origin": "null"}, None, 403),
        ({**OWN, "Origin": "http://127.0.0.1:1"}, None, 403),
        ({**OWN, "Sec-Fetch-Site": "cross-site"}, None, 403),
        ({**OWN, "Sec-Fetch-Site": "same-site"}, None, 403),
        (OWN, "evil.example", 421),
        (OWN, "127.0.0.1", 421),
        (OWN, "127.0.0.1:1", 421),
        (OWN, "127.0.0.1.evil.example", 421),
    ],
    ids=[
        "no secret",
        "wrong secret",
        "letters",
        "cookie",
        "origin",
        "null",
        "port",
        "cross-site",
        "same-site",
        "host",
        "no port",
        "other port",
        "suffix",
    ],
)
@pytest.mark.parametrize(
    "request_line", [("POST", "/api/changes"), ("GET", "/api/pictures/0"), ("GET", "/api/samples/0")], ids=["change", "picture", "sample"]
)
def test_requests_that_do_not_come_from_the_page(port, review, request_line, headers, host, status):
    """They get neither data nor changes, whatever else is right with them."""
    own = {**JSON, **headers} if request_line[0] == "POST" else headers
    found, _, content = asked(
        port, *request_line, {k: v.encode() if v == "é" else v for k, v in own.items()}, CHANGE if "POST" in request_line else None, host
    )
    assert found == status
    assert set(json.loads(content)) == {"told"}
    assert not review.file.exists()


def test_a_secret_in_the_address_opens_nothing(port):
    """Only the header counts, so no link, picture or form of another page can carry the secret."""
    assert asked(port, "GET", f"/api/samples/0?key={KEY}&x-review-key={KEY}")[0] == 401


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("POST", "/api/changes", {"Content-Type": "text/plain"}, CHANGE, 415),
        ("POST", "/api/changes", {"Content-Type": "application/x-www-form-urlencoded"}, CHANGE, 415),
        ("GET", "/api/changes", {}, None, 405),
        ("PUT", "/api/samples/0", JSON, CHANGE, 405),
        ("OPTIONS", "/api/changes", {"Access-Control-Request-Method": "POST"}, None, 405),
        ("POST", "/api/changes", JSON, "[" * 9000, 422),
        ("POST", "/api/changes", JSON, "x" * 20_000, 413),
        ("POST", "/api/changes", JSON, '{"sample": true, "keypoint": 0, "old": "30 40", "new": "missing"}', 422),
        ("POST", "/api/changes", JSON, '{"sample": 0, "keypoint": 0, "old": "30 40", "point": [NaN, 1]}', 422),
        ("POST", "/api/changes", JSON, '{"sample": 0, "keypoint": 0, "old": "30 40", "new": "missing", "file": "/etc/passwd"}', 422),
        ("GET", "/api/samples/3", {}, None, 404),
        ("GET", "/api/samples/-1", {}, None, 404),
        ("GET", "/api/samples/0?by=../../outside.png&of=%00&of=left%0d%0aX:1", {}, None, 200),
        ("GET", "/api/pictures/..%2f..%2foutside.png", {}, None, 404),
        ("GET", "/api/pictures/../../outside.png", {}, None, 404),
        ("GET", "/../outside.png", {}, None, 404),
        ("GET", "/..%2f..%2fsession.py", {}, None, 404),
        ("GET", "/page/review.js", {}, None, 404),
        ("GET", "//etc/passwd", {}, None, 404),
    ],
    ids=[
        *("text", "form", "GET", "PUT", "preflight", "brackets", "long", "bool", "NaN", "other field"),
        *("sample", "negative", "unknown order", "escaped path", "path", "above the page", "source", "folder", "absolute"),
    ],
)
def test_requests_that_make_no_sense(port, review, method, path, headers, body, status):
    """With the secret too: nothing but the samples can be read, and nothing else is changed. The server goes on."""
    found, given, _ = asked(port, method, path, {**OWN, **headers}, body)
    assert found == status
    assert "access-control-allow-origin" not in given
    assert not review.file.exists()
    assert asked(port, "GET", "/api/review", OWN)[0] == 200


def test_the_files_of_the_page(port):
    """They need no secret, contain no data, load nothing from elsewhere, and are confined by a policy."""
    for path in ("/", "/style.css", "/review.js", "/view.js", "/api.js"):
        status, headers, content = asked(port, "GET", path)
        assert status == 200
        assert b"images/0.png" not in content
        assert KEY.encode() not in content
        assert not re.search(rb"(?:src|href)=\"(?:https?:)?//|@import|url\(", content)
        assert "default-src 'none'; script-src 'self'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_labels_that_cannot_be_read(tmp_path):
    """The page gets the sentence."""

    def opened():
        raise InputError("labels.csv, row 3: no.")

    with served(opened) as port:
        status, _, content = asked(port, "GET", "/api/review", OWN)
    assert (status, json.loads(content)) == (500, {"told": "labels.csv, row 3: no."})


def test_only_this_machine_is_answered():
    """The socket is bound to the loopback address; a port in use is one sentence."""
    at = server.listening(0)
    try:
        assert at.getsockname()[0] == "127.0.0.1"
        with pytest.raises(InputError, match=rf"--port {at.getsockname()[1]} cannot be used: address already in use"):
            server.listening(at.getsockname()[1])
    finally:
        at.close()


# Colours


def colours(css, scheme):
    dark = css.index("prefers-color-scheme: dark")
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", css[: css.index("}")]))
    return found if scheme == "light" else found | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", css[dark : css.index("* {")]))


def luminance(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    values = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(scheme):
    """WCAG 2.2 AA: 4.5 to 1 for text, 3 to 1 for the edges of controls and the focus."""
    found = colours((ROOT / "pipeline" / "review" / "page" / "style.css").read_text(), scheme)
    pairs = [(ink, ground, 4.5) for ink in ("ink", "faint", "good", "bad") for ground in ("ground", "panel")]
    for one, other, least in [*pairs, ("on-accent", "accent", 4.5), ("edge", "ground", 3), ("accent", "ground", 3)]:
        light, dark = sorted((luminance(found[one]), luminance(found[other])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= least, (one, other)


# In a browser


@pytest.fixture(scope="module")
def chrome():
    chromium, driver = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no chromium and chromedriver here (Debian: apt-get install chromium chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    chrome.set_page_load_timeout(60)
    yield chrome
    chrome.quit()


class Page:
    """The page in a tab of its own."""

    def __init__(self, chrome, port, key=KEY):
        self.chrome, self.url = chrome, server.address(port, key)
        chrome.switch_to.new_window("tab")
        self.tab = chrome.current_window_handle
        chrome.get(self.url)
        self.wait(lambda: self.points())

    def wait(self, found, seconds=20):
        end = time.monotonic() + seconds
        while not (value := found()):
            assert time.monotonic() < end, [*map(self.text, ("where", "status", "trouble")), self.chrome.get_log("browser")]
            time.sleep(0.02)
        return value

    def see(self):
        self.chrome.switch_to.window(self.tab)
        return self

    def run(self, script, *arguments):
        return self.chrome.execute_script(script, *arguments)

    def text(self, name):
        return self.run("return document.getElementById(arguments[0]).textContent", name)

    def points(self):
        """The centre of each point on the screen, by keypoint."""
        found = self.run(
            "return [...document.querySelectorAll('.point')].map(p => { const b = p.querySelector('.dot').getBoundingClientRect();"
            "return [Number(p.dataset.keypoint), b.x + b.width / 2, b.y + b.height / 2] })"
        )
        return {keypoint: (x, y) for keypoint, x, y in found}

    def scale(self):
        return self.run("const v = document.getElementById('picture'); return v.clientWidth / v.viewBox.baseVal.width")

    def drag(self, keypoint, right, down):
        from selenium.webdriver.common.actions.action_builder import ActionBuilder
        from selenium.webdriver.common.actions.mouse_button import MouseButton

        x, y = self.points()[keypoint]
        actions = ActionBuilder(self.chrome)
        pointer = actions.pointer_action
        pointer.move_to_location(round(x), round(y)).pointer_down(MouseButton.LEFT)
        pointer.move_to_location(round(x + right / 2), round(y + down / 2)).move_to_location(round(x) + right, round(y) + down)
        pointer.pointer_up(MouseButton.LEFT)
        actions.perform()

    def keys(self, *keys, on="picture"):
        from selenium.webdriver.common.action_chains import ActionChains

        self.run("document.getElementById(arguments[0]).focus()", on)
        ActionChains(self.chrome).send_keys(*keys).perform()

    def saved(self, text="Saved"):
        self.wait(lambda: self.text("status").startswith(text))
        return self.text("status")

    def click(self, name):
        self.run("document.getElementById(arguments[0]).click()", name)

    def close(self):
        self.see()
        self.run("window.onbeforeunload = null")
        if len(self.chrome.window_handles) > 1:
            self.chrome.close()
            self.chrome.switch_to.window(self.chrome.window_handles[0])


@pytest.fixture
def page(chrome, port):
    opened = Page(chrome, port)
    yield opened
    assert [entry for entry in opened.chrome.get_log("browser") if "status of" not in entry["message"]] == []


def test_dragging_a_point(page, review):
    """It is saved when it is dropped, in the pixels of the label file; a reload shows the same sample with the point at its new place."""
    assert page.text("selected") == "tip"  # the most doubtful one
    assert "The label is 9.0 px from the prediction" in page.text("reasons")
    page.drag(0, 60, 30)
    told = page.saved("Saved: left ")
    (change,) = review.corrections().changes
    assert told == f"Saved: left {change.new}"
    assert (str(change.old), change.why, change.who) == ("31 41", "moved", "ann")
    assert change.new.x == pytest.approx(31 + 60 / page.scale(), abs=0.6)
    assert change.new.y == pytest.approx(41 + 30 / page.scale(), abs=0.6)
    before = page.points()[0]
    page.chrome.refresh()
    page.wait(lambda: page.points())
    assert page.points()[0] == pytest.approx(before, abs=1)
    assert "was 31 41" in page.run("document.getElementById('keypoint-0').click(); return document.getElementById('state').textContent")


def test_everything_by_keys(page, review):
    """Accept, move, occluded, missing, correct, undo and the next sample, without the mouse; the file has a line for each."""
    from selenium.webdriver.common.keys import Keys

    page.keys("a")
    assert page.saved() == "Saved: tip 60 81"
    page.keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_DOWN)
    assert page.saved("Saved: tip 58 82")
    page.keys("o")
    page.saved("Saved: tip 58 82 occluded")
    page.keys("o")
    page.saved("Saved: tip 58 82")
    page.wait(lambda: len(review.corrections().changes) == 4)
    page.keys("m")
    page.saved("Saved: tip missing")
    page.keys("u")
    page.saved("Saved: tip 58 82")
    page.keys("j")  # the keypoint after the last one is the first one
    assert page.text("selected") == "left"
    page.keys("c")
    page.saved("Saved: left 31 41")
    changes = review.corrections().changes
    assert [str(each.new) for each in changes] == [
        *("60 81", "58 82", "58 82 occluded", "58 82", "missing", "58 82"),
        "31 41",
    ]
    assert [each.why for each in changes] == ["prediction accepted", "moved", "occluded", "visible", "not to be seen", "undone", "correct"]
    page.keys("n")
    page.wait(lambda: page.text("where").startswith("2 of 3: image images/0.png"))
    page.keys("p")
    page.wait(lambda: page.text("where").startswith("1 of 3: image images/1.png"))
    page.keys("u", "u")  # across samples and in their order: of left, then of the one before it
    page.wait(lambda: len(review.corrections().changes) == 9)


def test_keys_do_not_disturb_typing(page, review):
    """A remark may contain any letter, and it becomes part of the next change; single letters can be switched off."""
    page.keys("macro, no", on="why")
    assert not review.file.exists()
    page.keys("m")
    page.saved()
    assert [each.why for each in review.corrections().changes] == ["macro, no"]
    page.click("with-keys")
    page.keys("u")
    page.keys("n")
    assert page.text("where").startswith("1 of 3")


def test_a_missing_keypoint_gets_a_place(page, review):
    """With Enter in the picture at its prediction or in the middle, and with a double click anywhere."""
    from selenium.webdriver.common.keys import Keys

    page.keys("n")
    page.wait(lambda: page.text("where").startswith("2 of 3"))
    page.keys("n")
    page.wait(lambda: page.text("where").startswith("3 of 3"))
    page.click("keypoint-2")
    assert page.text("state") == "missing"
    page.keys(Keys.ENTER)
    page.saved("Saved: tip 59.5 49.5")  # the middle of the image of 120 x 100, whose pixel centres are integers
    assert review.corrections().plain() == [["images/2.png", "1", "tip", "59.5 49.5"]]


def test_a_sample_is_labelled_from_scratch(chrome, serving, folder, tmp_path):
    """An image that the label files do not mention: by its order it comes first, its predictions are accepted with one key, the keypoint
    without one is selected next, and Load trains with the sample. A reload keeps the order.
    """
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.select import Select

    shutil.copy(folder / "images" / "0.png", folder / "images" / "new.png")
    review = reviewed(folder, tmp_path / "corrections.csv")
    port, current = serving
    current[:] = [review]
    page = Page(chrome, port)
    Select(chrome.find_element("id", "by")).select_by_visible_text("need")
    page.wait(lambda: page.text("where") == "1 of 4: image images/new.png, instance 1; ranked by need")
    page.keys(Keys.SHIFT, "A")
    page.wait(lambda: len(review.corrections().changes) == 2)
    assert page.text("selected") == "tip"
    page.keys(Keys.NULL, Keys.ENTER)
    page.wait(lambda: len(review.corrections().changes) == 3)
    chrome.refresh()
    page.wait(lambda: page.points())
    assert page.text("where").startswith("1 of 4: image images/new.png")
    own = reviewed(folder, tmp_path / "corrections.csv").samples.own
    form = ownset.convention(own.definition)
    after = corrected.of_set(own, review.corrections(), form, free=True)
    assert [one.image for one in after.instances] == [f"images/{name}.png" for name in (0, 1, 2, "new")]
    assert after.instances[3].keypoints.tolist() == [[20.5, 20.5], [60.5, 20.5], [60, 50]]
    with pytest.raises(InputError, match=r"line 2: the labels have no image images/new\.png with an instance 1"):
        corrected.of_set(own, review.corrections(), form, free=False)


def test_touch(page, review):
    """One finger drags a point and moves the picture; two change the size; none of that scrolls the page."""
    x, y = page.points()[1]

    def touch(kind, *points):
        places = [{"x": px, "y": py, "id": number} for number, (px, py) in enumerate(points)]
        page.chrome.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    touch("touchStart", (x + 6, y + 6))
    touch("touchMove", (x + 26, y + 6))
    touch("touchMove", (x + 46, y + 6))
    touch("touchEnd")
    page.saved("Saved: right ")
    (change,) = review.corrections().changes
    assert change.new.x == pytest.approx(71 + 40 / page.scale(), abs=0.6)
    before = page.scale()
    touch("touchStart", (150, 200), (250, 200))
    touch("touchMove", (100, 200), (300, 200))
    touch("touchEnd")
    assert page.scale() > 1.5 * before
    assert page.run("return [scrollX, scrollY]") == [0, 0]
    assert len(review.corrections().changes) == 1


def test_two_tabs(chrome, page, port, review):
    """The second one does not overwrite what the first has changed: it shows who has changed it, and writes only when told to."""
    second = Page(chrome, port)
    page.see().drag(0, 60, 30)
    page.saved("Saved: left ")
    first = review.corrections().by_place[LabelPlace("images/1.png", "1", "left")].value
    second.see().drag(0, -40, 0)
    second.wait(lambda: second.text("trouble"))
    assert f"Not saved. left of image images/1.png, instance 1 is {first} by now, not 31 41 by ann on" in second.text("trouble")
    assert len(review.corrections().changes) == 1
    second.click("mine")
    second.saved("Saved: left ")
    assert [str(each.old) for each in review.corrections().changes] == ["31 41", str(first)]
    page.see().drag(0, 5, 5)
    page.wait(lambda: page.text("trouble"))
    page.click("theirs")
    page.wait(lambda: page.run("return document.getElementById('alert').hidden"))
    assert len(review.corrections().changes) == 2
    second.close()
    page.see()


def test_names_for_screen_readers(page):
    """Each control has a name, the picture says what is selected, and the order of focus contains all of them."""
    controls = page.run(
        "return [...document.querySelectorAll('button, input, select, [tabindex]')].map(e => [e.id, (e.getAttribute('aria-label') ||"
        " (e.getAttribute('aria-labelledby') && document.getElementById(e.getAttribute('aria-labelledby')).textContent) ||"
        " (e.labels && e.labels[0] && e.labels[0].textContent) || e.textContent).trim(), e.tabIndex])"
    )
    assert [control for control in controls if not control[1] or control[2] < 0] == []
    assert {name: text for name, text, _ in controls}["picture"] == "Image images/1.png, instance 1. Selected: tip, at 51 81"
    small = page.run(
        "return [...document.querySelectorAll('button, input, select')]"
        ".filter(e => e.offsetParent && Math.min(e.offsetWidth, e.offsetHeight) < 20)"
        ".map(e => e.id)"
    )
    assert small == []


def started(folder, workspace, port):
    """The command in a process of its own, and the address that it prints."""
    flags = (f"--dataset-path={folder}", f"--workspace-root={workspace}", f"--port={port}", "--no-browser")
    process = subprocess.Popen([sys.executable, "-m", "pipeline", "review", *flags], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    assert line.startswith("Review page: http://127.0.0.1:"), line
    return process, re.search(r":(\d+)/#key=(\S+)", line).groups()


def test_a_server_that_is_killed(chrome, folder, tmp_path):
    """The page says that nothing is saved; what it called saved is in the file, and another server shows it and takes the rest."""
    workspace = tmp_path / "work"
    process, (port, key) = started(folder, workspace, 0)
    with process:
        page = Page(chrome, port, key)
        page.drag(0, 60, 30)
        page.saved("Saved: left ")
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = (workspace / "corrections.csv").read_bytes()
        page.drag(1, 20, 20)
        page.wait(lambda: page.text("trouble"))
        assert page.text("trouble").startswith("Not saved: the server does not answer. Start `keypoints review` again")
        assert page.text("status") == ""
        assert "not saved" in page.text("state")
    page.close()
    assert (workspace / "corrections.csv").read_bytes() == before
    process, (port, key) = started(folder, workspace, 0)
    with process:
        page = Page(chrome, port, key)
        page.wait(lambda: page.text("where").startswith("2 of 3"))  # the first sample without a correction
        page.drag(1, 20, 20)
        page.saved("Saved: right ")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    page.close()
    assert len(corrections.read(workspace / "corrections.csv").effective) == 2


def test_a_secret_of_each_server(chrome, port):
    """A page with the secret of another server gets nothing but a sentence."""
    chrome.switch_to.new_window("tab")
    chrome.get(server.address(port, secrets.token_urlsafe()))
    end = time.monotonic() + 30
    while not (told := chrome.execute_script("return document.getElementById('trouble')?.textContent")):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert "Open the address that `keypoints review` has printed." in told
    assert chrome.execute_script("return document.querySelectorAll('.point').length") == 0
    chrome.get_log("browser")


def test_the_page_needs_no_library_for_learning(folder, tmp_path):
    """To import scikit-learn takes longer than all the rest of the start."""
    code = (
        "import sys; from pipeline.commands import main; main(sys.argv[1:]); assert not {'sklearn', 'pandas', 'keras'} & set(sys.modules)"
    )
    flags = (f"--dataset-path={folder}", f"--workspace-root={tmp_path}", "--no-browser")
    with subprocess.Popen([sys.executable, "-c", code, "review", *flags], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        port, key = re.search(r":(\d+)/#key=(\S+)", process.stdout.readline()).groups()
        assert asked(int(port), "GET", "/api/samples/0", {"X-Review-Key": key})[0] == 200
        process.send_signal(signal.SIGINT)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--port", "99999", "--dataset-path=rendered"), "--port 99999 cannot be used"),
        (("--dataset-path=rendered",), "The faces are not drawn yet. Run the task Load first."),
        (("--dataset-path=bare",), "bare has no labels in a known format"),
    ],
    ids=["port", "drawn faces", "labels"],
)
def test_what_cannot_be_reviewed(tmp_path, flags, told):
    """The command ends with one sentence and writes nothing."""
    (tmp_path / "bare").mkdir()
    Image.new("L", (20, 20)).save(tmp_path / "bare" / "a.png")
    command = [sys.executable, "-m", "pipeline", "review", "--no-browser", f"--workspace-root={tmp_path}", *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "corrections.csv").exists()
