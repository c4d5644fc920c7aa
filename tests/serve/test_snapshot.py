"""What a service keeps of its answers is bounded, and its words follow usual scores."""

from pydantic import BaseModel

from twinear.serve.snapshot import Kept


class Rows(BaseModel):
    rows: list[int]


def test_the_answers_used_last_are_kept_up_to_so_many_rows() -> None:
    kept, computed = Kept(40), []

    def ask(n: int) -> Rows:
        def compute() -> Rows:
            computed.append(n)
            return Rows(rows=[n] * 9)  # ten with the answer itself

        return kept.get(n, compute)

    for n in (1, 2, 3, 4, 1, 5):  # the fifth takes the place of the second
        assert ask(n).rows == [n] * 9
    assert computed == [1, 2, 3, 4, 5]
    assert len(kept) == 4
    ask(1)
    ask(2)
    assert computed == [1, 2, 3, 4, 5, 2]


def test_an_answer_that_is_larger_than_all_that_is_kept_is_not_kept() -> None:
    kept = Kept(5)
    assert len(kept.get("large", lambda: Rows(rows=[0] * 10)).rows) == 10
    assert len(kept) == 0
