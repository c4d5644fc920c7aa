"""Clips: what is heard, what is set aside and why, and what stops the run."""

import os
import tracemalloc
import wave
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from tests.conftest import PARAMS
from tests.support.audio import CODECS, music, write_clip
from twinear.artists.clip_table import read_clip_table, resolve
from twinear.base.errors import ClipError, DataError
from twinear.base.params import read_params
from twinear.clips import clips
from twinear.clips.clips import (
    AudioFacts,
    Clips,
    ClipsParams,
    ClipsReport,
    Fault,
    examine_clip,
    index_clips,
)
from twinear.clips.waveform import load_waveform

SR = 22050
A, B = "0" * 8 + "-0000-0000-0000-" + "a" * 12, "0" * 8 + "-0000-0000-0000-" + "b" * 12


def _params(**values: float) -> ClipsParams:
    params = read_params("clips", ClipsParams, PARAMS)
    return params.model_copy(update={"min_seconds": 1.0, "max_bad_fraction": 1.0, **values})


def _table(folder: Path, text: str) -> pd.DataFrame:
    path = folder / "clips.csv"
    path.write_text(text, encoding="utf-8")
    return read_clip_table(path)


def _artists(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["artist", "name", "mbid"])


def _index(folder: Path, files: list[str], **values: float) -> tuple[Clips, ClipsReport]:
    rows = [f"{file},{chr(65 + i)}" for i, file in enumerate(files)]
    table = resolve(_table(folder, "\n".join(["file,artist", *rows])), _artists())
    return index_clips(table, folder, _params(**values), list, 2)


@pytest.mark.parametrize("inside", [True, False])
def test_a_link_out_of_the_data_folder_is_refused(tmp_path: Path, inside: bool) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for folder in (data, elsewhere):
        folder.mkdir()
    target = write_clip((data if inside else elsewhere) / "real.wav", music(2, SR, 1), SR)
    (data / "link.wav").symlink_to(target)
    if inside:
        assert _index(data, ["link.wav"])[1].used == 1
        return
    found = r"clips\.csv:2: file 'link\.wav' is a link to .*elsewhere/real\.wav.*twinear import"
    with pytest.raises(DataError, match=found):
        _index(data, ["link.wav"])


def test_links_into_dvcs_own_cache_are_followed(tmp_path: Path) -> None:
    data, cache = tmp_path / "data", tmp_path / "cache"
    for folder in (data, cache, tmp_path / ".dvc"):
        folder.mkdir()
    (tmp_path / ".dvc/config").write_text("[cache]\n    dir = ../cache\n")
    (data / "a.wav").symlink_to(write_clip(cache / "0a1b.wav", music(2, SR, 1), SR))
    assert _index(data, ["a.wav"])[1].used == 1


def _loudness(y: npt.NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(y**2)))


# the table


def test_the_table_is_read_with_identities_and_lines(tmp_path: Path) -> None:
    rows = ['clips/a.mp3,"Who, The",,,1970', "", f"b.mp3,Abba,SOS,{A.upper()},1"]
    table = _table(tmp_path, "\n".join(["\ufefffile,artist,title,mbid,year", *rows]))
    assert list(table["file"]) == ["clips/a.mp3", "b.mp3"]
    assert list(table["artist"]) == ["Who, The", "Abba"]
    assert list(table["title"]) == ["", "SOS"]
    assert list(table["mbid"]) == ["", A]
    assert list(table["id"]) == ["who", A]
    assert list(table["line"]) == [2, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"clips\.csv: is empty"),
        ("file,artist\n", r"clips\.csv: names no clip"),
        ("path,artist\na.mp3,A\n", r"clips\.csv:1: has no column 'file'"),
        ("file,artists\na.mp3,A\n", r"clips\.csv:1: has no column 'artist'.*rename 'artists'\?"),
        ("file,artist\na.mp3,A\nb.mp3,\n", r"clips\.csv:3: has no artist"),
        ("file,artist\n,A\n", r"clips\.csv:2: has no file"),
        ("file,artist\na.mp3,Earth, Wind & Fire\n", r"clips\.csv:2: has more fields.*quotes"),
        ("file,artist\n/etc/passwd,A\n", r"clips\.csv:2: file '/etc/passwd', expected a path"),
        (f"file,artist\n{'a' * 300}.mp3,A\n", r"clips\.csv:2: file 'aaa.*longer than a path"),
        ("file,artist\nclips/../../a.mp3,A\n", r"clips\.csv:2: file 'clips/\.\./\.\./a\.mp3'"),
    ],
)
def test_a_table_that_cannot_be_used_says_where(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        _table(tmp_path, text)


def test_a_table_of_a_spreadsheet_reads_alike(tmp_path: Path) -> None:
    text = "File;ARTIST;Mbid\na.mp3;Björk;\nb.mp3;NA;\n"
    for encoding in ("cp1252", "utf-8-sig", "utf-16"):
        (tmp_path / "clips.csv").write_bytes(text.encode(encoding))
        table = read_clip_table(tmp_path / "clips.csv")
        assert list(table["artist"]) == ["Björk", "NA"]
        assert list(table["line"]) == [2, 3]


def test_a_column_says_where_a_clip_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "clips.csv"
    path.write_text("file,artist,collection\na.mp3,Air,radio\nb.mp3,Can,\n")
    named = read_clip_table(path, source_column="collection")
    assert list(resolve(named, _artists())["source"]) == ["radio", ""]
    assert list(read_clip_table(path, source_column="source")["source"]) == ["", ""]
    with pytest.raises(DataError, match=r"clips\.csv:1: has no column 'colection'.*source_column"):
        read_clip_table(path, source_column="colection")


def test_a_stray_quote_is_refused_or_a_letter_and_never_swallows_rows(tmp_path: Path) -> None:
    path = tmp_path / "clips.csv"
    path.write_text('file,artist\na.mp3,12" Ensemble\nb.mp3,"Weird Al" Yankovic\nc.mp3,Can\n')
    found = list(read_clip_table(path)["artist"])
    assert found == ['12" Ensemble', '"Weird Al" Yankovic', "Can"]
    path.write_text('file,artist\na.mp3,"Heroes\nb.mp3,"Air"\nc.mp3,Can\n')
    with pytest.raises(DataError, match=r"clips\.csv:2: has a quoted field that is not closed"):
        read_clip_table(path)


def test_paths_of_windows_are_found_and_those_outside_only_where_files_are_copied(
    tmp_path: Path,
) -> None:
    path = tmp_path / "clips.csv"
    (tmp_path / "Air").mkdir()
    (tmp_path / "Air/a.mp3").touch()
    path.write_text("file,artist\nAir\\a.mp3,Air\n")
    assert list(read_clip_table(path)["file"]) == ["Air/a.mp3"]
    path.write_text(f"file,artist\n{tmp_path}/Air/a.mp3,Air\n")
    assert len(read_clip_table(path, outside=True)) == 1
    with pytest.raises(DataError, match=r"clips\.csv:2: file '/.*a path under the table's folder"):
        read_clip_table(path)


def test_clips_find_their_artist_by_mbid_then_by_name_and_namesakes_stay_apart(
    tmp_path: Path,
) -> None:
    artists = _artists((A, "Nirvana", A), ("beatles", "The Beatles", ""))
    rows = [
        f"1.mp3,Nirvana (US),{A}",  # by id, whatever the spelling
        "2.mp3,NIRVANA,",  # by name
        f"3.mp3,Nirvana,{B}",  # another id: a namesake
        f"4.mp3,Beatles,{B[:-1]}c",  # the listens know it by name alone
        "5.mp3,Nobody Yet,",  # no listens: stays
        "6.mp3,nobody  yet,",  # one artist, two spellings
        '7.mp3,"Beatles, The",',
        "8.mp3,Nobody Yet (feat. Other),",
    ]
    table = resolve(_table(tmp_path, "\n".join(["file,artist,mbid", *rows])), artists)
    nobody = ["nobody yet", "nobody yet"]
    assert list(table["artist"]) == [A, A, B, "beatles", *nobody, "beatles", "nobody yet"]
    names = ["Nirvana", "Nirvana", "Nirvana", "The Beatles", "Nobody Yet", "Nobody Yet"]
    assert list(table["name"]) == [*names, "The Beatles", "Nobody Yet"]


# the waveform


@pytest.mark.parametrize("suffix", CODECS)
def test_every_kind_decodes_to_about_the_same_waveform(tmp_path: Path, suffix: str) -> None:
    y = music(3, 48000)
    path = write_clip(tmp_path / f"a{suffix}", np.stack([y, y]), 48000)
    assert load_waveform(path, 48000).size == pytest.approx(len(y), abs=2048)
    assert _loudness(load_waveform(path, SR)) == pytest.approx(_loudness(y), rel=0.06)


@pytest.mark.parametrize(
    ("codec", "channels", "sr"),
    [
        ("pcm_u8", 1, 8000),
        ("pcm_s16le", 6, 48000),
        ("pcm_s24le", 2, 192000),
        ("pcm_s32le", 1, 96000),
        ("pcm_f32le", 2, 44100),
        ("pcm_f64le", 1, 44100),
    ],
)
def test_samples_of_every_width_come_out_alike(
    tmp_path: Path, codec: str, channels: int, sr: int
) -> None:
    y = music(2, sr)
    path = write_clip(tmp_path / "a.wav", np.stack([y] * channels), sr, codec)
    np.testing.assert_allclose(load_waveform(path, sr), y - y.mean(), atol=1 / 200)
    assert load_waveform(path, SR).size == 2 * SR


def test_mono_is_the_mean_of_the_channels(tmp_path: Path) -> None:
    y = music(1)
    path = write_clip(tmp_path / "a.wav", np.stack([y, y / 2]), codec="pcm_f32le")
    np.testing.assert_allclose(load_waveform(path, 44100), 0.75 * (y - y.mean()), atol=1e-6)


def _write_hour(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 1, 8000, 0, "NONE", ""))
        file.writeframes(np.uint8(128 + 50 * music(60, 8000)).tobytes() * 60)
    return path


def test_no_more_than_max_seconds_is_decoded(tmp_path: Path) -> None:
    path = _write_hour(tmp_path / "hour.wav")
    assert load_waveform(path, 8000, max_seconds=50).size == 50 * 8000
    found, _ = _index(tmp_path, ["hour.wav"])
    assert list(found.table["seconds"]) == [3600]


def _peak_megabytes(call: Callable[[], object]) -> float:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def test_an_hour_takes_no_more_memory_than_max_seconds_of_it(tmp_path: Path) -> None:
    path = _write_hour(tmp_path / "hour.wav")
    megabytes = 300 * 8000 * 4 / 1e6
    assert _peak_megabytes(lambda: load_waveform(path, 8000, max_seconds=300)) < 2 * megabytes
    assert _peak_megabytes(lambda: _examine(path, params=_params())) < 2  # all of it, in pieces


def test_a_header_that_claims_any_sample_rate_claims_no_memory(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.wav", music(1, 8000), 8000)
    whole = path.read_bytes()
    for sr in (1, 999, 384_001, 2**31 - 1):
        at = whole.index(b"fmt ") + 12
        path.write_bytes(whole[:at] + sr.to_bytes(4, "little") + whole[at + 4 :])
        with pytest.raises(ClipError, match=rf"a\.wav: .*{sr} Hz, .*384000 Hz"):
            load_waveform(path, SR)


def test_a_longer_clip_than_the_first_buffer_is_whole(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.wav", np.tile(music(10, 8000), 9), 8000)
    assert load_waveform(path, 8000).size == 90 * 8000


def test_a_truncated_file_is_worth_what_decodes_of_it(tmp_path: Path) -> None:
    y = np.stack([music(12, 48000)] * 2)
    for suffix in (".mp3", ".ogg", ".opus", ".flac", ".wav"):
        whole = write_clip(tmp_path / f"a{suffix}", y, 48000).read_bytes()
        path = tmp_path / f"cut{suffix}"
        path.write_bytes(whole[: len(whole) // 2])
        assert 4 < load_waveform(path, SR).size / SR < 8


def test_a_damaged_middle_does_not_lose_the_rest(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp3", np.stack([music(4)] * 2))
    damaged = bytearray(path.read_bytes())
    damaged[20000:22000] = os.urandom(2000)
    path.write_bytes(damaged)
    assert load_waveform(path, SR).size / SR > 3


def test_joined_files_of_one_sample_rate_are_one_clip(tmp_path: Path) -> None:
    mono = write_clip(tmp_path / "a.mp3", music(3)).read_bytes()
    stereo = write_clip(tmp_path / "b.mp3", np.stack([music(3)] * 2)).read_bytes()
    other = write_clip(tmp_path / "c.mp3", music(3, 48000), 48000).read_bytes()
    path = tmp_path / "joined.mp3"
    path.write_bytes(mono + stereo)
    assert load_waveform(path, SR).size / SR == pytest.approx(6, abs=0.2)
    path.write_bytes(mono + other)
    with pytest.raises(ClipError, match=r"joined\.mp3: .*44100 .*48000 Hz"):
        load_waveform(path, SR)


def test_a_change_of_channels_loses_nothing_of_any(tmp_path: Path) -> None:
    left = np.stack([music(2), np.zeros(88200)])
    mono = write_clip(tmp_path / "a.mp3", music(2)).read_bytes()
    stereo = write_clip(tmp_path / "b.mp3", left).read_bytes()
    path = tmp_path / "joined.mp3"
    for first, second, n in ((mono, stereo, 1), (stereo, mono, 2)):
        path.write_bytes(first + second + first)
        y = load_waveform(path, SR)
        loudness = [_loudness(part) for part in np.array_split(y, 3)]
        whole, half = (loudness[0], loudness[1]) if n == 1 else (loudness[1], loudness[0])
        assert half == pytest.approx(whole / 2, rel=0.1)
        assert loudness[2] == pytest.approx(loudness[0], rel=0.1)


@pytest.mark.parametrize("suffix", [".m4a", ".opus", ".flac", ".wav"])
@pytest.mark.parametrize("channels", [6, 8])
def test_all_channels_of_surround_are_mixed_and_no_more(
    tmp_path: Path, suffix: str, channels: int
) -> None:
    y = music(2, 48000)
    path = write_clip(tmp_path / f"a{suffix}", np.stack([y] * channels), 48000)
    found = load_waveform(path, 48000)
    assert found.size == pytest.approx(len(y), abs=2048)
    # 5.1 and 7.1 have a channel of bass alone, which a lossy codec cuts
    assert _loudness(found) == pytest.approx(_loudness(y), rel=0.2)


def test_more_than_eight_channels_are_a_clip_error(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((9, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(9 * 2 * 8000))
    with pytest.raises(ClipError, match=r"9 channels.* 8"):
        load_waveform(path, SR)


def _write_variable_bit_rate(path: Path, y: npt.NDArray[np.floating]) -> Path:
    """An mp3 without the header that tells its length; a guess from its first frames is wrong."""
    with av.open(str(path), "w", options={"write_xing": "0", "id3v2_version": "0"}) as container:
        stream = container.add_stream("libmp3lame", rate=44100, layout="mono")
        stream.codec_context.options = {"flags": "+qscale", "global_quality": "472"}
        frame = av.AudioFrame.from_ndarray(y[None].astype(np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def test_a_variable_bit_rate_without_header_decodes_to_its_end(tmp_path: Path) -> None:
    y = np.concatenate([music(4) / 1000, music(4)])
    path = _write_variable_bit_rate(tmp_path / "a.mp3", y)
    with av.open(str(path)) as container:
        assert container.duration > 9e6  # microseconds, guessed
    assert load_waveform(path, SR).size / SR == pytest.approx(8, abs=0.1)


def test_the_content_counts_and_not_the_name(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.flac", music(1)).rename(tmp_path / "a.mp3")
    assert load_waveform(path, SR).size == SR


def test_a_cover_picture_and_latin_tags_are_passed_over(tmp_path: Path) -> None:
    audio = write_clip(tmp_path / "a.mp3", np.stack([music(2)] * 2)).read_bytes()
    png = bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154"
        "789c63606060000000040001f61738550000000049454e44ae426082"
    )
    picture = b"\0image/png\0\3\0" + png
    title = b"\3Bj\xf6rk"  # says UTF-8 and is not
    tags = b"".join(
        name + len(body).to_bytes(4, "big") + b"\0\0" + body
        for name, body in ((b"APIC", picture), (b"TIT2", title))
    )
    size = bytes((len(tags) >> shift) & 127 for shift in (21, 14, 7, 0))
    (tmp_path / "b.mp3").write_bytes(b"ID3\3\0\0" + size + tags + audio)
    y = load_waveform(tmp_path / "a.mp3", SR)
    np.testing.assert_array_equal(load_waveform(tmp_path / "b.mp3", SR), y)


@pytest.mark.parametrize("suffix", [".m4a", ".flac", ".mp3"])
def test_a_cover_picture_is_no_audio(tmp_path: Path, suffix: str) -> None:
    plain = write_clip(tmp_path / f"a{suffix}", music(2))
    path = tmp_path / f"b{suffix}"
    kind = "mp4" if suffix == ".m4a" else None
    with av.open(str(plain)) as source, av.open(str(path), "w", format=kind) as container:
        audio = container.add_stream_from_template(source.streams.audio[0])
        cover = container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 16, 16, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), "rgb24")
        container.mux([*cover.encode(picture), *cover.encode(None)])
        for packet in source.demux(audio=0):
            if packet.size:
                packet.stream = audio
                container.mux(packet)
    with av.open(str(path)) as container:
        assert len(container.streams) == 2
    assert load_waveform(path, SR).size == pytest.approx(2 * SR, abs=1200)


def test_no_dc_offset_is_left(tmp_path: Path) -> None:
    y = music(1)
    path = write_clip(tmp_path / "a.wav", y + 0.4, codec="pcm_f32le")
    np.testing.assert_allclose(load_waveform(path, 44100), y - y.mean(), atol=1e-5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not audio"),
        (b"\0", "is not audio"),
        (b"Just words, no music.\n" * 200, "is not audio"),
        (b"<html><body>404</body></html>", "is not audio"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "is not audio"),
        (b"ffconcat version 1.0\nfile a.wav\n", "is not audio"),
    ],
)
def test_what_is_not_audio_is_a_clip_error(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(content)
    with pytest.raises(ClipError, match=rf"a\.mp3: {message}"):
        load_waveform(path, SR)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_numbers_are_a_clip_error(tmp_path: Path, value: float) -> None:
    y = music(1)
    y[1000] = value
    path = write_clip(tmp_path / "a.wav", y, codec="pcm_f32le")
    with pytest.raises(ClipError, match="samples that are not numbers"):
        load_waveform(path, SR)


def test_audio_without_a_known_codec_or_without_samples_is_a_clip_error(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "a.mka", music(1), codec="aac").read_bytes()
    (tmp_path / "b.mka").write_bytes(whole.replace(b"A_AAC", b"A_XYZ"))
    with pytest.raises(ClipError, match="no audio that can be decoded"):
        load_waveform(tmp_path / "b.mka", SR)
    (tmp_path / "c.wav").write_bytes(write_clip(tmp_path / "d.wav", music(1)).read_bytes()[:78])
    with pytest.raises(ClipError, match="holds no samples"):
        load_waveform(tmp_path / "c.wav", SR)


def test_a_missing_file_is_a_clip_error(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="No such file"):
        load_waveform(tmp_path / "a.mp3", SR)


# the index


def test_the_index_says_what_the_audio_is_and_is_sorted(tmp_path: Path) -> None:
    write_clip(tmp_path / "z.wav", np.stack([music(2)] * 2))
    write_clip(tmp_path / "a.flac", music(3, 8000), 8000)
    write_clip(tmp_path / "b.mp3", music(2, 32000), 32000)
    text = "file,artist,title\nz.wav,Zebra,NA\nb.mp3,Alpha,\na.flac,Zebra,Song\n"
    table = resolve(_table(tmp_path, text), _artists())
    found, report = index_clips(table, tmp_path, _params(), list, 2)
    assert list(found.table["file"]) == ["b.mp3", "a.flac", "z.wav"]
    assert list(found.table["sr"]) == [32000, 8000, 44100]
    assert list(found.table["channels"]) == [1, 1, 2]
    assert list(found.table["seconds"]) == pytest.approx([2, 3, 2], abs=0.1)
    assert (report.listed, report.used, report.artists) == (3, 3, 2)
    assert report.clips_per_artist == {"min": 1, "median": 1.5, "max": 2}
    found.write(tmp_path / "index.csv")
    pd.testing.assert_frame_equal(Clips.read(tmp_path / "index.csv").table, found.table)


def test_bad_clips_are_set_aside_with_reason_and_place(tmp_path: Path) -> None:
    loud = music(2)
    write_clip(tmp_path / "good.wav", loud)
    write_clip(tmp_path / "again.wav", loud)
    write_clip(tmp_path / "quiet.wav", loud * 1e-4, codec="pcm_f32le")
    write_clip(tmp_path / "offset.wav", np.full(88200, 0.5))
    write_clip(tmp_path / "short.wav", loud[:44000])
    write_clip(tmp_path / "one.wav", loud[:1])
    write_clip(tmp_path / "nan.wav", np.where(loud > 0.4, np.nan, loud), codec="pcm_f32le")
    (tmp_path / "words.mp3").write_text("no music")
    files = ["good", "again", "quiet", "offset", "short", "one", "nan"]
    files = [*(f"{name}.wav" for name in files), "words.mp3", "gone.mp3"]
    found, report = _index(tmp_path, files)
    assert list(found.table["file"]) == ["good.wav"]
    places = {
        reason: [entry["place"].rsplit(":")[-1] for entry in entries]
        for reason, entries in report.set_aside.items()
    }
    assert places == {
        "silent": ["4", "5"],
        "short": ["6", "7"],
        "unreadable": ["8", "9"],
        "duplicate": ["3"],
        "missing": ["10"],
    }
    missing = report.set_aside["missing"][0]
    assert missing["place"].endswith("clips.csv:10")
    assert missing["found"] == f"no file {tmp_path / 'gone.mp3'}"
    assert asdict(report)["used"] == 1


def test_of_a_corpus_of_bad_audio_each_clip_is_used_or_set_aside_with_its_reason(
    tmp_path: Path,
) -> None:
    y = music(2)
    whole = {
        suffix: write_clip(tmp_path / f"whole{suffix}", np.stack([y, y])).read_bytes()
        for suffix in (".mp3", ".m4a", ".ogg", ".flac", ".wav")
    }
    contents = {
        "zero.mp3": (b"", "unreadable"),
        "words.ogg": (b"<html><body>404</body></html>", "unreadable"),
        "flac.m4a": (whole[".flac"], "used"),
        "cut.mp3": (whole[".mp3"][: len(whole[".mp3"]) // 4], "short"),
        "cut.m4a": (whole[".m4a"][: len(whole[".m4a"]) // 2], "unreadable"),  # its index is last
        "cut.wav": (whole[".wav"][:60], "unreadable"),
        "headless.ogg": (bytes(200) + whole[".ogg"][200:], "unreadable"),
    }
    for name, (content, _) in contents.items():
        (tmp_path / name).write_bytes(content)
    written = {
        write_clip(tmp_path / "8kHz.wav", music(2, 8000), 8000): "used",
        write_clip(tmp_path / "192kHz.wav", music(2, 192000), 192000, "pcm_s24le"): "used",
        write_clip(tmp_path / "5.1.m4a", np.stack([y] * 6)): "used",
        write_clip(tmp_path / "7.1.opus", np.stack([music(2, 48000)] * 8), 48000): "used",
        write_clip(tmp_path / "clipped.flac", np.clip(20 * y, -1, 1)): "used",
        write_clip(tmp_path / "offset.wav", y / 2 + 0.5, codec="pcm_f32le"): "used",
        write_clip(tmp_path / "one.wav", y[:1]): "short",
        write_clip(tmp_path / "silent.flac", np.zeros(88200)): "silent",
        write_clip(tmp_path / "nan.wav", np.where(y > 0.4, np.nan, y), 44100, "pcm_f32le"): (
            "unreadable"
        ),
        _write_hour(tmp_path / "hour.wav"): "used",
        _write_variable_bit_rate(tmp_path / "variable.mp3", y): "used",
    }
    reasons = {name: reason for name, (_, reason) in contents.items()}
    reasons |= {path.name: reason for path, reason in written.items()}
    found, report = _index(tmp_path, list(reasons))
    outcomes = dict.fromkeys(found.table["file"], "used")
    for reason, entries in report.set_aside.items():
        for entry in entries:
            line = int(entry["place"].rsplit(":")[-1])
            outcomes[list(reasons)[line - 2]] = reason
            assert entry["found"]
    assert outcomes == reasons


def test_clipped_and_full_scale_audio_is_used(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.wav", np.clip(music(2) * 20, -1, 1))
    write_clip(tmp_path / "b.wav", music(2) * 1e30, codec="pcm_f64le")
    found, _ = _index(tmp_path, ["a.wav"])
    assert len(found.table) == 1


def test_too_many_bad_clips_stop_the_run(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.wav", music(2))
    files = ["a.wav", "b.wav", "c.wav"]
    _index(tmp_path, files, max_bad_fraction=0.7)
    message = (
        r"clips\.csv: 2 of 3 clips cannot be used, 2 of them missing \(.*clips\.csv:3: no file"
    )
    with pytest.raises(DataError, match=message):
        _index(tmp_path, files, max_bad_fraction=0.6)
    with pytest.raises(DataError, match="1 of 1 clips"):
        _index(tmp_path, ["b.wav"])


def _examine_or_die(path: Path, params: ClipsParams) -> object:
    if path.name == "b.wav":
        os._exit(1)
    return _examine(path, params=params)


_examine = clips.examine_clip


def test_a_clip_that_kills_the_decoder_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = ["a.wav", "b.wav", "c.wav", "d.wav"]
    for seed, file in enumerate(files):
        write_clip(tmp_path / file, music(1.5, 8000, seed), 8000)
    monkeypatch.setattr(clips, "examine_clip", _examine_or_die)
    found, report = _index(tmp_path, files)
    assert list(found.table["file"]) == ["a.wav", "c.wav", "d.wav"]
    assert report.set_aside["unreadable"][0]["found"] == "crashes the decoder"


@pytest.mark.parametrize("text", ["file,artist\na,b\n", "seconds\nlong\n"])
def test_an_index_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "clips.csv").write_text(text)
    with pytest.raises(DataError, match=r"index.*dvc repro clips"):
        Clips.read(tmp_path / "clips.csv")


# long recordings


@pytest.mark.parametrize("suffix", [".mp3", ".m4a", ".ogg", ".opus", ".flac", ".wav", ".wma"])
def test_a_long_recording_has_its_whole_duration_though_it_is_decoded_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = write_clip(tmp_path / f"a{suffix}", np.stack([music(6.0, 48000)] * 2), 48000)
    whole = examine_clip(path, _params())
    monkeypatch.setattr(clips, "EXAMINED_SECONDS", 2.0)
    in_part = examine_clip(path, _params())
    assert isinstance(whole, AudioFacts)
    assert isinstance(in_part, AudioFacts)
    assert whole.seconds == pytest.approx(6.0, abs=0.1)  # and what the codec pads
    assert in_part.seconds == pytest.approx(whole.seconds, abs=0.1)
    assert replace(in_part, seconds=whole.seconds) == whole


@pytest.mark.parametrize("suffix", [".flac", ".wav"])
def test_a_recording_that_begins_with_silence_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(clips, "EXAMINED_SECONDS", 2.0)
    y = np.concatenate([np.zeros(4 * SR, np.float32), music(2.0, SR)])
    late = examine_clip(write_clip(tmp_path / f"a{suffix}", y, SR), _params())
    silent = examine_clip(write_clip(tmp_path / f"b{suffix}", 0 * y, SR), _params())
    assert isinstance(late, AudioFacts)
    assert late.seconds == 6.0
    assert isinstance(silent, Fault)
    assert silent.reason == "silent"
