"""Commands that make pictures move, and clips to move them by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from prioritycut.animation import MotionTransfer
from prioritycut.checkpoint import import_checkpoint, save_animator
from prioritycut.cli.console import Device, find_device, out, progress, say
from prioritycut.data.clips import open_clip
from prioritycut.data.synthesis import write_puppets
from prioritycut.errors import UserError
from prioritycut.models.building import MODEL_NAMES
from prioritycut.pair_rendering import render_pairs
from prioritycut.published import PublishedModel
from prioritycut.rendering import RenderOptions, render_files


def animate_command(
    source: Path,
    driving: Path,
    output: Path,
    /,
    *,
    checkpoint: str = "puppets",
    motion: Literal["relative", "absolute"] = "relative",
    adapt_scale: bool = False,
    best_frame: bool = False,
    explain: bool = False,
    audio: bool = True,
    fit: Literal["pad", "crop"] = "pad",
    source_frame: int = 0,
    device: Device = "auto",
    batch_size: int = 8,
) -> None:
    """Animate a picture with the motion of a clip.

    Args:
        source: A picture, or a clip of which one frame is taken.
        driving: The clip that tells the motion: mp4, webm, gif, ..., or a folder of pictures.
        output: .mp4, .webm, .gif, or a folder of png.
        checkpoint: A .safetensors file, a run folder, or the name of shipped weights.
        motion: relative adds the driving motion to the picture's own pose, which needs a model with keypoints; absolute
            takes the driving pose.
        adapt_scale: Scale relative motion by the size of the source object next to the driving one.
        best_frame: Start relative motion from the driving frame whose pose is nearest to the picture's, not the first.
        explain: Write a second clip with keypoints, maps and the cut mask.
        audio: Keep the driving clip's sound.
        fit: Frames that are not square: pad shows the model all of them, crop their middle.
        source_frame: Which frame of the source, where it is a clip.
        device: Where to run; auto takes a GPU if there is one.
        batch_size: Driving frames at a time.
    """
    options = RenderOptions(
        checkpoint=checkpoint,
        transfer=MotionTransfer(relative=motion == "relative", adapt_scale=adapt_scale),
        best_frame=best_frame,
        explain=explain,
        audio=audio,
        fit=fit,
        source_frame=source_frame,
        device=find_device(device),
        batch_size=batch_size,
    )
    with open_clip(driving) as reader:
        total = reader.frame_count
    with progress("animating", total) as advance:
        made = render_files(source, driving, output, options, say=out.print, advance=advance)
    sound = "with sound" if made.audio_kept else "without sound"
    out.print(f"wrote {made.output}: {made.frames} frames at {float(made.rate):g} a second, {sound}")
    if made.explanation is not None:
        out.print(f"wrote {made.explanation}: how each frame came about")


def animate_pairs_command(
    dataset: str,
    output: Path,
    /,
    *,
    pairs: Path | None = None,
    checkpoint: str = "puppets",
    motion: Literal["relative", "absolute"] = "relative",
    adapt_scale: bool = False,
    best_frame: bool = False,
    explain: bool = False,
    audio: bool = True,
    fit: Literal["pad", "crop"] = "pad",
    device: Device = "auto",
    batch_size: int = 8,
) -> None:
    """Animate pairs of a data set's test clips: a frame of one, moved by another. Killed and repeated, it goes on.

    Args:
        dataset: A folder of clips or of tar shards, with or without train/ and test/, or the address of shards.
        output: Folder for one clip a pair, SOURCE-DRIVING.mp4; those that are there already are kept.
        pairs: A list of pairs as they are published: CSV with the columns distance, source, driving, frame. Without it
            up to 50 pairs of the first 50 test clips are drawn (seed 0).
        checkpoint: A .safetensors file, a run folder, or the name of shipped weights.
        motion: relative adds the driving motion to the picture's own pose, which needs a model with keypoints; absolute
            takes the driving pose.
        adapt_scale: Scale relative motion by the size of the source object next to the driving one.
        best_frame: Start relative motion from the driving frame whose pose is nearest to the picture's, not the first.
        explain: Write a second clip a pair with keypoints, maps and the cut mask.
        audio: Keep the driving clips' sound.
        fit: Frames that are not square: pad shows the model all of them, crop their middle.
        device: Where to run; auto takes a GPU if there is one.
        batch_size: Driving frames at a time.
    """
    options = RenderOptions(
        checkpoint=checkpoint,
        transfer=MotionTransfer(relative=motion == "relative", adapt_scale=adapt_scale),
        best_frame=best_frame,
        explain=explain,
        audio=audio,
        fit=fit,
        device=find_device(device),
        batch_size=batch_size,
    )
    with progress("animating pairs") as advance:
        done = render_pairs(dataset, output, options, listed=pairs, say=say, advance=advance)
    say(
        f"wrote {output}: {done.made} made, {done.kept} there already, {len(done.faults)} not rendered, "
        f"{done.left_out} rows left out"
    )


def import_checkpoint_command(
    checkpoint: Path,
    output: Path,
    /,
    *,
    model: PublishedModel = "fomm",
    config: Path | None = None,
    trained_on: str = "unknown data",
    align_corners: bool = True,
    upsampling_align_corners: bool = True,
) -> None:
    """Convert published weights to safetensors. Nothing in the file is run.

    Args:
        checkpoint: The published .pth.tar.
        output: The .safetensors to write.
        model: Whose file it is.
        config: The YAML published beside it; X2Face has none.
        trained_on: What to say of its data, such as VoxCeleb.
        align_corners: The sampling convention that the weights were trained with. The authors' files want it on;
            weights that their released code trained on PyTorch 1.3 or newer want it off.
        upsampling_align_corners: Of X2Face: the same of the upsampling inside its networks, off for weights that its
            released code trained on PyTorch 0.4 or newer.
    """
    if output.suffix != ".safetensors":
        raise UserError(f"{output}: checkpoints are written as .safetensors; give the output that suffix")
    animator, info = import_checkpoint(
        checkpoint,
        config,
        model=model,
        align_corners=align_corners,
        upsampling_align_corners=upsampling_align_corners,
    )
    save_animator(output, animator, replace(info, trained_on=trained_on))
    size, keypoints = info.model.frame_size, info.model.num_keypoints
    told = f"{keypoints} keypoints" if keypoints else "no keypoints"
    out.print(f"wrote {output}: {MODEL_NAMES[info.model.kind]}, {size}x{size}, {told}", markup=False)


def synthesize_command(output: Path, /, *, clips: int = 16, frames: int = 32, size: int = 64, seed: int = 0) -> None:
    """Draw puppets: clips with their ground truth.

    Args:
        output: The folder to write.
        clips: How many characters.
        frames: Length of each clip, at 25 frames a second.
        size: Height and width in pixels, 64 to 256.
        seed: Another seed draws other characters.
    """
    with progress("drawing", clips) as advance:
        write_puppets(output, clips=clips, frames=frames, size=size, seed=seed, advance=advance)
    out.print(f"wrote {output}: {clips} clips of {frames} frames at {size}x{size}, with ground truth (puppets.json)")
