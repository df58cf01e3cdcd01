import pytest

from lmcache_kserve.experiment.prompts import PromptSource, words_for


def test_the_same_seed_makes_the_same_prompts() -> None:
    first, second = PromptSource(7), PromptSource(7)

    assert [first.fresh(50) for _ in range(3)] == [second.fresh(50) for _ in range(3)]


def test_prompts_of_one_length_hold_the_same_words_so_any_tokenizer_gives_them_as_many_tokens() -> None:
    source = PromptSource(7)
    one, other = source.fresh(1300).split(), source.fresh(1300).split()

    assert one != other
    assert sorted(one[20:]) == sorted(other[20:])
    assert [len(digit) for digit in one[:20]] == [1] * 20


def test_a_prompt_differs_from_every_other_from_its_very_start() -> None:
    source = PromptSource(7)
    starts = {tuple(source.fresh(30).split()[:20]) for _ in range(500)}

    assert len(starts) == 500


@pytest.mark.parametrize(("wanted", "words"), [(3000, 1363), (100, 45), (1, 1)])
def test_words_are_counted_so_that_a_limit_is_never_exceeded(wanted: int, words: int) -> None:
    assert words_for(wanted, probe_words=300, probe_tokens=660) == words


def test_related_prompts_have_a_common_beginning_of_different_lengths() -> None:
    prompts = PromptSource(1).related(400, 8, ending=16)

    words = [prompt.split() for prompt in prompts]
    shared = [
        next(place for place, (one, other) in enumerate(zip(prompt, words[-1], strict=False)) if one != other)
        for prompt in words[:-1]
    ]
    assert shared == sorted(set(shared))
    assert len({tuple(one[-16:]) for one in words}) == 8
