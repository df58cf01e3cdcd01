"""Fresh long prompts of a wanted length, without a tokenizer.

All prompts of one length are permutations of the same words behind a nonce of single digits, so they have the same
number of tokens whatever the tokenizer: two measurements differ in content, never in the work they ask for. The nonce
stands at the very start, so no two prompts share a chunk.
"""

import random

# Everyday words of four to eight letters: common enough that a tokenizer spends one or a few tokens on each.
_WORDS: tuple[str, ...] = tuple(
    """
    above across advice afraid agree almost alone along amount animal answer apple april arrive artist asleep
    august autumn aware bakery balance banana basket battle beach beauty become before begin behind belief
    below better between beyond bicycle bottle bottom branch brave bread bridge bright broken brother brown
    budget build button camera candle carbon careful carpet castle cattle center chair chance change cheese
    cherry choice church circle citizen clever climb clock cloud coast coffee colour common copper corner
    cotton country couple courage cousin cover create crowd culture curtain damage dance danger daughter
    decade decide deep degree depend desert design detail dinner direct distance doctor dollar double dragon
    dream driver early earth easily editor effect eight either eleven empty energy engine enough entire equal
    escape evening event every exact example expect explain express fabric factory family famous farmer father
    feather fellow fence field fifteen figure final finger finish flower follow forest forget former fortune
    forward fresh friend frozen future garden gather gentle glass global golden grain grass ground group
    guitar happen harbor hardly harvest health heart heavy height helpful hidden history holiday honest horse
    hotel hundred hungry island jacket january journey judge juice jungle kitchen knife ladder language large
    later laugh leader leather lemon lesson letter level library light liquid listen little living lonely
    longer lovely lucky lunch machine magic manager market master matter meadow meaning measure medium member
    memory middle minute mirror modern moment monday money monkey month morning mother motion mountain museum
    music narrow nation nature nearly needle nephew never night noble normal north notice novel number object
    ocean office often older onion opinion orange orchard order other outside oxygen paint palace paper parent
    party people pepper perfect person piano picture piece pillow planet plant plastic plate pocket poem
    polite potato powder present price prince print problem proud public purple puzzle quarter queen quick
    quiet rabbit radio rather reach reason record region remain repeat result return ribbon river rocket rough
    round royal sailor salad sample school science season second secret select senior serious seven shadow
    shape share sheep shelter short shoulder silent silver simple single sister sixteen skill slowly smooth
    social solid south space speech spider spirit spring square stable staff stamp station steel stone storm
    story strange stream street strong student sugar summer sunday supper surface sweet symbol system table
    talent target teacher temple theater thick thing thirty thread ticket tiger tomato tongue topic total
    touch tower travel treasure trouble truth tunnel twelve uncle under uniform unique useful usual valley
    value various velvet village violin visit voice volume wagon walnut water wealth weather welcome whale
    wheel while whisper white window winter wisdom wonder wooden world writer yellow young
    """.split()  # noqa: SIM905 - five hundred quoted words are no list to read
)

_NONCE_DIGITS = 20
"""66 bits: prompts of one run never collide, and never with what an earlier run left in the backend."""


class PromptSource:
    """Makes prompts that no cache has seen; the same seed makes the same prompts in the same order."""

    def __init__(self, seed: int) -> None:
        # Not for secrets: repeatable on purpose.
        self._random = random.Random(seed)  # noqa: S311 - prompts, not secrets

    def fresh(self, words: int) -> str:
        """A prompt of `words` words, never made before; all prompts of as many words have as many tokens."""
        nonce = " ".join(str(self._random.randrange(10)) for _ in range(_NONCE_DIGITS))
        body = [_WORDS[index % len(_WORDS)] for index in range(words)]
        self._random.shuffle(body)
        return f"{nonce} {' '.join(body)}"

    def related(self, words: int, count: int, *, ending: int) -> list[str]:
        """Prompts that begin alike.

        Args:
            words: words of the longest common beginning.
            count: how many prompts; the n-th has n of `count` parts of the beginning.
            ending: words of each prompt's own ending.
        """
        beginning = self.fresh(words).split()
        ends = (len(beginning) * number // count for number in range(1, count + 1))
        return [f"{' '.join(beginning[:end])} {self.fresh(ending)}" for end in ends]


def words_for(tokens: int, *, probe_words: int, probe_tokens: int) -> int:
    """How many words make a prompt of about `tokens` tokens, never more, judged by a probe's size.

    The nonce is counted as if it were words: the estimate errs on the short side, so a limit is kept.
    """
    return max(1, tokens * probe_words // probe_tokens)
