"""The page of `keypoints demo`: what is in it, what is refused, and the page in a real browser, from a file and with a camera."""

import base64
import functools
import hashlib
import html
import http.server
import io
import re
import shutil
import tarfile
import threading
import time

import numpy as np
import pytest
import test_export
from PIL import Image

from pipeline.commands import demo
from pipeline.errors import InputError
from pipeline.export import browser, web_runtime
from pipeline.export.web_runtime import BINARY, FOLDER, SCRIPT, WebRuntime
from pipeline.geometry import crops
from pipeline.inference.detectors import yunet

pytestmark = pytest.mark.keras

CARD = browser.Card("Dots", {"data": "12 drawn samples"}, ["They are dots."], ["labels"], [("nose_tip", ["1"])])
AA = 4.5  # contrast of text: https://www.w3.org/TR/WCAG22/#contrast-minimum


# What is in the page


@pytest.fixture(scope="module")
def nets():
    """A base net whose predictions are not refined, because random weights would amplify rounding."""
    return test_export.loaded([test_export.base(refined=np.bool_(False))])


def page_of(nets, **parts):
    given = {"chain": b"nets", "runtime": WebRuntime(b"script", b"binary"), "detector": None} | parts
    return browser.page(nets, browser.Embedded(**given), CARD)


def test_the_page_is_one_file_that_may_load_nothing(nets):
    """Its policy has the hash of its script and of its style, and lets nothing else in but what these unpack; it names no other file."""
    made = page_of(nets)
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', made)[1])
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    for name, tag in (("script-src", "script"), ("style-src", "style")):
        text = re.search(rf"<{tag}>(.*?)</{tag}>", made, flags=re.DOTALL)[1]
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in rules[name]
    assert rules["default-src"] == "'none'"
    assert "connect-src" not in rules
    assert re.findall(r"<(?:script|img|link|iframe)[^>]* (?:src|href)=", made) == []
    assert page_of(nets) == made


def test_the_page_says_what_its_nets_saw_and_under_which_licences(nets):
    """The card, and the licence of each program that is in the page: that of the detector only with the detector."""
    made = page_of(nets)
    for text in ("Dots", "12 drawn samples", "They are dots.", "nose_<wbr>tip", "Microsoft Corporation"):
        assert text in made
    assert "Shiqi Yu" not in made
    assert "Shiqi Yu" in page_of(nets, detector=b"net")


def test_a_page_that_is_too_large_is_refused(nets, monkeypatch):
    """The message has its size and the largest one."""
    assert browser.MOST_BYTES == 25_000_000
    monkeypatch.setattr(browser, "MOST_BYTES", 1_000_000)
    with pytest.raises(InputError, match=r"it would have 1\.[34] MB; at most 1\.0 MB are accepted"):
        page_of(nets, chain=np.random.default_rng(0).bytes(1_000_000))


def test_text_has_enough_contrast():
    """Each colour of text on each background that it stands on, in light and in dark."""
    style = (browser.FOLDER / "style.css").read_text()
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w+)", block)) for block in re.findall(r":root \{(.*?)\}", style, flags=re.DOTALL))
    pairs = [(ink, paper) for ink in ("ink", "faint", "bad", "accent") for paper in ("paper", "tint")]
    pairs += [("faint", "stage"), ("ink", "stage"), ("on-accent", "accent"), ("paper", "ink")]
    for colours in (light, light | dark):
        assert [pair for pair in pairs if contrast(*(colours[name] for name in pair)) < AA] == []


def contrast(*colours):
    """The contrast ratio of two colours: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio."""
    found = []
    for colour in colours:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        values = np.array([int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)])
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        found.append(linear @ [0.2126, 0.7152, 0.0722] + 0.05)
    return max(found) / min(found)


# What is refused


def test_several_chains_are_refused(nets):
    """A sentence says how many there are, and what to do; of one chain, the base net may be meant."""
    chain = [*nets.chains[0], test_export.eyes()]
    with pytest.raises(InputError, match=r"These nets are 2 chains, but a page holds one.*--nets"):
        demo._of_one_chain(test_export.loaded(chain, chain), "whole")
    assert [len(demo._of_one_chain(test_export.loaded(chain), part).chains[0]) for part in ("whole", "base")] == [2, 1]


@pytest.mark.parametrize("name", ["photograph.jpg", "folder.html"])
def test_only_a_page_is_written(name, tmp_path):
    """--out must end with .html, so that the command replaces no photograph, and may not be a folder."""
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(InputError, match=rf"--out .*{name}: name a file that ends with \.html\."):
        demo._check_file(tmp_path / name)


def archive(path, names):
    """An archive as npm writes it, with files of these names."""
    with tarfile.open(path, "w:gz") as file:
        for name in names:
            entry = tarfile.TarInfo(f"{FOLDER}/{name}")
            entry.size = len(name)
            file.addfile(entry, io.BytesIO(name.encode()))
    return path


def test_the_runtime_is_read_from_an_archive_or_a_folder(tmp_path):
    """Other files are refused with the way to get the right one."""
    expected = WebRuntime(SCRIPT.encode(), BINARY.encode())
    assert web_runtime.given(archive(tmp_path / "whole.tgz", [SCRIPT, BINARY])) == expected
    (tmp_path / "package" / "dist").mkdir(parents=True)
    for name in (SCRIPT, BINARY):
        (tmp_path / "package" / "dist" / name).write_text(name)
    assert web_runtime.given(tmp_path) == web_runtime.given(tmp_path / "package") == expected
    (tmp_path / "text").write_text("no archive")
    for wrong in (archive(tmp_path / "part.tgz", [SCRIPT]), tmp_path / "text", tmp_path / "missing"):
        with pytest.raises(InputError, match=r"run `npm pack onnxruntime-web@1\.30\.0` and name the file that it writes with --runtime"):
            web_runtime.given(wrong)


def test_without_npm_and_without_a_file_the_message_says_what_to_do(tmp_path, monkeypatch):
    """Files in the cache that are not those of the version are refused too."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"npm is not installed\. On a machine with npm, run `npm pack"):
        web_runtime.fetched()
    web_runtime.cached().mkdir(parents=True)
    for name in (SCRIPT, BINARY):
        (web_runtime.cached() / name).write_text("other")
    with pytest.raises(InputError, match=r"is not that of onnxruntime-web 1\.30\.0\. Remove it"):
        web_runtime.fetched()


# In a browser

SET_BOX = "FIELDS.forEach((name, k) => { $(name).value = arguments[0][k] }); $('x').dispatchEvent(new Event('change'))"


@pytest.fixture(scope="module")
def runtime():
    if not (web_runtime.cached() / BINARY).is_file():
        pytest.skip(f"{web_runtime.cached()} has no runtime for browsers; `keypoints demo` without --runtime fetches it with npm")
    return web_runtime.fetched()


@pytest.fixture(scope="module")
def exported(nets, tmp_path_factory):
    """The ONNX file of the nets."""
    from pipeline.export import graph, metadata, onnx_file

    test_export.needs("onnx")
    folder = tmp_path_factory.mktemp("onnx")
    onnx_file.write(folder, graph.built(nets), nets, metadata.metadata(nets, metadata.Facts("whole", "dots"), side=None))
    return (folder / "keypoints.onnx").read_bytes()


@pytest.fixture(scope="module")
def photograph():
    """Colours with soft spots, and structure of all sizes."""
    from pipeline.export import check_images
    from pipeline.inference.loaded import SampleFrame

    (image,) = check_images.spots(SampleFrame(300, 3), seed=1, count=1)
    return Image.fromarray(image[:211])


class Page:
    """A page in a browser of its own."""

    def __init__(self, url, *arguments):
        chromium, driver = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
        if not (chromium and driver):
            pytest.skip("no chromium and chromedriver here (Debian: apt-get install chromium chromium-driver)")
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,900", *arguments):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        self.chrome.get(url)
        self.wait("document.body.dataset.state !== 'loading'")

    def wait(self, condition, seconds=60):
        end = time.monotonic() + seconds
        while not self.run(f"return {condition}"):
            assert time.monotonic() < end, (condition, self.run("return $('status').textContent"), self.chrome.get_log("browser"))
            time.sleep(0.02)

    def run(self, script, *arguments):
        return self.chrome.execute_script(script, *arguments)

    def after(self, act):
        """Acts, and waits for the predictions."""
        before = self.run("return document.body.dataset.run")
        act()
        self.wait(f"document.body.dataset.run !== '{before}' && document.body.dataset.state === 'ready'")

    def element(self, name):
        return self.chrome.find_element("id", name)

    def keypoints(self):
        """What the table shows, (K, 2)."""
        return np.array(self.run("return [...$('rows').children].map((row) => [Number(row.dataset.x), Number(row.dataset.y)])"))

    def box(self):
        return [float(self.run("return $(arguments[0]).value", name)) for name in ("x", "y", "width", "height")]

    def close(self):
        """The page has complained about nothing, its policy included."""
        complaints = self.chrome.get_log("browser")
        self.chrome.quit()
        assert complaints == []


@pytest.fixture(scope="module")
def opened(nets, exported, runtime, photograph, tmp_path_factory):
    """The page of nets without a detector, opened as a file, with a photograph."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "demo.html").write_text(page_of(nets, chain=exported, runtime=runtime))
    photograph.save(folder / "spots.png")
    page = Page((folder / "demo.html").as_uri())
    page.after(lambda: page.element("file").send_keys(str(folder / "spots.png")))
    yield page
    page.close()


def test_the_page_predicts_as_python(opened, nets, photograph):
    """From a file, to 0.05 pixels: of the whole image at first, and of boxes inside and at the edge of it."""
    boxes = np.array([[33.25, 40.5, 101, 87], [200, 0, 100, 60]])
    squares = np.array([[0, -44.5, 300], *nets.squares(boxes)])
    predicted = test_export.predicted(nets, crops.crop(photograph, squares, nets.frame.side))
    expected = crops.to_photo(predicted, squares, nets.frame.side)
    found = [opened.keypoints()]
    for box in boxes:
        opened.after(functools.partial(opened.run, SET_BOX, box.tolist()))
        assert opened.box() == pytest.approx(box, abs=0.01)
        found.append(opened.keypoints())
    assert np.abs(np.array(found) - expected).max() < 0.05
    assert min(np.abs(expected[i] - expected[i - 1]).max() for i in range(3)) > 1


PIXELS = "const {width, height} = $('photo'); const photo = $('photo').getContext('2d').getImageData(0, 0, width, height); "


@pytest.mark.parametrize("colour", [False, True], ids=["grey", "colour"])
def test_samples_are_cut_out_as_by_python(opened, photograph, colour):
    """To the grey level: enlarged, reduced, at fractions of pixels, and over the edge."""
    squares = np.array([[10.3, 20.7, 30.1], [-40, 100.5, 250.25], [0, 0, 211], [280, 190, 90]])
    cut = PIXELS + "return arguments[0].map((square) => [...cut(photo, square, arguments[1], arguments[2])])"
    found = opened.run(cut, squares.tolist(), 48, 3 if colour else 1)
    expected = crops.crop(photograph, squares, 48, colour=colour)
    np.testing.assert_array_equal(np.array(found).reshape(expected.shape), expected)


@pytest.mark.parametrize("factors", [(2, 3), (4, 4), (7, 5)])
def test_photographs_are_reduced_as_by_pillow(opened, photograph, factors):
    """To the grey level, the last pixels of a row and of a column included."""
    reduce = "return [...reduced(padded(photo, [0, 0], [width, height], 3), [width, height], 3, arguments[0]).image]"
    expected = np.asarray(photograph.reduce(factors))
    np.testing.assert_array_equal(np.array(opened.run(PIXELS + reduce, factors)).reshape(expected.shape), expected)


def test_boxes_are_drawn_moved_and_removed(opened):
    """By pointer and by keyboard; the keypoints follow, and are saved with the name of the photograph."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    opened.run("document.activeElement.blur(); $('stage').scrollIntoView()")
    opened.element("draw").click()
    canvas = opened.chrome.find_element("id", "photo")
    scale = opened.run("return $('photo').clientWidth / $('photo').width")
    start, middle, end = (tuple(round(scale * value) for value in offset) for offset in ((-60, -30), (30, 20), (30, 30)))
    drag = ActionChains(opened.chrome, duration=20).move_to_element_with_offset(canvas, *start).click_and_hold()
    opened.after(drag.move_by_offset(*middle).move_by_offset(*end).release().perform)
    opened.wait("state.instances.length === 2 && state.instances[1].keypoints")
    assert opened.box()[2:] == pytest.approx([60, 50], abs=1)
    drawn, first = opened.box(), opened.keypoints()
    opened.run("document.querySelector('.box.selected').focus()")
    opened.after(ActionChains(opened.chrome).send_keys(Keys.ARROW_RIGHT).perform)
    assert opened.box() == pytest.approx([drawn[0] + 2, *drawn[1:]], abs=0.01)
    assert np.abs(opened.keypoints() - first).max() > 0.1
    lines = opened.run("return asCsv()").splitlines()
    assert [line.split(",")[:2] for line in lines[1:]] == [["spots.png", "1"], ["spots.png", "2"]]
    opened.after(ActionChains(opened.chrome).send_keys(Keys.DELETE).perform)
    opened.run("document.activeElement.blur()")
    opened.after(lambda: opened.element("draw").send_keys(Keys.ENTER))
    assert opened.box() == pytest.approx([100, 211 / 3, 100, 211 / 3], abs=0.01)


def test_the_page_fits_narrow_and_wide_windows(opened):
    """Nothing is wider than the window, and targets of a finger have at least 24 pixels: https://www.w3.org/TR/WCAG22/#target-size-minimum."""
    for width in (390, 1280):
        opened.chrome.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
        )
        assert opened.run("return document.documentElement.scrollWidth") <= width
        heights = opened.run("return [...document.querySelectorAll('button:not([hidden]), summary')].map((b) => b.offsetHeight)")
        assert min(heights) >= 24
    opened.chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_camera_finds_a_face(nets, exported, runtime, tmp_path):
    """On localhost, with the portrait of an astronaut in front of the camera: the box is where Python finds it, and the picture is kept."""
    import dataclasses

    skimage = pytest.importorskip("skimage")
    if (model := yunet.model()) is None:
        pytest.skip("the packages of the extra faces are missing")
    from pipeline.export import face_detector

    faces = dataclasses.replace(nets, detector="face")
    (tmp_path / "demo.html").write_text(page_of(faces, chain=exported, runtime=runtime, detector=face_detector.resizable(model)))
    portrait = Image.fromarray(skimage.data.astronaut()).crop((0, 0, 512, 384)).resize((640, 480))
    portrait.save(tmp_path / "camera.mjpeg", "JPEG", quality=95)
    handler = functools.partial(QuietHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        camera = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
        file = f"--use-file-for-fake-video-capture={tmp_path / 'camera.mjpeg'}"
        page = Page(f"http://localhost:{server.server_port}/demo.html", *camera, file)
        page.element("camera").click()
        page.wait("state.instances.length === 1 && state.instances[0].keypoints")
        page.after(page.element("still").click)
        box, size, live = page.box(), page.run("return state.size"), page.run("return state.stream")
        page.chrome.get_log("browser")  # the icon that browsers ask servers for
        page.close()
        server.shutdown()
    assert (size, live) == ([640, 480], None)
    (face,) = yunet.find(portrait)
    assert box == pytest.approx([*face, face[2]], abs=4)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, *arguments):
        """Says nothing."""
