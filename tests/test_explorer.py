"""The explorer, clicked through in a browser: it shows what the service answers, and everybody can use it."""

from __future__ import annotations

import csv
import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import httpx2
import pytest
import torch

import whyrec as wr
from whyrec.spearman import spearman

pytest.importorskip("playwright.sync_api", reason="no Playwright to drive a browser with")
pytest.importorskip("uvicorn", reason="no server for the page")
import uvicorn
from playwright.sync_api import sync_playwright

from whyrec.service_settings import ServiceSettings
from whyrec.web_app import create

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WEB = Path(wr.__file__).parent / "web"
USER, OBJECTING = "u0003", "u0007"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service on this machine, with LRP judged, and a user who objects to profiling."""
    split = wr.leave_last_out(wr.planted(users=80, items=50))
    place = tmp_path_factory.mktemp("explored")
    model = wr.fit(wr.MF(factors=8), split, wr.Training(epochs=15))
    folder = wr.save(model, place / "model", split=split)
    app = create(ServiceSettings(folder=folder, judged=("lrp",)))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    found = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    post(found, "/verify", {})
    post(found, "/opt-out", {"user": OBJECTING})
    yield found
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """A page that must not complain, nor ask anybody but the service."""
    opened = browser.new_page(viewport={"width": 1400, "height": 900})
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda problem: complaints.append(str(problem)))
    opened.on("request", lambda asked: complaints.append(asked.url) if is_foreign(asked.url, address) else None)
    opened.set_default_timeout(10_000)
    opened.goto(f"{address}/#user={USER}")
    ready(opened)
    yield opened
    opened.close()
    assert not complaints


def is_foreign(asked: str, address: str) -> bool:
    return not asked.startswith((f"{address}/", "data:", f"blob:{address}"))


def ready(page: Any) -> None:
    """The list has its reasons, and the first item its waterfall."""
    page.locator(".list .reasons", has_text=".").first.wait_for()
    page.locator(".waterfall svg").wait_for()


def post(address: str, path: str, body: dict[str, Any]) -> Any:
    answer = httpx2.post(address + path, json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def listed(address: str, user: str = USER) -> Any:
    return post(address, "/recommend", {"users": [user]})["lists"][0]


def titles(page: Any) -> list[str]:
    return [text.strip() for text in page.locator(".list tbody button").all_inner_texts()]


def past_of(page: Any) -> list[str]:
    return [text.strip() for text in page.locator(".past li label").all_inner_texts()]


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def test_the_list_is_what_the_service_answers_with_the_reasons_it_gives(page: Any, address: str) -> None:
    answer = listed(address)
    items = [one["item"] for one in answer["items"]]
    why = post(address, "/explain", {"user": USER, "items": items})["explanations"]
    assert titles(page) == [one["title"] for one in answer["items"]]
    assert [number(text) for text in page.locator(".list tbody td.number").all_inner_texts()] == pytest.approx(
        [one["score"] for one in answer["items"]], abs=0.006
    )
    assert page.locator(".list .reasons").all_inner_texts() == [one["text"] for one in why]
    assert any(one["reasons"] for one in why)
    assert page.locator(".by .badge").inner_text().strip() == why[0]["verdict"]


def test_a_user_is_found_with_the_keyboard_alone(page: Any, address: str) -> None:
    field = page.get_by_role("combobox", name="Find a user")
    field.focus()
    page.keyboard.type("u001")
    page.get_by_role("option", name="u0010").wait_for()
    page.keyboard.press("ArrowDown")
    expected = page.locator("[role=option][aria-selected=true]").inner_text().strip()
    assert field.get_attribute("aria-activedescendant") == page.locator("[aria-selected=true]").get_attribute("id")
    page.keyboard.press("Enter")
    page.locator(".chosen", has_text=expected).wait_for()
    page.wait_for_function(
        "wanted => document.querySelector('.list button').innerText === wanted",
        arg=listed(address, expected)["items"][0]["title"],
    )
    assert f"user={expected}" in page.url


def test_somebody_new_is_built_from_titles(page: Any, address: str) -> None:
    page.get_by_role("radio", name="Somebody new").check()
    assert len(past_of(page)) == len(listed(address)["history"])
    page.get_by_role("button", name="Begin anew").click()
    page.get_by_text("add a title to a new past").wait_for()
    item = httpx2.get(address + "/items?limit=1").json()["matches"][0]
    page.get_by_role("combobox", name="Add a title").fill(item["title"])
    page.locator("[role=option]").first.click()
    ready(page)
    answer = post(address, "/recommend", {"history": [item["item"]]})["lists"][0]
    assert titles(page) == [one["title"] for one in answer["items"]]


def test_a_past_item_taken_out_moves_the_list_and_can_be_put_back(page: Any, address: str) -> None:
    answer = listed(address)
    before, gone = titles(page), answer["history"][0]
    page.get_by_role("checkbox", name=gone["title"], exact=True).uncheck()
    page.get_by_role("heading", name="The list as it would be").wait_for()
    changed = post(address, "/what-if", {"user": USER, "remove": [gone["item"]], "explained": 10})
    assert titles(page) == [one["title"] for one in changed["after"]]
    assert page.locator(".list .reasons").all_inner_texts() == [one["text"] for one in changed["after"]]
    ranks = {one["item"]: one["rank"] for one in changed["before"]}
    assert [moves(one) for one in page.locator(".moved").all()] == [
        ranks[one["item"]] - one["rank"] if one["item"] in ranks else None for one in changed["after"]
    ]
    taken = page.locator(".past input:checked")
    while taken.count():
        taken.first.uncheck()
    page.get_by_text("Nothing of the past is left").wait_for()
    page.get_by_role("button", name="As it was").click()
    page.get_by_role("heading", name="The list", exact=True).wait_for()
    assert titles(page) == before


def moves(cell: Any) -> int | None:
    """Places up; None for who was not there."""
    text = cell.inner_text().strip()
    if text in ("new", "="):
        return None if text == "new" else 0
    return int(text.split()[1]) * (1 if text.startswith("▲") else -1)


def test_an_added_item_stands_in_the_past_and_in_the_address(page: Any, address: str) -> None:
    known = set(past_of(page))
    items = httpx2.get(address + "/items?limit=50").json()["matches"]
    new = next(one for one in items if one["title"] not in known)
    page.get_by_role("combobox", name="Add to the past").fill(new["title"])
    page.locator("[role=option]").first.click()
    page.get_by_role("heading", name="The list as it would be").wait_for()
    assert past_of(page)[-1].startswith(new["title"])
    assert f"also={new['item']}" in page.url
    changed = post(address, "/what-if", {"user": USER, "add": [new["item"]]})
    assert titles(page) == [one["title"] for one in changed["after"]]


def test_the_waterfall_ends_at_the_score_and_its_table_has_every_unit(page: Any, address: str) -> None:
    item = listed(address)["items"][1]
    page.get_by_role("button", name=item["title"], exact=True).click()
    page.get_by_role("heading", name=f"Why {item['title']}").wait_for()
    page.locator(".waterfall title", has_text=f"score: {item['score']:.2f}".replace("-", "−")).wait_for(
        state="attached"
    )
    why = post(address, "/explain", {"user": USER, "items": [item["item"]]})["explanations"][0]
    page.get_by_text("The same as a table").click()
    rows = page.locator("details tbody tr:not(.quiet)")
    assert rows.count() == len(why["parts"])
    shown = [number(text.split("\t")[-1]) for text in rows.all_inner_texts()]
    assert shown == pytest.approx([one["relevance"] for one in why["parts"]], abs=6e-4)
    drawn = [number(text.rsplit(": ", 1)[1]) for text in page.locator(".waterfall title").all_text_contents()]
    assert sum(drawn[:-1]) == pytest.approx(drawn[-1], abs=0.07)


def test_two_methods_stand_side_by_side_with_their_agreement(page: Any, address: str) -> None:
    item = listed(address)["items"][0]["item"]
    page.get_by_label("Compare with").select_option("random")
    text = page.locator(".agreement p").inner_text()
    values = []
    for method in ("lrp", "random"):
        parts = post(address, "/explain", {"user": USER, "items": [item], "method": method})["explanations"][0]["parts"]
        values.append([one["relevance"] for one in sorted(parts, key=lambda one: str(one["unit"]))])
    first, second = (torch.tensor([one]) for one in values)
    expected = float(spearman(first, second, torch.ones_like(first, dtype=torch.bool)))
    assert number(re.findall(r"correlation (\S+)", text)[0]) == pytest.approx(expected, abs=0.006)


def test_agreement_shares_the_ranks_of_ties_as_the_library_does(page: Any) -> None:
    first, second = [1.0, 1.0, 2.0, 3.0, -1.0], [0.5, 2.0, 2.0, 2.0, 1.0]
    there = torch.ones(1, 5, dtype=torch.bool)
    expected = float(spearman(torch.tensor([first]), torch.tensor([second]), there))
    found = page.evaluate("pair => import('/web/agreement.js').then(one => one.spearman(...pair))", [first, second])
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_contrast_is_about_the_lead_over_the_other_item(page: Any, address: str) -> None:
    first, second = listed(address)["items"][:2]
    page.get_by_label("Rather than").select_option(second["item"])
    page.get_by_text(f"Lead {first['score'] - second['score']:.2f} by lrp").wait_for()
    page.get_by_text("Reasons are checked for scores only").wait_for()


def test_a_method_without_verdict_gives_no_reasons_until_it_is_checked(page: Any) -> None:
    page.get_by_label("Method", exact=True).select_option("random")
    page.locator(".list .reasons", has_text="random has not been judged").first.wait_for()
    page.get_by_role("button", name="Check random").click()
    card = page.get_by_role("region", name="Report card")
    card.locator(".badge", has_text="not better than random").wait_for()
    page.locator(".list .reasons", has_text="found to be not better than random").first.wait_for()
    assert card.get_by_role("img", name="Deletion by how many units").count() == 1


def test_what_keeps_an_item_similar_items_and_main_parameters(page: Any, address: str) -> None:
    first = listed(address)["items"][0]
    page.get_by_role("button", name="Look for past items").click()
    told = post(address, "/explain", {"user": USER, "items": [first["item"]], "counterfactual": True})
    page.get_by_text(told["explanations"][0]["counterfactual"]["text"]).wait_for()
    similar = post(address, "/similar", {"item": first["item"], "k": 8})["items"]
    shown = page.get_by_role("region", name="Similar items").locator("tbody th")
    assert [text.strip() for text in shown.all_inner_texts()] == [one["title"] for one in similar]
    page.get_by_role("button", name="Measure by lrp").click()
    shares = page.get_by_role("region", name="Main parameters").locator("td.number")
    shares.first.wait_for()
    values = [float(text.split(" %")[0]) for text in shares.all_inner_texts()]
    assert sum(values) == pytest.approx(100, abs=1)


def test_the_address_shows_somebody_else_the_same_page(page: Any, browser: Any, address: str) -> None:
    answer = listed(address)
    page.get_by_role("checkbox", name=answer["history"][1]["title"], exact=True).uncheck()
    page.get_by_role("heading", name="The list as it would be").wait_for()
    page.locator(".list tbody button").nth(2).click()
    page.get_by_label("Compare with").select_option("occlusion")
    page.locator(".agreement p").wait_for()
    other = browser.new_page()
    other.goto(page.url)
    other.get_by_role("heading", name="The list as it would be").wait_for()
    other.locator(".agreement p").wait_for()
    assert other.locator(".agreement p").inner_text() == page.locator(".agreement p").inner_text()
    assert titles(other) == titles(page)
    assert other.locator("#why").inner_text() == page.locator("#why").inner_text()
    other.close()


def test_list_and_reasons_are_saved_as_csv_json_and_png(page: Any, address: str) -> None:
    def saved(region: str, kind: str) -> Path:
        with page.expect_download() as download:
            page.get_by_role("region", name=region).get_by_role("button", name=kind, exact=True).click()
        return Path(download.value.path())

    answer = listed(address)
    with saved("The list", "CSV").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["item"], float(row["score"])) for row in rows] == [
        (one["item"], one["score"]) for one in answer["items"]
    ]
    document = json.loads(saved("Why", "JSON").read_text(encoding="utf-8"))
    assert document["item"] == answer["items"][0]["item"]
    assert len(saved("Why", "CSV").read_text(encoding="utf-8").splitlines()) == 1 + len(document["parts"])
    assert saved("Why", "PNG").read_bytes().startswith(b"\x89PNG")


def test_who_objected_gets_a_list_without_profiling_and_nothing_about_their_past(page: Any, address: str) -> None:
    page.goto(f"{address}/#user={OBJECTING}")
    page.get_by_text("Nothing about this user goes into the list").wait_for()
    assert titles(page) == [one["title"] for one in listed(address, OBJECTING)["items"]]
    assert page.get_by_role("checkbox").count() == 0
    assert page.locator(".trouble").count() == 0


def test_a_refusal_is_shown_as_the_service_worded_it(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(f"{address}/#user=nobody")
    page.get_by_role("alert").filter(has_text="user 'nobody' is not among the users of this model").first.wait_for()
    page.close()


def test_every_control_has_a_name_and_the_page_has_its_landmarks_in_order(page: Any) -> None:
    page.get_by_label("Compare with").select_option("occlusion")
    page.locator(".agreement p").wait_for()
    assert page.evaluate(UNNAMED) == []
    assert page.get_by_role("main").count() == page.get_by_role("banner").count() == 1
    levels = page.locator("h1, h2, h3, h4").evaluate_all("found => found.map(one => Number(one.tagName[1]))")
    assert [place for place, level in enumerate(levels) if level == 1] == [0]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = page.locator("[id]").evaluate_all("found => found.map(one => one.id)")
    assert len(ids) == len(set(ids))
    for name in ("for", "aria-labelledby", "aria-controls", "aria-describedby"):
        pointed = page.locator(f"[{name}]").evaluate_all(f"found => found.map(one => one.getAttribute('{name}'))")
        assert set(pointed) <= set(ids), name
    assert page.locator("html").get_attribute("lang") == "en"


UNNAMED = """() => [...document.querySelectorAll('button, input, select, a, summary, [role=img], [tabindex="0"]')]
  .filter(one => !(one.innerText?.trim() || one.getAttribute('aria-label') || one.labels?.length))
  .filter(one => one.tagName !== 'SELECT' || !one.labels.length)
  .map(one => one.outerHTML.slice(0, 80))"""


def test_every_control_is_reached_by_tab_and_shows_it(page: Any) -> None:
    wanted = page.locator("button:enabled:visible, select, input[type=text], input[type=checkbox], summary").count()
    seen: set[str] = set()
    for _ in range(wanted + 8):
        page.keyboard.press("Tab")
        outline, name = page.evaluate(FOCUSED)
        assert outline != "0px", name
        seen.add(name)
    assert len(seen) >= wanted


FOCUSED = """() => {
  const one = document.activeElement;
  if (one === document.body) return ['2px', 'BODY'];
  const all = [...document.querySelectorAll('*')];
  return [getComputedStyle(one).outlineStyle === 'none' ? '0px' : getComputedStyle(one).outlineWidth,
    `${one.tagName} ${all.indexOf(one)}`];
}"""


def test_text_can_be_read_in_light_and_dark_and_nothing_is_wider_than_the_page(page: Any) -> None:
    for scheme, width in product(("light", "dark"), (400, 1400)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = page.evaluate(COLOURS)
        assert len(found) >= 3
        for ink, paper, text in found:
            assert contrast(ink, paper) >= 4.5, (scheme, text, ink, paper)


COLOURS = """() => {
  const rgb = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const paper = rgb(getComputedStyle(one).backgroundColor);
      if (paper.length === 3 || paper[3] > 0) return paper.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const found = new Map();
  for (const one of document.querySelectorAll('body *')) {
    if (!one.checkVisibility() || one.disabled || one.closest('svg rect, option')) continue;
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own) continue;
    const style = getComputedStyle(one);
    const ink = rgb(one.closest('svg') ? style.fill : style.color).slice(0, 3);
    const paper = behind(one);
    found.set(`${ink} ${paper}`, [ink, paper, one.textContent.slice(0, 40)]);
  }
  return [...found.values()];
}"""


def contrast(ink: list[float], paper: list[float]) -> float:
    """The contrast ratio of WCAG 2.2."""
    light, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: list[float]) -> float:
    parts = [value / 255 for value in colour]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_page_may_ask_only_its_own_service_and_its_library_comes_with_its_licences(address: str) -> None:
    assert "default-src 'self'" in httpx2.get(address + "/").headers["content-security-policy"]
    for file in WEB.glob("*.*"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"\bon[a-z]+=\"|<script>|<style>|style=\"", text), file
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), file
    assert {"htm.LICENSE", "preact.LICENSE"} <= {file.name for file in (WEB / "vendor").iterdir()}
