import datetime as dt
import email.utils
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from urllib.parse import quote

import polars as pl
import pytest
from service import HTML, Answer, Service, serving

from alfred.core.errors import ConfigError, FetchError
from alfred.lake.contracts import Batch, ProviderDescription, Rejected
from alfred.lake.keys import key_of, needed_key, scrub, scrub_batch
from alfred.lake.web import HttpWeb, WebSettings, seconds_of

KEY = "S3CRET0KEY+/9"
FAST = WebSettings(tries=3, silence_s=0.2, try_s=0.4, total_s=3, first_wait_s=0.01, longest_wait_s=0.02)


def described(name: str = "test", rate: float = 1000.0) -> ProviderDescription:
    return ProviderDescription(
        name, ("series",), "", kind="network", key_variable="TEST_KEY", requests_per_second=rate, concurrency=4
    )


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as running:
        yield running


Make = Callable[[ProviderDescription, WebSettings], HttpWeb]


@pytest.fixture
def make() -> Iterator[Make]:
    with ExitStack() as stack:

        def made(description: ProviderDescription, settings: WebSettings) -> HttpWeb:
            web = HttpWeb(description, settings)
            stack.callback(web.close)
            return web

        yield made


@pytest.fixture
def web(make: Make, monkeypatch: pytest.MonkeyPatch) -> HttpWeb:
    monkeypatch.setenv("TEST_KEY", KEY)
    return make(described(), FAST)


def test_a_good_answer_is_given_as_it_is(service: Service, web: HttpWeb) -> None:
    service.on("/a", Answer('{"x": [1, 2]}'))
    assert web.json(f"{service.url}/a", {"q": "ä b"}) == {"x": [1, 2]}
    assert web.text(f"{service.url}/a") == '{"x": [1, 2]}'
    assert service.seen[0].query == {"q": "ä b"}
    assert service.seen[0].headers["User-Agent"].startswith("Alfred/")


@pytest.mark.parametrize(
    "bad",
    [
        Answer("busy", status=429, headers={"Retry-After": "0"}),
        Answer("busy", status=429),
        Answer("oops", status=500),
        Answer("oops", status=503),
        Answer('{"x": [1, 2'),
        Answer(""),
        Answer(HTML),
        Answer('{"x": [1, 2]}', announced=500),
        Answer('{"x": [1, 2]}', delay_s=0.5),
        Answer(closed=True),
    ],
)
def test_what_may_pass_is_tried_again(service: Service, web: HttpWeb, bad: Answer) -> None:
    service.on("/a", bad, bad, Answer('{"x": 1}'))
    assert web.json(f"{service.url}/a") == {"x": 1}
    assert len(service.seen) == 3


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Answer("busy", status=429), r"after 3 tries: status 429 \(busy\)\.$"),
        (Answer(HTML, status=502), r"after 3 tries: status 502\.$"),
        (Answer('{"x": [1, 2'), r"after 3 tries: the JSON is cut off or broken at character 11 of 11\.$"),
        (Answer(HTML), "a web page came in place of JSON"),
        (Answer("x", delay_s=0.5), r"no answer in time \(ReadTimeout\)"),
        (Answer(closed=True), r"the connection failed \(RemoteProtocolError"),
    ],
)
def test_the_last_failure_is_told_with_the_address_alone(
    service: Service, web: HttpWeb, bad: Answer, reason: str
) -> None:
    service.on("/a/b", bad)
    with pytest.raises(FetchError, match=reason) as caught:
        web.json(f"{service.url}/a/b", {"api_key": KEY})
    assert str(caught.value).startswith(f"test gave no usable answer at {service.url}/a/b after")
    assert len(service.seen) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_other_refusals_fail_at_once(service: Service, web: HttpWeb, status: int) -> None:
    service.on("/a", Answer('{"error": "Bad value"}', status=status))
    with pytest.raises(FetchError, match=rf'/a: status {status} \({{"error": "Bad value"}}\)'):
        web.json(f"{service.url}/a")
    assert len(service.seen) == 1


def test_nobody_there_is_a_failure_with_an_address(web: HttpWeb) -> None:
    with serving() as gone:
        url = gone.url
    with pytest.raises(FetchError, match=r"127\.0\.0\.1:\d+/x after 3 tries: the connection failed \(ConnectError"):
        web.text(f"{url}/x")


def test_bytes_that_drip_do_not_last_for_ever(make: Make, service: Service) -> None:
    service.on("/a", Answer("x" * 1000, delay_s=0.05, drip=True))
    web = make(described(), FAST.model_copy(update={"tries": 1}))
    begun = time.monotonic()
    with pytest.raises(FetchError, match="not complete in time"):
        web.text(f"{service.url}/a")
    assert time.monotonic() - begun < 1.5


def test_an_answer_without_bound_is_refused(make: Make, service: Service) -> None:
    service.on("/a", Answer("x" * 1000))
    web = make(described(), FAST.model_copy(update={"largest_bytes": 100}))
    with pytest.raises(FetchError, match="larger than 100 bytes"):
        web.text(f"{service.url}/a")


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_obeyed(service: Service, web: HttpWeb, form: str) -> None:
    due = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)).replace(microsecond=0)
    after = "1" if form == "seconds" else email.utils.format_datetime(due, usegmt=True)
    service.on("/a", Answer("busy", status=429, headers={"Retry-After": after}), Answer("fine"))
    assert web.text(f"{service.url}/a") == "fine"
    first, second = service.seen
    if form == "seconds":
        assert second.at - first.at > 0.9
    else:
        assert dt.datetime.now(dt.UTC) >= due


def test_all_threads_wait_when_one_is_told_to(service: Service, web: HttpWeb) -> None:
    service.on("/busy", Answer("busy", status=429, headers={"Retry-After": "1"}), Answer("fine"))
    service.on("/other", Answer("fine"))
    thread = threading.Thread(target=web.text, args=(f"{service.url}/busy",))
    thread.start()
    while not service.asked("/busy"):
        time.sleep(0.01)
    time.sleep(0.1)
    web.text(f"{service.url}/other")
    thread.join()
    assert service.asked("/other")[0].at - service.asked("/busy")[0].at > 0.9


def test_a_wait_beyond_the_limit_fails_at_once_and_says_how_long(make: Make, service: Service) -> None:
    # Its own name: a pause of an hour would hold up the other tests' turns.
    web = make(described("test-later"), FAST)
    service.on("/a", Answer("daily limit", status=429, headers={"Retry-After": "3600"}))
    begun = time.monotonic()
    with pytest.raises(FetchError, match=r"status 429 \(daily limit\), and the next try would be in 3,600 s"):
        web.text(f"{service.url}/a")
    assert time.monotonic() - begun < 1


@pytest.mark.parametrize(
    ("text", "seconds"), [(None, None), ("7", 7.0), ("soon", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)]
)
def test_retry_after_has_two_forms(text: str | None, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


def test_the_rate_is_shared_by_threads_and_clients(make: Make, service: Service) -> None:
    service.on("/a", Answer("fine"))
    webs = [make(described("test-slow", rate=20.0), FAST) for _ in range(2)]
    threads = [threading.Thread(target=web.text, args=(f"{service.url}/a",)) for web in webs * 5]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(service.seen) == 10
    assert max(seen.at for seen in service.seen) - begun > 9 / 20


def test_a_web_page_is_no_csv(service: Service, web: HttpWeb) -> None:
    service.on("/a", Answer(HTML), Answer("a,b\n1,2\n"))
    assert web.text(f"{service.url}/a", headers={"Accept": "text/csv"}) == "a,b\n1,2\n"
    service.on("/page", Answer(HTML))
    assert web.text(f"{service.url}/page") == HTML


def test_redirects_stay_on_their_host(service: Service, web: HttpWeb) -> None:
    service.on("/a", Answer("", status=302, headers={"Location": f"/b?api_key={KEY}"}))
    service.on("/b", Answer("there"))
    assert web.text(f"{service.url}/a") == "there"
    elsewhere = service.url.replace("127.0.0.1", "localhost")
    service.on("/away", Answer("", status=302, headers={"Location": f"{elsewhere}/b?api_key={KEY}"}))
    with pytest.raises(FetchError, match="redirects to another host") as caught:
        web.text(f"{service.url}/away", {"api_key": KEY})
    assert KEY not in str(caught.value)
    service.on("/loop", Answer("", status=302, headers={"Location": "/loop"}))
    with pytest.raises(FetchError, match="more than 5 redirects"):
        web.text(f"{service.url}/loop")


@pytest.mark.parametrize(
    "bad",
    [
        Answer(f"We have detected your API key as {KEY} and our limit is 25 requests a day.", status=403),
        Answer(f"We have detected your API key as {KEY}.", status=500),
        Answer(f'{{"key": "{KEY}", '),
        Answer("", status=302, headers={"Location": f"http://{KEY}@localhost/?api_key={KEY}"}),
        Answer("", status=302, headers={"Location": f"http://[{KEY}"}),
        Answer("x", delay_s=0.5),
        Answer("x", headers={"Content-Encoding": "gzip"}),
        Answer(closed=True),
    ],
)
def test_the_key_shows_up_nowhere(
    service: Service, web: HttpWeb, bad: Answer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    service.on("/a", bad)
    with pytest.raises(FetchError) as caught:
        web.json(f"{service.url}/a", {"api_key": KEY}, {"Authorization": KEY})
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caplog.text
    shown += "".join(capfd.readouterr()) + repr(vars(caught.value))
    error: BaseException | None = caught.value
    while error is not None:
        shown += repr(error) + repr(vars(error))
        error = error.__cause__ or error.__context__
    assert service.seen[0].query["api_key"] == KEY
    assert "S3CRET0KEY" not in shown
    assert "httpx" in caplog.text or "httpcore" in caplog.text


def test_the_key_is_taken_out_of_good_answers_too(service: Service, web: HttpWeb) -> None:
    service.on("/a", Answer(f'{{"Information": "your key {KEY} is known", "x": ["{KEY}s", 1, null]}}'))
    assert web.json(f"{service.url}/a") == {"Information": "your key [key] is known", "x": ["[key]s", 1, None]}


ESCAPED = "".join(f"\\u{ord(letter):04x}" for letter in KEY)
FORMS = [
    f"apikey%3D{KEY}", f"\\u003d{KEY}", f"\\n{KEY}", f"\\t{KEY}9", f"api_key={quote(KEY, safe='')}",
    f"%3F{quote(KEY, safe='').lower().replace(KEY[:10].lower(), KEY[:10])}", KEY.replace("/", "\\/"), ESCAPED,
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_the_key_is_found_in_whatever_form_it_comes(service: Service, web: HttpWeb, form: str) -> None:
    service.on("/a", Answer(f'{{"{form}": [{{"x": "a {form}"}}]}}'))
    assert "S3CRET0KEY" not in str(web.json(f"{service.url}/a"))
    if form != ESCAPED:
        service.on("/text", Answer(f"a,b\n1,{form}\n".replace("\\/", "/")))
        assert "S3CRET0KEY" not in web.text(f"{service.url}/text")
    service.on("/error", Answer(f'{{"error": "{form}"}}', status=400))
    with pytest.raises(FetchError, match=r'/error: status 400 \(\{"error": ".*\[key\]') as caught:
        web.text(f"{service.url}/error")
    assert "S3CRET0KEY" not in str(caught.value)
    assert ESCAPED not in str(caught.value)


def test_hiding_a_key_leaves_the_json_whole(make: Make, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "nAB12CD34")
    service.on("/a", Answer(r'{"x": "line\nAB12CD34", "y": "nAB12CD34"}'))
    assert make(described(), FAST).json(f"{service.url}/a") == {"x": "line\nAB12CD34", "y": "[key]"}


def test_no_key_stays_in_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    key_of(described())
    rows = pl.DataFrame({"title": [None, f"x{KEY}x", "plain"], "url": [f"/?k={KEY}", None, "/"], "value": [1.0, 2, 3]})
    clean = scrub_batch(Batch("articles", rows, (Rejected(f"{KEY}.csv", f"of {KEY}", f"text%3D{KEY}"),)))
    assert clean.rows.rows() == [(None, "/?k=[key]", 1.0), ("x[key]x", None, 2.0), ("plain", "/", 3.0)]
    assert clean.rows.schema == rows.schema
    assert clean.rejected == (Rejected("[key].csv", "of [key]", "text%3D[key]"),)


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    assert key_of(described()) == ""
    with pytest.raises(ConfigError, match="test needs a key; set the environment variable TEST_KEY"):
        needed_key(described())
    monkeypatch.setenv("TEST_KEY", "ANOTHER1")
    assert needed_key(described()) == "ANOTHER1"
    assert scrub("api_key=ANOTHER1&x=ANOTHER12") == "api_key=[key]&x=[key]2"
    monkeypatch.setenv("TEST_KEY", "shorty")
    assert needed_key(described()) == "shorty"
    assert scrub("api_key=shorty&x=shortys") == "api_key=[key]&x=shortys"


def test_edgar_wants_a_contact(make: Make, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALFRED_CONTACT", raising=False)
    with pytest.raises(ConfigError, match="set ALFRED_CONTACT to your name and e-mail address"):
        make(described("edgar"), FAST)
    monkeypatch.setenv("ALFRED_CONTACT", "Ann Example ann@example.org")
    service.on("/a", Answer("fine"))
    make(described("edgar"), FAST).text(f"{service.url}/a")
    assert service.seen[0].headers["User-Agent"].endswith("Ann Example ann@example.org")


def test_a_stopped_web_waits_for_nothing(service: Service) -> None:
    web = HttpWeb(
        described("test-stopped"), FAST.model_copy(update={"first_wait_s": 60, "longest_wait_s": 60, "total_s": 300})
    )
    service.on("/a", Answer("oops", status=500))
    threading.Timer(0.2, web.close).start()
    begun = time.monotonic()
    with pytest.raises(FetchError, match="status 500"):
        web.text(f"{service.url}/a")
    assert time.monotonic() - begun < 2
