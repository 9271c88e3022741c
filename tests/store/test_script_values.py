import pytest

from service.store.script_values import ms, nearest_ms, pairs


@pytest.mark.parametrize(
    ("seconds", "cut", "nearest"),
    [(0, 0, 0), (0.0009, 0, 1), (1.9996, 1999, 2000), (1e9 + 0.0004, 10**12, 10**12), (-0.0009, 0, -1)],
)
def test_milliseconds_are_cut_for_scripts_and_rounded_where_a_time_comes_back(
    seconds: float, cut: int, nearest: int
) -> None:
    assert ms(seconds) == cut
    assert nearest_ms(seconds) == nearest


def test_a_time_in_milliseconds_survives_the_way_through_seconds() -> None:
    assert all(nearest_ms(at / 1000) == at for at in range(1_765_432_109_000, 1_765_432_112_000))
    late = 2_159_809_131_773
    assert nearest_ms(late / 1000) == late
    assert ms(late / 1000) == late - 1, "which is why a time that comes back is rounded"


def test_pairs() -> None:
    assert list(pairs([])) == []
    assert list(pairs([b"a", b"1", b"b", b"2"])) == [(b"a", b"1"), (b"b", b"2")]
    assert dict(pairs(text for text in "ab")) == {"a": "b"}
    with pytest.raises(ValueError, match="shorter"):
        list(pairs([1, 2, 3]))
