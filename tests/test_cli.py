"""The command line as a person meets it: what it makes, what it says, and how it fails."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from prioritycut import cli
from prioritycut.checkpoint import CheckpointInfo, load_animator, save_animator
from prioritycut.data.clips import read_clip, write_clip
from prioritycut.data.puppets import generate_puppet
from prioritycut.drawing import save_picture
from prioritycut.files import save_tensors
from prioritycut.models.fomm import Fomm, FommConfig, HourglassConfig

REAL = Path(__file__).parents[1].parent / "shared" / "data" / "faces"
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


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture, a clip with sound, and weights of a small random model."""
    folder = tmp_path_factory.mktemp("material")
    torch.manual_seed(0)
    save_animator(folder / "small.safetensors", Fomm(CONFIG), CheckpointInfo(model=CONFIG, trained_on="puppets"))
    clip = generate_puppet(1, 0, frames=12, size=96)
    save_picture(folder / "picture.png", torch.nn.functional.pad(clip.frames[0], (0, 0, 16, 16), mode="reflect"))
    write_clip(folder / "silent.mp4", clip.frames[:, :, :, :80], rate=Fraction(24))
    _add_sound(folder / "silent.mp4", folder / "clip.mp4")
    return folder


def _add_sound(silent: Path, output: Path) -> None:
    with av.open(str(silent)) as source, av.open(str(output), "w") as made:
        video = made.add_stream_from_template(source.streams.video[0])
        audio = made.add_stream("aac", rate=16000)
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = video
                made.mux(packet)
        tone = (np.sin(np.arange(8000) * 0.1) * 8000).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
        frame.sample_rate = 16000
        for packet in [*audio.encode(frame), *audio.encode(None)]:
            made.mux(packet)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process: exit code, what it printed, what it complained of."""

    def invoke(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["prioritycut", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return invoke


def facts(path: Path) -> tuple[int, int, int, Fraction | None, bool]:
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        frames = sum(1 for _ in container.decode(video))
        return video.width, video.height, frames, video.average_rate, bool(container.streams.audio)


Run = Callable[..., tuple[int, str, str]]


def test_animate_keeps_length_rate_sound_and_the_pictures_aspect(run: Run, material: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    code, said, _ = run(
        *("animate", material / "picture.png", material / "clip.mp4", out),
        *("--checkpoint", material / "small.safetensors", "--explain"),
    )
    assert code == 0
    assert facts(out) == (48, 64, 12, Fraction(24), True)  # the picture is 96x128, the model 64x64
    width, height, frames, rate, _ = facts(tmp_path / "out-explain.mp4")
    assert (frames, rate) == (12, Fraction(24))
    assert width == 7 * 192
    assert height > 192
    assert "trained on puppets" in said
    assert "padded 96x128 to 128x128, resized to 64x64" in said
    assert f"wrote {out}: 12 frames at 24 a second, with sound" in said
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["out.webm", "out.gif", "out"])
def test_the_outputs_name_chooses_its_kind(run: Run, material: Path, tmp_path: Path, name: str) -> None:
    code, _, _ = run(
        *("animate", material / "picture.png", material / "clip.mp4", tmp_path / name),
        *("--checkpoint", material / "small.safetensors", "--no-audio"),
    )
    assert code == 0
    assert read_clip(tmp_path / name).shape == (12, 3, 64, 48)


@pytest.mark.parametrize(
    "options", [["--motion", "absolute"], ["--adapt-scale"], ["--best-frame"], ["--fit", "crop"], ["--batch-size", "5"]]
)
def test_every_way_of_moving_runs(run: Run, material: Path, tmp_path: Path, options: list[str]) -> None:
    code, _, _ = run(
        *("animate", material / "clip.mp4", material / "silent.mp4", tmp_path / "out.mp4"),
        *("--checkpoint", material / "small.safetensors", *options),
    )
    assert code == 0
    assert facts(tmp_path / "out.mp4")[2] == 12


def test_a_folder_and_a_gif_drive_as_well(run: Run, material: Path, tmp_path: Path) -> None:
    for name in ("frames", "frames.gif"):
        write_clip(tmp_path / name, read_clip(material / "clip.mp4")[:4])
        code, _, _ = run(
            *("animate", material / "picture.png", tmp_path / name, tmp_path / "out.mp4"),
            *("--checkpoint", material / "small.safetensors"),
        )
        assert code == 0
        assert facts(tmp_path / "out.mp4")[2] == 4


def test_synthesize_writes_clips_with_truth_that_a_stranger_can_read(run: Run, tmp_path: Path) -> None:
    code, said, _ = run("synthesize", tmp_path / "p", "--clips", 2, "--frames", 3, "--size", 64, "--seed", 4)
    assert code == 0
    assert "2 clips of 3 frames" in said
    first = sorted((tmp_path / "p").glob("*.npz"))[0]
    with np.load(first) as truth:
        assert truth["position"].shape[0] == 3
        assert truth["layer"].shape == (3, 64, 64)
    assert facts(first.with_suffix(".mp4"))[:3] == (64, 64, 3)


def test_presets_lists_every_config(run: Run) -> None:
    code, said, _ = run("presets")
    assert code == 0
    for data in ("puppets-64", "puppets-128", "vox-256", "taichi-256", "bair-256"):
        for model in ("fomm", "fomm-plus", "unet", "cutmix", "prioritycut"):
            assert f" {data}-{model} " in said


def test_dry_run_prints_the_config_and_touches_nothing(run: Run, tmp_path: Path) -> None:
    code, said, _ = run("train", "vox-256-prioritycut", "--output", tmp_path / "run", "--dry-run", "--batch-size", 7)
    assert code == 0
    assert '"batch_size": 7' in said
    assert "keypoint detector: 14," in said  # FOMM's published 14.2 M
    assert "generator: 45," in said  # and 45.6 M
    assert not (tmp_path / "run").exists()


def test_train_then_animate_with_the_run_folder(run: Run, material: Path, tmp_path: Path) -> None:
    small = ["--batch-size", 2, "--data.clips", 2, "--data.frames", 2, "--model.num-bottleneck-blocks", 1]
    code, said, _ = run("train", "puppets-64-fomm", "--output", tmp_path / "run", "--steps", 1, *small)
    assert code == 0
    assert f"--checkpoint {tmp_path / 'run'}" in said
    code, _, _ = run(
        "animate",
        material / "picture.png",
        material / "clip.mp4",
        tmp_path / "out.mp4",
        "--checkpoint",
        tmp_path / "run",
    )
    assert code == 0


# Bad input: one line, exit code 2, nothing left behind.


def check_refusal(result: tuple[int, str, str], *words: str) -> None:
    code, _, complaint = result
    assert code == 2, complaint
    assert complaint.count("\n") == 1
    assert complaint.startswith("prioritycut: ")
    for word in words:
        assert word in complaint


def _bad_media(folder: Path, material: Path, kind: str) -> Path:
    path = folder / f"{kind}.mp4"
    match kind:
        case "missing":
            pass
        case "empty":
            path.touch()
        case "truncated":
            path.write_bytes((material / "clip.mp4").read_bytes()[:900])
        case "text":
            path.write_text("this is no clip\n" * 40)
        case _:
            path = folder / "no-frames"
            path.mkdir()
    return path


@pytest.mark.parametrize("kind", ["missing", "empty", "truncated", "text", "zero frames"])
@pytest.mark.parametrize("place", ["source", "driving"])
def test_bad_media_is_named(run: Run, material: Path, tmp_path: Path, kind: str, place: str) -> None:
    bad = _bad_media(tmp_path, material, kind)
    source = bad if place == "source" else material / "picture.png"
    driving = bad if place == "driving" else material / "clip.mp4"
    (tmp_path / "out.mp4").write_text("made before")
    result = run("animate", source, driving, tmp_path / "out.mp4", "--checkpoint", material / "small.safetensors")
    check_refusal(result, str(bad))
    assert (tmp_path / "out.mp4").read_text() == "made before"
    assert not list(tmp_path.glob(".*"))


def test_a_picture_smaller_than_the_model_is_refused(run: Run, material: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 50)).save(tmp_path / "small.png")
    result = run(
        *("animate", tmp_path / "small.png", material / "clip.mp4", tmp_path / "out.mp4"),
        *("--checkpoint", material / "small.safetensors"),
    )
    check_refusal(result, "small.png", "40x50", "64x64", "larger")
    assert not (tmp_path / "out.mp4").exists()


class _Bomb:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {_Bomb.path}",)

    path = Path("never")


@pytest.mark.parametrize("kind", ["missing", "pickle", "names", "model", "truncated", "text"])
def test_bad_checkpoints_are_refused_and_never_run(run: Run, material: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bad.safetensors"
    good = load_animator(material / "small.safetensors")
    info = CheckpointInfo(model=CONFIG, trained_on="puppets")
    words = [str(path)]
    match kind:
        case "pickle":
            _Bomb.path = tmp_path / "ran"
            path.write_bytes(pickle.dumps(_Bomb()))
            words.append("import-checkpoint")
        case "names":
            save_animator(path, good, info)
            _rename_tensor(path, "generator.final.bias", "generator.finish.bias")
            words += ["generator.final.bias", "generator.finish.bias"]
        case "model":
            save_tensors(path, {"weight": torch.zeros(3)}, {"format": "other"})
        case "truncated":
            save_animator(path, good, info)
            path.write_bytes(path.read_bytes()[:5000])
        case "text":
            path.write_text("hello")
        case _:
            words.append("no such checkpoint")
    result = run("animate", material / "picture.png", material / "clip.mp4", tmp_path / "out.mp4", "--checkpoint", path)
    check_refusal(result, *words)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out.mp4").exists()


def _rename_tensor(path: Path, old: str, new: str) -> None:
    from prioritycut.files import read_tensors

    tensors, metadata = read_tensors(path)
    tensors[new] = tensors.pop(old)
    save_tensors(path, tensors, metadata)


def test_an_output_that_cannot_be_written_is_named(run: Run, material: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "out.mp4"
    common = (material / "picture.png", material / "clip.mp4")
    weights = ("--checkpoint", material / "small.safetensors")
    check_refusal(run("animate", *common, out, *weights), "out.mp4")
    check_refusal(run("animate", *common, tmp_path / "out.xyz", *weights), "out.xyz", ".mp4")
    shutil.copy(material / "clip.mp4", tmp_path / "clip.mp4")
    result = run("animate", material / "picture.png", tmp_path / "clip.mp4", tmp_path / "clip.mp4", *weights)
    check_refusal(result, "would replace an input")


def test_an_explanation_or_a_folder_never_replaces_an_input(run: Run, material: Path, tmp_path: Path) -> None:
    weights = ("--checkpoint", material / "small.safetensors")
    shutil.copy(material / "clip.mp4", tmp_path / "out-explain.mp4")
    result = run(
        *("animate", material / "picture.png", tmp_path / "out-explain.mp4", tmp_path / "out.mp4", "--explain"),
        *weights,
    )
    check_refusal(result, "would replace an input")
    write_clip(tmp_path / "frames", read_clip(material / "clip.mp4")[:2])
    picture = tmp_path / "frames" / "000001.png"
    check_refusal(
        run("animate", picture, material / "clip.mp4", tmp_path / "frames", *weights), "would replace an input"
    )
    assert picture.exists()


def test_a_name_that_no_system_takes_is_one_line(run: Run, material: Path, tmp_path: Path) -> None:
    for source, driving in (
        (tmp_path / ("x" * 300), material / "clip.mp4"),
        (material / "picture.png", tmp_path / ("x" * 300)),
    ):
        check_refusal(
            run("animate", source, driving, tmp_path / "out.mp4", "--checkpoint", material / "small.safetensors")
        )


def test_options_may_stand_before_the_preset(run: Run, tmp_path: Path) -> None:
    code, said, _ = run("train", "--dry-run", "puppets-64-fomm")
    assert code == 0
    assert "keypoint detector:" in said
    check_refusal(run("train", "puppets-64-fomm"), "--output")


def test_wrong_options_stop_before_work(run: Run, tmp_path: Path) -> None:
    check_refusal(run("train", "no-such", "--output", tmp_path / "run"), "no-such", "prioritycut presets")
    check_refusal(run("train", "puppets-64-fomm", "--output", tmp_path / "run", "--epochs", 0), "epochs")
    code, _, complaint = run("train", "puppets-64-fomm", "--output", tmp_path / "run", "--epoch", 3)
    assert code == 2
    assert "--epochs" in complaint  # the spelling that was meant
    assert not (tmp_path / "run").exists()


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))
from prioritycut.cli import main
sys.argv = ["prioritycut", *sys.argv[1:]]
main()
"""


def test_a_disk_that_takes_no_more_leaves_nothing_half_written(material: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.gif"
    done = subprocess.run(
        [
            *(sys.executable, "-c", LIMITED, "animate", str(material / "picture.png"), str(material / "clip.mp4")),
            *(str(out), "--checkpoint", str(material / "small.safetensors")),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.strip().count("\n") == 0
    assert "Traceback" not in done.stderr
    assert str(out) in done.stderr
    assert not out.exists()
    assert not list(tmp_path.glob(".*"))


def test_ctrl_c_stops_with_130_and_no_output(material: Path, tmp_path: Path) -> None:
    write_clip(tmp_path / "long.mp4", read_clip(material / "clip.mp4").repeat(120, 1, 1, 1))
    process = subprocess.Popen(
        [
            *(
                sys.executable,
                "-m",
                "prioritycut",
                "animate",
                str(material / "picture.png"),
                str(tmp_path / "long.mp4"),
            ),
            *(str(tmp_path / "out.mp4"), "--checkpoint", str(material / "small.safetensors"), "--explain"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job begins with Ctrl-C ignored, and would hand that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".out*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130, complaint
    assert "Traceback" not in complaint
    assert not (tmp_path / "out.mp4").exists()
    assert not list(tmp_path.glob(".*"))


# Real clips


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="the real clips are not beside the project")
def test_a_real_face_and_clip_run_with_the_shipped_weights(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    code, said, _ = run("animate", REAL / "s6.jpg", REAL / "d18.mp4", out, "--explain")
    assert code == 0
    assert "trained on puppets" in said
    width, height, frames, rate, sound = facts(out)
    assert (width, height) == (64, 64)
    _, _, given, given_rate, given_sound = facts(REAL / "d18.mp4")
    assert (frames, rate, sound) == (given, given_rate, given_sound)
    assert facts(tmp_path / "out-explain.mp4")[2] == given
