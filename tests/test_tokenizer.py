"""From a prompt to numbers: captions read as in training, learners' spellings forgiven, unknown words told."""

import re

import pytest
import torch

from course_lib.neighbours import NEIGHBOURS
from course_lib.picturebook import SIGN_CHARACTERS, SYNONYMS, VOCABULARY, caption, random_scene, tokenise
from course_lib.tokenizer import (END, FEW, LENGTH, MOST_WORDS, PADDING, START, TOKENS, close_words, read_prompt,
                                  remarks, tokenize)


def words(text: str) -> str:
    return " ".join(read_prompt(text).words)


# ------------------------------------------------------------------------------------------------------- reading

def test_captions_are_read_word_by_word_and_nothing_is_left_out():
    for seed in range(300):
        text = caption(random_scene(seed, "all"), seed).text
        read = read_prompt(text)
        assert not read.unknown and not read.cut, text
        # A sign's A and the article have one number; all else is as the picture book divides it.
        assert list(read.words) == ["a" if word == "A" else word for word in tokenise(text)], text


def test_every_phrase_of_the_picture_book_is_known():
    for phrases in SYNONYMS.values():
        for phrase in phrases:
            assert words(phrase) == phrase and not read_prompt(phrase).unknown


@pytest.mark.parametrize("text, read", [
    ("A Red HOUSE at NIGHT", "a red house at night"),
    ("A SMALL HOUSE, AT NIGHT!", "a small house at night"),  # AT is no sign's text here
    ("  a red   house\n\tat night ", "a red house at night"),
    ("house,night;castle.tree", "house night castle tree"),
    ("a “red” house (on the left) …", "a red house on the left"),
    ("a Hot-Air balloon", "a hot-air balloon"), ("a hot air balloon", "a hot-air balloon"),
    ("a red-white house", "a red white house"), ("-red- 'house'", "red house"),
    ("the cat's house", "the cat house"), ("THE CAT’S HOUSE", "the cat house"),
    ("2 trees", "two trees"), ("a hand holding up 5 fingers", "a hand holding up five fingers"),
    ("a sign that says T4 at night", "a sign that says T 4 at night"),
    ("a sign that says t4", "a sign that says T 4"), ("a sign t4", "a sign T 4"),
    ("a sign saying 'HE'", "a sign saying H E"), ("a sign saying he", "a sign saying H E"),
    ("a sign that reads 4 7 and 2 trees", "a sign that reads 4 7 and two trees"),
    ("a sign that reads l p", "a sign that reads L P"),
    ("a sign that says AT", "a sign that says a T"), ("a sign that says A2", "a sign that says a 2"),
    ("a sign that says 2", "a sign that says 2"), ("SAYS 24", "says 2 4"),
    ("", ""), ("   ", ""), ("!?", ""), ("\x00\x1b\ud800", ""),
])
def test_a_prompt_is_read_as_it_was_meant(text, read):
    assert words(text) == read and not read_prompt(text).unknown


@pytest.mark.parametrize("text, known, unknown", [
    ("a teal dog", "a", ("teal", "dog")), ("Teal teal TEAL", "", ("teal",)),
    ("he says", "says", ("he",)), ("7 trees", "trees", ("7",)), ("12 cats", "", ("12", "cats")),
    ("a well-lit house", "a house", ("well", "lit")), ("don't", "", ("don't",)),
    ("a дом by day", "a by day", ("дом",)), ("🏠 house", "house", ("🏠",)), ("éclair", "", ("éclair",)),
    ("a sign that says HELLO", "a sign that says", ("HELLO",)), ("a sign that says T9", "a sign that says", ("T9",)),
    ("HELLO", "", ("hello",)), ("a\x1b[31mb", "a", ("31mb",)),
])
def test_unknown_words_are_kept_apart(text, known, unknown):
    assert words(text) == known and read_prompt(text).unknown == unknown


def test_a_long_prompt_is_cut_after_the_words_that_fit():
    read = read_prompt("a red house " * 200)
    assert len(read.words) == MOST_WORDS and len(read.cut) == 600 - MOST_WORDS and read.cut[0] == "a"
    assert len(read.ids) == LENGTH and read.ids[0] == START and read.ids[-1] == END
    [said] = remarks([read_prompt("red " * 29 + "house boat " + "tree " * 470)])
    assert said == "The prompt is too long: it is cut after 30 words, before 'boat'."
    assert not remarks([read_prompt("red " * 30)])


def test_numbers_come_in_rows_of_one_length():
    ids = tokenize(["", "a red house", "night"])
    assert ids.dtype == torch.int64 and ids.shape == (3, 5)
    assert ids[0].tolist() == [START, END, PADDING, PADDING, PADDING]
    assert [TOKENS[i] for i in ids[1]] == ["<start>", "a", "red", "house", "<end>"]
    assert (ids[2] == END).nonzero().item() == 2
    assert len(set(TOKENS)) == len(TOKENS)


# ------------------------------------------------------------------------------------------------------- remarks

@pytest.mark.parametrize("text, said", [
    ("a teal house", ["The model was never taught 'teal'; close words it knows: green, blue."]),
    ("a red hoose", ["The model was never taught 'hoose'; close words it knows: house."]),
    ("a red qwzk", ["The model was never taught 'qwzk'."]),
    ("teal", ["The model was never taught 'teal'; close words it knows: green, blue.",
              "It knows no word of 'teal': to the model that is an empty prompt."]),
    ("a sign that says HI",
     ["The model was never taught 'HI'; a sign can say two of 2 3 4 7 A C E H L P T X."]),
    ("a red house", []), ("", []),
])
def test_what_could_not_be_used_is_told(text, said):
    assert remarks([read_prompt(text)]) == said


def test_remarks_stay_few_short_and_said_once():
    many = read_prompt("house " + " ".join(f"zz{i}q" for i in range(20)))
    said = remarks([many, many])
    assert len(said) == FEW + 1 and said[-1] == f"Nor was it taught {20 - FEW} other words of the prompt."
    [long] = remarks([read_prompt("house " + "z" * 100_000)])
    assert len(long) < 100 and "\n" not in long
    assert not any("\n" in sentence for sentence in remarks([read_prompt("q\nw\x85e\u2028r")]))


# --------------------------------------------------------------------------------------------------- close words

def test_the_table_of_meaning_leads_from_unknown_words_to_known_ones():
    assert len(NEIGHBOURS) > 80
    for word, near in NEIGHBOURS.items():
        assert word == word.lower() and word not in VOCABULARY, word
        assert 1 <= len(near) <= 3 and len(set(near)) == len(near), word
        assert set(near) <= set(VOCABULARY) - set(SIGN_CHARACTERS), (word, near)
        assert read_prompt(word).unknown == (word,), word


@pytest.mark.parametrize("word, near", [
    ("maroon", "red"), ("teal", "blue"), ("kitten", "kitty"), ("dog", "cat"), ("dogs", "cat"), ("ships", "boat"),
    ("buses", "car"), ("forest", "trees"), ("ocean", "sea"), ("storm", "rain"), ("midnight", "night"),
    ("giant", "huge"), ("Teal", "green"),  # meaning
    ("houses", "house"), ("cars", "car"), ("castel", "castle"), ("nigth", "night"), ("purpel", "purple"),
    ("balloons", "balloon"), ("colour", ""), ("horse", "cat"),  # spelling, but where the meaning is known, that
])
def test_close_words_are_close_in_meaning_or_in_spelling(word, near):
    found = close_words(word)
    assert near in found if near else not found
    assert len(found) <= 3 and set(found) <= set(VOCABULARY)


def test_a_word_that_is_close_only_in_spelling_is_not_offered_for_one_of_known_meaning():
    assert "house" not in close_words("horse") and "boat" not in close_words("goat")
    assert not any(re.fullmatch("[A-Z0-9]", word) for word in close_words("zzz"))
