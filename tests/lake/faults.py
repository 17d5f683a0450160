"""Every way in which a service fails, for each provider's tests."""

from service import HTML, Answer

from alfred.lake.web import WebSettings

IMPATIENT = WebSettings(tries=3, silence_s=0.3, try_s=0.5, total_s=5, first_wait_s=0.01, longest_wait_s=0.02)


def passing(half: str) -> dict[str, Answer]:
    """What may pass and is tried again; `half` is a cut-off document, empty where it can't be told from a whole one."""
    cut = {"truncated": Answer(half)} if half else {}
    return cut | {
        "429": Answer("Too Many Requests", status=429, headers={"Retry-After": "0"}),
        "500": Answer("Internal Server Error", status=500),
        "html": Answer(HTML, headers={"Content-Type": "text/html"}),
        "slow": Answer(half, delay_s=0.6),
        "closed": Answer(closed=True),
        "short": Answer(half or "x", announced=10_000),
    }
