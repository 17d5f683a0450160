from dataclasses import replace
from pathlib import Path

import report_run as made

from alfred.report import render


def test_a_page_says_which_frictions_applied(tmp_path: Path):
    plain = made.make_record()
    words = "frictions of an account of 5,000 USD (commission, interest on cash)"
    real = replace(plain, frictions=words, execution=f"filled at the next close, {words}, shares held")
    text = render(made.write_run(tmp_path / "run", real))
    assert f"Filled at the next close, {words}, shares held." in text
    assert "net of frictions" in text
    assert "10 bps" not in text
