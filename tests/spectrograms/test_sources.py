"""Sources of clips: which are large enough, and whose artists are whose."""

import numpy as np
import pandas as pd

from twinear.spectrograms.sources import find_sources


def test_small_sources_count_as_one() -> None:
    clips = pd.DataFrame(
        {"artist": list("aabbccddef"), "source": ["1", "1", "1", "1", "2", "2", "2", "3", "4", ""]}
    )
    sources = find_sources(clips, least=2)
    assert sources.values == (("1",), ("2",), ("", "3", "4"))
    assert sources.of_clips.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert sources.of_artists == {"a": 0, "b": 0, "c": 1, "d": 1, "e": 2, "f": 2}
    assert sources.several == {"d"}


def test_files_of_an_import_are_one_source() -> None:
    clips = pd.DataFrame({"artist": list("abcd"), "source": [f"{n}.mp3" for n in range(4)]})
    assert find_sources(clips, least=2).of_clips.tolist() == [0, 0, 0, 0]


def test_clips_without_the_column_are_of_one_source() -> None:
    sources = find_sources(pd.DataFrame({"artist": list("aab")}), least=1)
    assert sources.values == (("",),)
    assert (sources.of_clips == np.zeros(3)).all()


def test_an_artist_belongs_where_most_of_its_clips_come_from() -> None:
    clips = pd.DataFrame({"artist": list("aaabbcd"), "source": list("xyyyxxy")})
    assert find_sources(clips, least=1).of_artists == {"a": 1, "b": 0, "c": 0, "d": 1}
