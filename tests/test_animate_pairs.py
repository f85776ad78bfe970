"""`prioritycut animate-pairs`: a clip for each pair of a list, whatever is missing, as often as it is killed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from prioritycut.checkpoint import CheckpointInfo, save_animator
from prioritycut.data.clips import read_clip, write_clip
from prioritycut.data.puppets import generate_puppet
from prioritycut.drawing import save_picture
from prioritycut.errors import UserError
from prioritycut.models.fomm import Fomm, FommConfig, HourglassConfig
from prioritycut.pair_rendering import RenderedPairs, render_pairs
from prioritycut.rendering import RenderOptions, render_files

HOURGLASS = HourglassConfig(block_expansion=4, max_features=16, num_blocks=2, scale_factor=0.25)
CONFIG = FommConfig(
    num_keypoints=3,
    frame_size=64,
    detector=HOURGLASS,
    dense_motion=HOURGLASS,
    block_expansion=4,
    max_features=16,
    num_bottleneck_blocks=1,
)
LENGTHS = {"a": 3, "b": 4, "c": 5}


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three test clips of different lengths and stores, weights of a small random model, and a list of pairs."""
    folder = tmp_path_factory.mktemp("pairs")
    torch.manual_seed(0)
    save_animator(folder / "small.safetensors", Fomm(CONFIG), CheckpointInfo(model=CONFIG, trained_on="puppets"))
    test = folder / "data" / "test"
    (folder / "data" / "train").mkdir(parents=True)
    test.mkdir()
    clips = [
        generate_puppet(1, number, frames=length, size=64).frames for number, length in enumerate(LENGTHS.values())
    ]
    write_clip(test / "a.mp4", clips[0])
    write_clip(test / "b", clips[1])  # a folder of png
    strip = (torch.cat(list(clips[2]), dim=2) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(strip).save(test / "c.png")
    return folder


def write_pairs(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["distance,source,driving,frame", *rows]) + "\n")
    return path


def options(material: Path, **others: object) -> RenderOptions:
    return RenderOptions(checkpoint=str(material / "small.safetensors"), **others)  # pyright: ignore


Run = Callable[..., RenderedPairs]


@pytest.fixture
def run(material: Path, tmp_path: Path) -> Run:
    """Renders the rows of a list into `tmp_path / "out"`, or drawn pairs where there are none."""

    def invoke(*rows: str, said: list[str] | None = None, **others: object) -> RenderedPairs:
        listed = write_pairs(tmp_path / "pairs.csv", *rows) if rows else None
        lines = [] if said is None else said
        output = tmp_path / "out"
        return render_pairs(
            str(material / "data"), output, options(material, **others), listed=listed, say=lines.append
        )

    return invoke


def made_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.mp4"))


def test_each_pair_shows_the_frame_of_one_clip_moved_by_the_other(run: Run, material: Path, tmp_path: Path) -> None:
    done = run("0.5,c.mp4,a.mp4,2", "0,a.mp4,b.mp4,0")
    assert done == RenderedPairs(made=2, kept=0, faults=(), left_out=0)
    assert made_names(tmp_path / "out") == ["a-b.mp4", "c-a-frame2.mp4"]
    # The same by hand: the picture cut out of the strip, then `animate`.
    strip = np.asarray(Image.open(material / "data" / "test" / "c.png").convert("RGB"))
    picture = torch.from_numpy(strip[:, 128:192].copy()).permute(2, 0, 1).float() / 255
    save_picture(tmp_path / "picture.png", picture)
    render_files(
        tmp_path / "picture.png", material / "data" / "test" / "a.mp4", tmp_path / "hand.mp4", options(material)
    )
    assert torch.equal(read_clip(tmp_path / "out" / "c-a-frame2.mp4"), read_clip(tmp_path / "hand.mp4"))
    assert len(read_clip(tmp_path / "out" / "a-b.mp4")) == LENGTHS["b"]


def test_without_a_list_pairs_of_the_test_clips_are_drawn(run: Run, tmp_path: Path) -> None:
    assert run().made == 9
    assert made_names(tmp_path / "out") == sorted(f"{source}-{driving}.mp4" for source in "abc" for driving in "abc")


def test_a_list_is_looked_for_in_the_whole_of_a_folder_without_train_and_test(material: Path, tmp_path: Path) -> None:
    listed = write_pairs(tmp_path / "pairs.csv", "0,a.mp4,b.mp4,0", "0,b.mp4,c.mp4,0")
    flat = str(material / "data" / "test")
    assert render_pairs(flat, tmp_path / "out", options(material), listed=listed).made == 2


def test_rows_that_give_no_pair_are_counted_and_the_others_rendered(run: Run) -> None:
    said = list[str]()
    done = run("0,a.mp4,gone.mp4,0", "0,a.mp4,b.mp4,0", "0,a.mp4", "0,b.mp4,a.mp4,99", said=said)
    assert (done.made, done.kept, done.left_out) == (1, 0, 2)
    (fault,) = done.faults
    assert fault == "b by a.mp4: b: there is no frame 99, it has 4; ask for 0 to 3"
    told = "\n".join(said)
    assert "1 of 4 rows name clips that are not there and are left out (line 2: there is no clip gone.mp4)" in told
    assert "1 of 4 rows are malformed and are left out (line 4: 2 instead of 4 cells)" in told
    assert f"not rendered: {fault}" in told


def test_repeated_it_makes_what_is_missing_and_keeps_the_rest(run: Run, tmp_path: Path) -> None:
    rows = ("0,a.mp4,b.mp4,0", "0,a.mp4,c.mp4,0", "0,b.mp4,b.mp4,0")
    assert run(*rows).made == 3
    out = tmp_path / "out"
    before = {name: (out / name).read_bytes() for name in made_names(out)}
    (out / "a-c.mp4").unlink()
    kept_at = (out / "a-b.mp4").stat().st_mtime_ns
    assert run(*rows, device="cpu", batch_size=3) == RenderedPairs(made=1, kept=2, faults=(), left_out=0)
    assert {name: (out / name).read_bytes() for name in made_names(out)} == before
    assert (out / "a-b.mp4").stat().st_mtime_ns == kept_at
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_an_explanation_that_is_missing_is_made(run: Run, tmp_path: Path) -> None:
    row = "0,a.mp4,b.mp4,0"
    assert run(row, explain=True).made == 1
    (tmp_path / "out" / "a-b-explain.mp4").unlink()
    assert run(row, explain=True) == RenderedPairs(made=1, kept=0, faults=(), left_out=0)
    assert made_names(tmp_path / "out") == ["a-b-explain.mp4", "a-b.mp4"]


@pytest.mark.parametrize("change", ["options", "weights", "data"])
def test_clips_made_otherwise_are_never_mixed(run: Run, material: Path, tmp_path: Path, change: str) -> None:
    row, out = "0,a.mp4,b.mp4,0", tmp_path / "out"
    run(row)
    before = (out / "a-b.mp4").read_bytes()
    data, weights = material / "data" / ("test" if change == "data" else ""), options(material)
    changed = {"options": replace(weights, fit="crop"), "weights": RenderOptions(), "data": weights}[change]
    with pytest.raises(UserError, match="other weights or other options"):
        render_pairs(str(data), out, changed, listed=tmp_path / "pairs.csv")
    assert (out / "a-b.mp4").read_bytes() == before
    json.loads((out / "animate-pairs.json").read_text())


def test_a_pair_that_is_listed_twice_is_rendered_once_and_like_names_do_not_clash(
    material: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    for name in ("x-y", "z", "x", "y-z"):
        write_clip(data / name, generate_puppet(1, 0, frames=2, size=64).frames)
    listed = write_pairs(tmp_path / "pairs.csv", "0,x-y,z,0", "0,x,y-z,0", "1,x-y,z,0")
    assert render_pairs(str(data), tmp_path / "out", options(material), listed=listed).made == 2
    assert made_names(tmp_path / "out") == ["x-y-z-2.mp4", "x-y-z.mp4"]


def test_nothing_that_could_be_rendered_is_the_users_error(run: Run, material: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no row names two clips of"):
        run("0,gone.mp4,lost.mp4,0")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match=r"none of 2 pairs could be rendered \(first: a\.mp4 by b"):
        run("0,a.mp4,b.mp4,50", "0,b.mp4,a.mp4,50")
    with pytest.raises(UserError, match="choose another output"):
        render_pairs(str(material / "data"), material / "data" / "test", options(material))
    with pytest.raises(UserError, match="no such folder"):
        render_pairs(str(tmp_path / "nowhere"), tmp_path / "out", options(material))
    with pytest.raises(UserError, match="no such checkpoint"):
        render_pairs(str(material / "data"), tmp_path / "other", RenderOptions(checkpoint="nobody"))
    assert not (tmp_path / "other").exists()
