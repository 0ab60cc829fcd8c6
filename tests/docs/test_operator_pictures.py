"""The pictures on the operators' pages are what their scenes give now, and each page shows its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.make_pictures import FOLDER, main, picture_of
from docs.operator_scenes import SCENES

PAGES = {path.stem: path for path in FOLDER.parent.glob("*.md")}


@pytest.mark.parametrize("name", SCENES)
def test_the_picture_is_what_its_scene_gives(name: str) -> None:
    kept = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    assert kept == picture_of(name), "run `python docs/make_pictures.py`, and look at what has changed"


def test_every_page_has_a_scene_and_no_picture_is_left_over() -> None:
    assert set(SCENES) == set(PAGES) == {path.stem for path in FOLDER.glob("*.svg")}


@pytest.mark.parametrize("name", PAGES)
def test_the_page_shows_its_picture_before_its_first_section(name: str) -> None:
    said = (SCENES[name].__doc__ or "").rstrip(".")
    before, _, _ = PAGES[name].read_text(encoding="utf-8").partition("\n## ")
    assert said and f"![{said}](pictures/{name}.svg)" in before


def test_pictures_of_operators_that_are_no_more_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("docs.make_pictures.FOLDER", tmp_path / "pictures")
    monkeypatch.setattr("docs.operator_scenes.SCENES", {"batch": SCENES["batch"]})
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "gone.svg").touch()
    main()
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["batch.svg"]
    assert "batch.svg" in capsys.readouterr().out
