"""Published lists: every row is understood, or named with its line while the rest goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from prioritycut.errors import UserError
from prioritycut.preprocessing.boxes import Box
from prioritycut.preprocessing.jobs import ClipRequest
from prioritycut.preprocessing.metadata import ListedClips, read_list, row_faults

LISTS = Path(__file__).parents[2].parent / "shared" / "data" / "metadata"

HEADER = "video_id,start,end,bbox,fps,width,height,partition,person_id"
GOOD = "WMh3ye5tBsE,3657,3994,624-48-1018-553,25,1280,720,train,id10005"


def write(path: Path, *rows: str, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def requests(listed: ListedClips) -> list[ClipRequest]:
    return [request for _, requests in listed.videos for request in requests]


@pytest.mark.data
def test_the_published_lists_have_the_counts_of_the_specification() -> None:
    if not LISTS.is_dir():
        pytest.skip("the published lists are not beside the project")
    voxceleb = read_list(LISTS / "vox-metadata.csv", "voxceleb")
    assert voxceleb.rows == {"train": 19_550, "test": 525}
    assert voxceleb.malformed == ()
    # 311 rows name a clip again; of two clips in both parts none is trained on.
    assert len(voxceleb.repeated) == 311
    assert voxceleb.clips == {"train": 20_075 - 311 - 525, "test": 525}
    assert sum(each.end - each.start for each in requests(voxceleb) if each.partition == "test") == 132_606
    identities = {each.clip.split("#")[0]: each.partition for each in requests(voxceleb)}
    assert {name for name, part in identities.items() if part == "test"} <= {f"id{n}" for n in range(10270, 10310)}
    taichi = read_list(LISTS / "taichi-metadata.csv", "taichi")
    assert len(taichi.videos) == 280
    assert taichi.rows == taichi.clips == {"train": 3_049, "test": 285}
    assert (taichi.malformed, taichi.repeated) == ((), ())
    assert sum(each.end - each.start for each in requests(taichi) if each.partition == "test") == 75_273
    names = [each.clip for each in requests(voxceleb) + requests(taichi)]
    assert len(names) == len(set(names))


def test_a_row_says_who_is_seen_when_and_where(tmp_path: Path) -> None:
    listed = read_list(write(tmp_path / "vox.csv", GOOD), "voxceleb")
    assert listed.videos == (
        (
            "WMh3ye5tBsE",
            (
                ClipRequest(
                    clip="id10005#WMh3ye5tBsE#003657#003994",
                    partition="train",
                    start=3657,
                    end=3994,
                    box=Box(624, 48, 1018, 553),
                    rate="25",
                    width=1280,
                    height=720,
                    line=2,
                ),
            ),
        ),
    )
    assert (listed.rows, listed.clips) == ({"train": 1}, {"train": 1})


def test_columns_stand_in_any_order_and_further_ones_do_not_matter(tmp_path: Path) -> None:
    header = "note,partition,height,width,fps,bbox,end,start,video_id"
    row = '"a, b",test,480,640,29.97,118-82-508-472,1000300,80,u6rJiF-gPx8'
    (request,) = requests(read_list(write(tmp_path / "taichi.csv", row, header=header), "taichi"))
    assert (request.clip, request.partition) == ("u6rJiF-gPx8#000080#1000300", "test")
    assert (request.start, request.end, request.rate) == (80, 1000300, "29.97")
    assert (request.box, request.width, request.height) == (Box(118, 82, 508, 472), 640, 480)


def test_clips_are_gathered_by_video_in_the_lists_order(tmp_path: Path) -> None:
    rows = [GOOD.replace("WMh3ye5tBsE,3657", f"{video},{start}") for video, start in [("b", 9), ("a", 7), ("b", 5)]]
    listed = read_list(write(tmp_path / "vox.csv", *rows), "voxceleb")
    assert [(video, [each.start for each in wanted]) for video, wanted in listed.videos] == [("b", [9, 5]), ("a", [7])]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("a,1,2", "3 fields instead of 9"),
        ("a", "1 field instead of 9"),
        (GOOD + ",", "10 fields instead of 9"),
        (GOOD.replace("3657", "x"), "start 'x' is no whole number"),
        (GOOD.replace("3657", "1.5"), "start '1.5' is no whole number"),
        (GOOD.replace("3657", "-1"), "start '-1' is no whole number"),
        (GOOD.replace("3657", "²"), "start '²' is no whole number"),
        (GOOD.replace("3994", ""), "end '' is no whole number"),
        (GOOD.replace("3994", "9" * 400), f"end '{'9' * 40}...' is no whole number"),
        (GOOD.replace("3994", "3657"), "start 3657 is not below end 3657"),
        (GOOD.replace("624-48-1018-553", "624-48-1018"), "bbox '624-48-1018' is not left-top-right-bottom"),
        (GOOD.replace("624-48-1018-553", "624-48-1018-x"), "is not left-top-right-bottom"),
        (GOOD.replace("624-48-1018-553", "1018-48-1018-553"), "bbox 1018-48-1018-553 holds no pixel"),
        (GOOD.replace("624-48-1018-553", "624-553-1018-48"), "bbox 624-553-1018-48 holds no pixel"),
        (GOOD.replace(",25,", ",0,"), "fps '0' is no number above 0"),
        (GOOD.replace(",25,", ",nan,"), "fps 'nan' is no number above 0"),
        (GOOD.replace(",25,", ",1e9,"), "fps '1e9' is no number above 0"),
        (GOOD.replace("1280", "0"), "the frame of 0x720 has no pixel"),
        (GOOD.replace("train", "val"), "partition 'val' is neither train nor test"),
        (GOOD.replace("WMh3ye5tBsE", "../../etc"), "video_id '../../etc' has other characters"),
        (GOOD.replace("WMh3ye5tBsE", "a#b"), "video_id 'a#b' has other characters"),
        (GOOD.replace("WMh3ye5tBsE", "ä"), "video_id 'ä' has other characters"),
        (GOOD.replace("WMh3ye5tBsE", ""), "video_id '' has other characters"),
        (GOOD.replace("WMh3ye5tBsE", "v" * 81), "video_id has 81 characters, at most 80"),
        (GOOD.replace("id10005", ".id"), "person_id '.id' has other characters"),
        (GOOD.replace("id10005", "a\x1b[31m"), r"person_id 'a\x1b[31m' has other characters"),
        ('"' + GOOD, "1 field instead of 9"),
    ],
)
def test_a_malformed_row_is_named_with_its_line_and_the_rest_goes_on(tmp_path: Path, row: str, fault: str) -> None:
    other = GOOD.replace("3657", "1")
    path = write(tmp_path / "vox.csv", GOOD, row, "", other)
    listed = read_list(path, "voxceleb")
    assert [request.line for request in requests(listed)] == [2, 5]
    ((line, said),) = [(each.line, each.fault) for each in listed.malformed]
    assert line == 3
    assert fault in said
    (told,) = row_faults(path, listed)
    assert told == f"{path}: 1 row is malformed and left out (line 3: {said})"


def test_a_box_that_leaves_its_frame_is_no_malformed_row(tmp_path: Path) -> None:
    rows = [GOOD.replace("624-48", "-5-48"), GOOD.replace("3657", "1").replace("1018-553", "1018-776")]
    listed = read_list(write(tmp_path / "vox.csv", *rows), "voxceleb")
    assert [request.box for request in requests(listed)] == [Box(-5, 48, 1018, 553), Box(624, 48, 1018, 776)]


def test_a_clip_that_is_named_again_is_made_once(tmp_path: Path) -> None:
    path = write(tmp_path / "vox.csv", GOOD, GOOD, GOOD.replace("train", "test"), GOOD)
    listed = read_list(path, "voxceleb")
    (request,) = requests(listed)
    assert request.line == 2
    assert request.partition == "test"  # nobody trains on what is tested
    assert (listed.rows, listed.clips) == ({"train": 3, "test": 1}, {"test": 1})
    assert [each.line for each in listed.repeated] == [3, 4, 5]
    (told,) = row_faults(path, listed, most=1)
    assert told == f"{path}: 3 rows are named again and made once (line 3: the clip of line 2, ...)"


def test_other_numbers_under_a_clips_name_are_malformed(tmp_path: Path) -> None:
    listed = read_list(write(tmp_path / "vox.csv", GOOD, GOOD.replace("1018", "1019")), "voxceleb")
    assert [request.box.right for request in requests(listed)] == [1018]
    assert [(each.line, each.fault) for each in listed.malformed] == [(3, "other numbers for the clip of line 2")]


def test_what_editors_leave_in_files_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "vox.csv"
    text = "\r\n".join([HEADER, "", GOOD.replace(",", " , "), "  ", GOOD.replace("3657", "1"), ""])
    path.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\xff\xfe\x00broken bytes")
    listed = read_list(path, "voxceleb")
    plain = read_list(write(tmp_path / "plain.csv", GOOD, GOOD.replace("3657", "1")), "voxceleb")
    assert requests(listed) == [replace(each, line=line) for each, line in zip(requests(plain), (3, 5), strict=True)]
    assert [each.line for each in listed.malformed] == [6]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEADER.replace("bbox,", "") + "\n" + GOOD, "no column bbox \\(it has video_id, start, end, fps"),
        (HEADER.replace(",person_id", ""), "no column person_id"),
        ("", "no column video_id, start, .* \\(it has none\\)"),
        (HEADER + ",start", "column start is there twice"),
        (HEADER + "\n", "0 clips, expected one in each row; its rows are none at all"),
        (HEADER + "\n\na,b\n", "0 clips, .* 1 malformed \\(line 3: 2 fields instead of 9\\)"),
    ],
)
def test_a_file_that_is_no_list_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        read_list(path, "voxceleb")
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_list_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            read_list(path, "taichi")
