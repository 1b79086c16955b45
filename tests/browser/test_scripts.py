"""S8: what comes in from outside is text on the page, wherever it stands: nothing of it is ever run."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.conftest import Opener, Site
from tests.browser.home import DAY, emit, make_home, ready, run_id, run_is
from tests.operating import get, post
from tests.serving import client_of, serving

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

#: Each would set `window.ran` or open a dialog, had it been taken for anything but text.
PAYLOADS = (
    "<script>window.ran=1</script>",
    "<SCRIPT SRC=data:text/javascript,window.ran=2></SCRIPT>",
    "<img src=x onerror=window.ran=3>",
    "<img src=x onerror=alert(4)>",
    "<IMG SRC='javascript:window.ran=5'>",
    "<svg onload=window.ran=6>",
    "<svg><script>window.ran=7</script></svg>",
    "<svg/onload=alert`8`>",
    "<svg><animate onbegin=window.ran=9 attributeName=x dur=1s>",
    "<svg><a xlink:href='javascript:window.ran=10'><text>x</text></a></svg>",
    "<svg><foreignObject><body onload=window.ran=11></foreignObject></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.ran=12>",
    "<math href='javascript:window.ran=13'>x</math>",
    "<body onload=window.ran=14>",
    "<iframe src='javascript:parent.ran=15'></iframe>",
    "<iframe srcdoc='<script>parent.ran=16</script>'></iframe>",
    "<object data='javascript:window.ran=17'></object>",
    "<embed src='data:text/html,<script>opener.ran=18</script>'>",
    "<a href='javascript:window.ran=19'>x</a>",
    "<a href='data:text/html,<script>window.ran=20</script>'>x</a>",
    "<form action='javascript:window.ran=21'><button>x</button></form>",
    "<button formaction='javascript:window.ran=22'>x</button>",
    "<input autofocus onfocus=window.ran=23>",
    "<select autofocus onfocus=window.ran=24>",
    "<textarea autofocus onfocus=window.ran=25>",
    "<details open ontoggle=window.ran=26>",
    "<video src=x onerror=window.ran=27>",
    "<video><source onerror=window.ran=28></video>",
    "<audio src=x onerror=window.ran=29>",
    "<marquee onstart=window.ran=30>",
    "<div style='animation-name:pulse' onanimationstart=window.ran=31>",
    "<style>@import 'data:text/css,*{color:red}';</style>",
    "<link rel=stylesheet href='data:text/css,*{display:none}'>",
    "<meta http-equiv=refresh content='0;javascript:window.ran=34'>",
    "<base href='javascript:window.ran=35//'>",
    "<template><script>window.ran=36</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=window.ran=37>'>",
    "<xss id=x tabindex=1 onfocus=window.ran=38></xss>",
    '"><img src=x onerror=window.ran=39>',
    "'><img src=x onerror=window.ran=40>",
    '" autofocus onfocus=window.ran=41 x="',
    "' onmouseover=window.ran=42 '",
    "</title><script>window.ran=43</script>",
    "</pre></textarea></script><script>window.ran=44</script>",
    "<!--><img src=x onerror=window.ran=45>-->",
    "<![CDATA[<img src=x onerror=window.ran=46>]]>",
    "javascript:window.ran=47",
    "${window.ran=48}{{constructor.constructor('window.ran=48')()}}",
    "&lt;img src=x onerror=window.ran=49&gt;&#60;script&#62;window.ran=49",
    "%3Cscript%3Ewindow.ran=50%3C/script%3E\u003cscript\u003ewindow.ran=50\u003c/script\u003e",
)

#: An element that only a payload could have made.
STRANGERS = (
    "body script, img:not([src^='/page/'][src$='/icon.svg']), iframe, object, embed, video, audio, marquee, "
    "math, xss, style, base, template, foreignObject, link[href^=data], meta[http-equiv=refresh], "
    "[onerror], [onload], [onfocus], [onmouseover], [ontoggle], [formaction], "
    "[href^='javascript:'], [src^='javascript:'], [action^='javascript:']"
)

#: What came from outside, in all that a file of a pipeline may call as it likes.
TOLD = """\
name: told
description: {description}
start: 2026-03-01
end: 2026-03-31
datasets:
  told: {{complete: {{parts: {parts}}}}}
sensors:
  teller:
    type: events
    match: {{type: [told]}}
    partition: data.day
    part: data.part
    dataset: told
tasks:
  say: {{inputs: [told], run: ["true"]}}
"""

#: A task whose log has all payloads, and whose error is the one that is its partition's.
SHOUT = """\
name: shout
partition: key
tasks:
  shout: {inputs: [shouts], run: 'cat payloads; sed -n "${SENSORFLOW_PARTITION}p" payloads; exit 1'}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hostile(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """Give a service that has been told payloads, in every place that takes a text."""
    home = tmp_path_factory.mktemp("hostile") / "home"
    (home / "pipelines").mkdir(parents=True)
    told = TOLD.format(description=json.dumps(" ".join(PAYLOADS)), parts=json.dumps(PAYLOADS))
    (home / "pipelines" / "told.yaml").write_text(told)
    (home / "pipelines" / "shout.yaml").write_text(SHOUT)
    (home / "payloads").write_text("\n".join(PAYLOADS) + "\n")
    async with serving(home) as service, client_of(service) as client:
        site = Site(home, service, client)
        await tell(site)
        yield site


async def tell(site: Site) -> None:
    for number, payload in enumerate(PAYLOADS):
        named = {"id": f"{number} {payload}", "subject": payload}
        await emit(site.client, "told", {"day": payload, "part": payload}, **named)
        await emit(site.client, payload, {payload: payload}, **named | {"id": f"{number} {payload} again"})
    await emit(site.client, "told", {"day": DAY, "part": PAYLOADS[0], "all": PAYLOADS})
    run = await run_is(site.service, "told", DAY, "waiting")
    for number in (1, 2, len(PAYLOADS)):
        await ready(site.client, "shouts", str(number))
        failed = await run_is(site.service, "shout", str(number), "failed")
        assert failed != run
    for payload in PAYLOADS:
        made = await post(site.client, "runs", {"pipeline": "told", "partition": DAY, "reason": payload})
        assert made[0] == 200, made
    backfill = {
        "pipeline": "told",
        "from": "2026-03-01",
        "to": "2026-03-02",
        "reason": " ".join(PAYLOADS[:30]),
    }
    assert (await post(site.client, "backfills", backfill))[0] == 201


async def nothing_ran(page: Page) -> None:
    assert await page.evaluate("() => window.ran") is None
    assert await page.locator(STRANGERS).evaluate_all("(found) => found.map((each) => each.outerHTML)") == []


async def test_fifty_payloads_in_whatever_comes_from_outside_stay_text(opened: Opener, hostile: Site) -> None:
    assert len(set(PAYLOADS)) == 50
    _, backfills = await get(hostile.client, "backfills")
    waiting, failed = run_id(hostile.service, "told", DAY), run_id(hostile.service, "shout", "1")
    page = await opened(hostile.url)
    for place, shows in {
        "#/": "told",
        "#/pipelines/told": PAYLOADS[0],
        f"#/pipelines/told?partition={DAY}": PAYLOADS[0],
        "#/pipelines/told/what-if": "told",
        "#/events": PAYLOADS[-1],
        "#/events?state=rejected": PAYLOADS[-1],
        "#/events?state=unmatched": PAYLOADS[-1],
        "#/events/1": PAYLOADS[0],
        "#/events/2": PAYLOADS[0],
        "#/events/101": PAYLOADS[-2],
        "#/datasets": "told",
        "#/datasets/told": PAYLOADS[0],
        f"#/datasets/told?partition={DAY}": PAYLOADS[0],
        "#/sensors": "teller",
        "#/runs": "told",
        f"#/runs/{waiting}": PAYLOADS[0],
        f"#/runs/{failed}?task=shout": PAYLOADS[-1],
        "#/alerts": PAYLOADS[0],
        "#/backfills": "told",
        f"#/backfills/{backfills['items'][0]['id']}": PAYLOADS[0],
    }.items():
        await page.evaluate("(hash) => (location.hash = hash)", place)
        await expect(page.get_by_role("main")).to_contain_text(shows)
        await nothing_ran(page)


async def test_fifty_payloads_in_the_address_stay_text(opened: Opener, hostile: Site) -> None:
    page = await opened(
        hostile.url, allowed="Failed to load resource: the server responded with a status of 4"
    )
    for number, payload in enumerate(PAYLOADS):
        quoted = quote(payload, safe="")
        places = (
            "runs/{}",
            "pipelines/{}",
            "datasets/{}",
            "events/{}",
            "runs?pipeline={}",
            "events?state={}",
            "{}",
        )
        place = places[number % len(places)].format(quoted)
        await page.evaluate("(hash) => (location.hash = hash)", f"#/{place}")
        await expect(
            page.get_by_role("alert").or_(page.get_by_text("There is no such place.")).first
        ).to_be_visible()
        await nothing_ran(page)


async def test_an_address_that_cannot_be_decoded_is_no_place(opened: Opener, hostile: Site) -> None:
    page = await opened(hostile.url, "#/%E0%A4%A")
    await expect(page.get_by_text("There is no such place.")).to_be_visible()


async def test_fifty_payloads_that_arrive_while_somebody_looks_stay_text(
    opened: Opener, tmp_path: Path
) -> None:
    async with serving(make_home(tmp_path / "home")) as service, client_of(service) as client:
        page = await opened(service.url, "#/events")
        await expect(page.get_by_role("status").get_by_text("live")).to_be_visible()
        for payload in PAYLOADS:
            await emit(client, payload, payload, id=payload)
        await expect(page.get_by_role("main")).to_contain_text(PAYLOADS[-2])
        await expect(page.get_by_role("main")).to_contain_text(PAYLOADS[-1])
        await nothing_ran(page)
        await page.context.close()


async def test_even_what_would_be_taken_for_html_is_not_run(opened: Opener, hostile: Site) -> None:
    """The policy is the second wall; and this shows that the other tests would find a hole in the first."""
    page = await opened(hostile.url, allowed="^(error|warning|asked)")
    await expect(page.get_by_role("main")).to_contain_text("told")
    await page.evaluate(
        """(payloads) => new Promise((done) => {
          for (const payload of payloads) {
            const made = document.createElement("div");
            made.innerHTML = payload;
            document.body.append(made);
          }
          requestAnimationFrame(() => setTimeout(done));
        })""",
        PAYLOADS,
    )
    assert await page.evaluate("() => window.ran") is None
    assert await page.locator(STRANGERS).count() > 30
